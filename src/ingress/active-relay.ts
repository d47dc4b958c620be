/** The relay of this thread, for code without a reference to it: adapters, jobs, a second copy of this package. */

import type { Context, TextMapPropagator } from '@opentelemetry/api'
import { mainGlobal } from '../base/main-realm.ts'
import type { EgressMode } from '../destination/decision.ts'
import type { Explanation } from '../destination/explain.ts'
import type { AdmittedMessage } from '../propagation/delivery.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { ActiveAdmitter } from './admitter.ts'

/** Called instead of the listeners of a server's event; `proceed` calls them. */
export type Interceptor = (event: string, args: readonly unknown[], proceed: () => void) => void

/** How long a prepared token has to be valid, and when nothing waits for it any more. */
export interface PrepareOptions {
  readonly validForMillis?: number
  readonly signal?: AbortSignal
}

/** What a relay does for code that has no reference to it. */
export interface ActiveRelay extends ActiveAdmitter {
  readonly version: string
  /** The `TokenRelay` that the application knows. */
  readonly relay: object
  /** The gate of this relay, for the copy of this package that has put one up; `undefined` while it has none. */
  readonly intercept: Interceptor | undefined
  /** Whether `register` has created it, from these options. */
  isRegisteredWith(options: unknown): boolean
  readonly egressMode: EgressMode
  readonly propagator: TextMapPropagator
  /** The field that requests bring their token in, by its name in lower case. */
  readonly tokenField: string
  verify(token: string): Promise<VerifiedCredential>
  /** Finds tracers that were registered meanwhile. Called before a caller runs whose token came in no carrier. */
  discoverTracers(): void
  /**
   * Opens and verifies the token that an extraction has put into `ctx`; rejects with a `TokenError`, also if there is
   * none.
   */
  admitExtracted(ctx: Context): Promise<void>
  /**
   * The caller as which the message that `ctx` was extracted from is handled; rejects with a `TokenError` if it must
   * not be.
   */
  admitMessage(ctx: Context, source: string, isLost?: () => boolean): Promise<AdmittedMessage>
  explain(destination: string | URL): Explanation
  /** As `relay.prepare`, and resolves with what would be sent now. */
  prepare(destination: string | URL, options: PrepareOptions): Promise<VerifiedCredential | undefined>
  /**
   * Gets another token for the caller after `destination` has answered 401 to `refused`. Returns whether there is one.
   */
  renew(destination: string | URL, refused: VerifiedCredential): Promise<boolean>
}

const ACTIVE = Symbol.for('otel-token-relay.active')
const GATED = Symbol.for('otel-token-relay.gated')
const ADAPTED = Symbol.for('otel-token-relay.adapted')
const registry = mainGlobal as { [ACTIVE]?: ActiveRelay | undefined; [GATED]?: boolean; [ADAPTED]?: boolean }

export function setActiveRelay(relay: ActiveRelay | undefined): void {
  registry[ACTIVE] = relay
}

export function findActiveRelay(): ActiveRelay | undefined {
  return registry[ACTIVE]
}

export function hasActiveRelay(): boolean {
  return registry[ACTIVE] !== undefined
}

/**
 * The relay that is active now.
 *
 * @throws Error if there is none: nothing can be verified, so nothing may pass.
 */
export function activeRelay(): ActiveRelay {
  const relay = registry[ACTIVE]
  if (relay === undefined) throw new Error('no token relay is active in this thread')
  return relay
}

/** Whether servers refuse everything while no relay is active, because the last one had a gate. */
export function isGated(): boolean {
  return registry[GATED] === true
}

export function setGated(gated: boolean): void {
  registry[GATED] = gated
}

/** Whether an adapter is in use. */
export function hasAdapter(): boolean {
  return registry[ADAPTED] === true
}

export function recordAdapter(): void {
  registry[ADAPTED] = true
}
