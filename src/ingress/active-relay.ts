/** The relay of this process, for those who have no reference to it: adapters, jobs, a second copy of this package. */

import type { Context, TextMapPropagator } from '@opentelemetry/api'
import type { EgressMode } from '../destination/decision.ts'
import type { Explanation } from '../destination/explain.ts'
import type { AdmittedMessage } from '../propagation/delivery.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Admitter } from './admission.ts'

/** How long what is prepared must last, and when nobody waits for it any more. */
export interface PrepareOptions {
  readonly validForMillis?: number
  readonly signal?: AbortSignal
}

/** What a relay is asked for by those who did not create it. */
export interface ActiveRelay extends Admitter {
  readonly version: string
  readonly egressMode: EgressMode
  readonly propagator: TextMapPropagator
  verify(token: string): Promise<VerifiedCredential>
  /** Somebody is about to run as a caller whose token came in no carrier. */
  expectCaller(): void
  /** Opens and verifies the token that an extraction has put into `ctx`; rejects with a `TokenError`, also where there is none. */
  settle(ctx: Context): Promise<void>
  /** As whom the message that `ctx` was extracted from is worked on; rejects with a `TokenError` where it is not. */
  admitMessage(ctx: Context, source: string): Promise<AdmittedMessage>
  explain(destination: string | URL): Explanation
  /** As `relay.prepare`, and resolves with what would be sent now. */
  prepare(destination: string | URL, options: PrepareOptions): Promise<VerifiedCredential | undefined>
  /** Gets another token for the caller where `destination` has answered 401 to `refused`; whether there is one. */
  renew(destination: string | URL, refused: VerifiedCredential): Promise<boolean>
}

const ACTIVE = Symbol.for('otel-token-relay.active')
const registry = globalThis as { [ACTIVE]?: ActiveRelay | undefined }

export function setActiveRelay(relay: ActiveRelay | undefined): void {
  registry[ACTIVE] = relay
}

export function hasActiveRelay(): boolean {
  return registry[ACTIVE] !== undefined
}

/**
 * The relay that is active now.
 *
 * @throws Error where there is none: nothing can be verified, so nothing may pass.
 */
export function activeRelay(): ActiveRelay {
  const relay = registry[ACTIVE]
  if (relay === undefined) throw new Error('no token relay is active in this process')
  return relay
}
