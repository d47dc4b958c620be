/** `createTokenRelay`: the one place where the parts are put together. */

import type { TextMapPropagator } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { ensureContextManager } from './context/context-manager.ts'
import { setCredential } from './context/credential-context.ts'
import { compileRules } from './destination/rules.ts'
import type { Egress } from './egress/egress.ts'
import { installEgress } from './egress/egress.ts'
import { createGate } from './ingress/gate.ts'
import type { RelayInstrumentation } from './ingress/instrumentation.ts'
import { createInstrumentation } from './ingress/instrumentation.ts'
import type { Settings, TokenRelayOptions } from './options.ts'
import { parseOptions } from './options.ts'
import { createPropagator } from './propagation/propagator.ts'
import { Credential } from './token/credential.ts'
import { TokenRejectedError } from './token/errors.ts'
import type { VerifiedCredential } from './token/verified-credential.ts'
import { createIssuer } from './verification/issuer.ts'
import { keySetReporter } from './verification/key-set-reporter.ts'
import type { Verifier } from './verification/verifier.ts'
import { createVerifier } from './verification/verifier.ts'
import { VERSION } from './version.ts'

/** The relay of this process. */
export interface TokenRelay {
  /**
   * Puts incoming tokens into the context, for a `CompositePropagator` beside the W3C ones. Its `inject` writes only to
   * carriers whose destination is known and is not HTTP; HTTP requests are decided on the wire, with or without it.
   */
  readonly propagator: TextMapPropagator
  /**
   * The gate in front of **every** HTTP server of the process, for the `instrumentations` of an SDK or
   * `registerInstrumentations`. Without it, or before it is enabled, requests are not verified.
   */
  readonly instrumentation: RelayInstrumentation
  /**
   * Checks a token as the gate does. It does not check scopes or any other authorization.
   *
   * @throws TokenRejectedError where the token is bad, UndecidedError where that cannot be decided.
   */
  verify(token: string): Promise<VerifiedCredential>
  /** Uninstalls everything. Afterwards no request is verified, nothing is forwarded, and another relay may be created. */
  shutdown(): Promise<void>
}

/** What makes a relay findable for a second copy of this package, and for `runWithToken`. */
interface ActiveRelay {
  readonly version: string
  readonly verify: TokenRelay['verify']
}

const ACTIVE = Symbol.for('otel-token-relay.active')
const registry = globalThis as { [ACTIVE]?: ActiveRelay | undefined }

/** A relay is active already, in this copy of the package or in another one. Its rules would be bypassed by a second. */
export class RelayActiveError extends Error {
  override readonly name = 'RelayActiveError'
  readonly code = 'ERR_RELAY_ACTIVE'

  constructor() {
    super('a token relay is active in this process already: shut it down before creating another one')
  }
}

/**
 * Creates the relay of this process. From here on the egress side is active: verified tokens leave for the named
 * destinations, in `fetch`, `undici`, `http` and `https`. Incoming requests are checked once `instrumentation` is enabled.
 *
 * @throws TypeError with code `ERR_RELAY_OPTION` for a wrong option; names its path, never its value.
 * @throws RelayActiveError with code `ERR_RELAY_ACTIVE` while another relay is active.
 */
export function createTokenRelay(options: TokenRelayOptions): TokenRelay {
  const settings = parseOptions(options)
  if (registry[ACTIVE] !== undefined) throw new RelayActiveError()

  const rules = compileRules(settings.rules)
  const egress = installEgress(rules)
  const relay = assemble(settings, rules, egress)
  registry[ACTIVE] = { version: VERSION, verify: relay.verify }
  return relay
}

function assemble(settings: Settings, rules: ReturnType<typeof compileRules>, egress: Egress): TokenRelay {
  const maxTokenBytes = Math.max(...settings.issuers.map((issuer) => issuer.maxTokenBytes))
  const verifier = createVerifier(
    settings.issuers.map((issuer) => createIssuer(issuer, keySetReporter(issuer.issuer))),
    settings.fingerprintKey,
  )
  let active = true
  const propagator = createPropagator({ maxTokenBytes, rules, onInject: egress.onInject, isActive: () => active })
  const instrumentation = createInstrumentation(createGate({ ...settings.ingress, propagator, verifier }), VERSION)

  return {
    propagator,
    instrumentation,
    verify: async (token) => verify(token, verifier, maxTokenBytes),
    async shutdown() {
      if (!active) return
      active = false
      instrumentation.disable()
      egress.uninstall()
      registry[ACTIVE] = undefined
    },
  }
}

async function verify(token: string, verifier: Verifier, maxTokenBytes: number): Promise<VerifiedCredential> {
  if (typeof token !== 'string') throw new TokenRejectedError('ERR_TOKEN_MALFORMED')
  if (token.length > maxTokenBytes) throw new TokenRejectedError('ERR_TOKEN_TOO_LARGE')
  return verifier.verify(new Credential(token))
}

/**
 * Verifies `token` and runs `fn` as its subject, for jobs that no request started. What `fn` returns is returned.
 *
 * @throws TokenRejectedError, UndecidedError as {@link TokenRelay.verify} does, before `fn` is called.
 * @throws Error where no relay is active.
 */
export async function runWithToken<T>(token: string, fn: () => T): Promise<Awaited<T>> {
  const active = registry[ACTIVE]
  if (active === undefined) throw new Error('no token relay is active in this process')
  ensureContextManager()
  const credential = await active.verify(token)
  return await context.with(setCredential(context.active(), credential), fn)
}
