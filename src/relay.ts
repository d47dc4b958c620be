/** `createTokenRelay`: the one place where the parts are put together. */

import process from 'node:process'
import type { Context, TextMapPropagator } from '@opentelemetry/api'
import { context, trace } from '@opentelemetry/api'
import type { Audit } from './audit/audit.ts'
import { openAudit } from './audit/open.ts'
import { ensureContextManager } from './context/context-manager.ts'
import { getSlot, setCredential, setSlot } from './context/credential-context.ts'
import type { SlotState } from './context/slot.ts'
import { CredentialSlot } from './context/slot.ts'
import type { Decision } from './destination/decision.ts'
import { createDecide } from './destination/decision.ts'
import { createDetector } from './destination/detector.ts'
import type { Explanation } from './destination/explain.ts'
import { explainDestination, hopTo } from './destination/explain.ts'
import type { ObservedDestination, ObservedDestinations } from './destination/observed.ts'
import { createObservedDestinations } from './destination/observed.ts'
import { isWorker } from './destination/pattern.ts'
import type { Rule } from './destination/rules.ts'
import { compileRules } from './destination/rules.ts'
import { installEgress } from './egress/egress.ts'
import { createExchangers } from './exchange/exchangers.ts'
import { createPreparation } from './exchange/preparation.ts'
import type { Sharing } from './exchange/shared-source.ts'
import { MAX_KEPT_CHARS } from './exchange/shared-source.ts'
import type { GetTokenOptions, TokenSource } from './exchange/token-source.ts'
import type { ActiveRelay } from './ingress/active-relay.ts'
import { activeRelay, hasActiveRelay, setActiveRelay } from './ingress/active-relay.ts'
import type { Admitter } from './ingress/admission.ts'
import { createAdmitter } from './ingress/admission.ts'
import { createGate } from './ingress/gate.ts'
import type { RelayInstrumentation } from './ingress/instrumentation.ts'
import { createInstrumentation } from './ingress/instrumentation.ts'
import type { ResourceMetadata } from './ingress/resource-metadata.ts'
import { createResourceMetadata } from './ingress/resource-metadata.ts'
import { createMessageAdmitter } from './messaging/admission.ts'
import type { Settings, TokenRelayOptions } from './options.ts'
import { OptionError, parseOptions, parseTokenSource } from './options.ts'
import type { TokenSourceOptions } from './options-token-source.ts'
import { createMessageReader } from './propagation/message.ts'
import { createPropagator } from './propagation/propagator.ts'
import type { OnUnavailable, RevocationCheck } from './revocation/check.ts'
import { createRevocationCheck } from './revocation/check.ts'
import type { RevocationEntry, RevocationList } from './revocation/list.ts'
import { normalizeEntry } from './revocation/list.ts'
import { createMemoryRevocationList } from './revocation/memory.ts'
import { createCredentialWatch } from './revocation/watch.ts'
import { measuredSealing } from './sealing/measured-sealing.ts'
import { createMemoryReplayWindow } from './sealing/replay-window.ts'
import type { Sealing } from './sealing/sealing.ts'
import { createSealing } from './sealing/sealing.ts'
import type { Threads } from './sealing/threads.ts'
import { threadsOf } from './sealing/threads.ts'
import { setAuditor } from './telemetry/auditor.ts'
import type { AuthEvent, RevocationOutcome } from './telemetry/auth-event.ts'
import { measureDecision } from './telemetry/decision-metrics.ts'
import { watchProducerSpans } from './telemetry/producer-spans.ts'
import { redactingProcessor } from './telemetry/redacting-processor.ts'
import { createRedaction } from './telemetry/redaction.ts'
import { measureRevocation } from './telemetry/revocation-metrics.ts'
import { recordOnSpan } from './telemetry/span-events.ts'
import { Credential } from './token/credential.ts'
import type { TokenError } from './token/errors.ts'
import { TokenRejectedError, UndecidedError, withStack } from './token/errors.ts'
import type { CredentialTraits, VerifiedCredential } from './token/verified-credential.ts'
import { isVerifiedCredential } from './token/verified-credential.ts'
import type { Issuers } from './verification/issuers.ts'
import { createIssuers } from './verification/issuers.ts'
import { keySetReporter } from './verification/key-set-reporter.ts'
import { measuredVerifier } from './verification/measured-verifier.ts'
import type { Verifier } from './verification/verifier.ts'
import { createVerifier } from './verification/verifier.ts'
import { VERSION } from './version.ts'

/** The relay of this process. */
export interface TokenRelay extends Admitter {
  /**
   * Puts incoming tokens into the context, for a `CompositePropagator` beside the W3C ones. Its `inject` writes only to
   * carriers whose destination is known and is not HTTP; HTTP requests and calls of `@grpc/grpc-js` are decided on the
   * wire, with or without it.
   */
  readonly propagator: TextMapPropagator
  /**
   * The gate in front of **every** HTTP server of the process, for the `instrumentations` of an SDK or
   * `registerInstrumentations`. Without it, or before it is enabled, requests are not verified.
   */
  readonly instrumentation: RelayInstrumentation
  /**
   * Checks a token as the gate does: `requiredScopes` of its issuer included, no other authorization.
   *
   * @throws TokenRejectedError where the token is bad, InsufficientScopeError where it is good and not enough,
   * UndecidedError where that cannot be decided.
   */
  verify(token: string): Promise<VerifiedCredential>
  /**
   * Takes back one verified token, by its `jti`, or what `entry` says. From now on this process refuses it, incoming and
   * outgoing; the others that share the list do when the promise is fulfilled, or at most a second later.
   *
   * @throws TypeError where an entry is not valid, or a credential has no `tokenId`: take back its session or subject.
   * @throws Error of the list where the others could not be told; this process refuses the token nevertheless.
   */
  revoke(what: VerifiedCredential | RevocationEntry): Promise<void>
  /**
   * Whether tokens can be decided now: the keys of every configured issuer are there, and the revocation list can be
   * trusted. For readiness probes, which also keep the keys fresh where few requests come: what is missing or about to
   * be too old is asked for in the background, as often as is fair.
   * Issuers that are asked about their tokens (`introspection`) and those of `resolveIssuer` do not count.
   */
  ready(): boolean
  /**
   * Fetches the keys of all configured issuers, so that the first request does not wait for them.
   *
   * @throws UndecidedError where an issuer cannot be reached. The relay goes on trying when it is asked.
   */
  hydrate(): Promise<void>
  /**
   * What would happen to the caller's token at `destination`, a URL or a destination as rules name it, and why. Where
   * nobody is calling: to a good token. What only the wire shows (proxies, sockets, redirects, own headers) is not known
   * here. A URL with a user name is explained for clients that make an `Authorization` of it.
   */
  explain(destination: string | URL): Explanation
  /**
   * Where requests of callers went while `egress.mode` is `report`, the most frequent destination first; 1000 at most.
   * Empty while the mode is `enforce`.
   */
  observedDestinations(): readonly ObservedDestination[]
  /**
   * Gets what a request of the caller to `destination` will need (`exchange` of its rule), for clients that cannot wait
   * when they send it. Resolves at once where nothing would be sent anyway: nobody is calling, no rule names the
   * destination, or `egress.mode` is `report`.
   *
   * @throws ExchangeError where no token can be had, or none that outlives `validForMillis`; TokenRejectedError where the
   * caller's own is not good any more, UndecidedError where that cannot be found out; the reason of `signal` where that
   * is aborted.
   */
  prepare(destination: string | URL, options?: GetTokenOptions): Promise<void>
  /**
   * Tokens that nobody presents: of this service itself, or of whoever a refresh token was issued for. For `runAs`. Make
   * one source and keep it: each has a token of its own.
   *
   * @throws TypeError with code `ERR_RELAY_OPTION` where no issuer has `exchange`, or a member is wrong.
   */
  tokenSource(options: TokenSourceOptions): TokenSource
  /**
   * A processor of spans or log records that passes everything on to `processor` without tokens: those that this relay has
   * verified or exchanged lately, by value, and whatever is shaped like a JWT or a JWE, as they are and in the usual
   * encodings, in pieces of 12 characters and more. Attributes, events, links, status, resource, body and name are looked
   * through; `[REDACTED]` stands where something was. What is exported by other processors is not looked at.
   */
  redact<T extends object>(processor: T): T
  /** Uninstalls everything. Afterwards no request is verified, nothing is forwarded, and another relay may be created. */
  shutdown(): Promise<void>
}

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
 * destinations, in `fetch`, `undici`, `http`, `https` and gRPC. Incoming requests are checked once `instrumentation` is enabled.
 *
 * @throws TypeError with code `ERR_RELAY_OPTION` for a wrong option; names its path, never its value.
 * @throws RelayActiveError with code `ERR_RELAY_ACTIVE` while another relay is active.
 */
export function createTokenRelay(options: TokenRelayOptions): TokenRelay {
  const settings = parseOptions(options)
  if (hasActiveRelay()) throw new RelayActiveError()

  const { relay, ...internal } = assemble(settings)
  setActiveRelay({ ...relay, ...internal, version: VERSION, egressMode: settings.egress.mode })
  return relay
}

interface Assembled extends Pick<ActiveRelay, 'admitMessage' | 'expectCaller' | 'prepare' | 'renew' | 'settle'> {
  readonly relay: TokenRelay
}

/** Longest token that any issuer may accept: those of a resolver are not known in advance. */
const MAX_TOKEN_BYTES = 65_536

function assemble(settings: Settings): Assembled {
  const limits = settings.issuers.map((issuer) => issuer.maxTokenBytes)
  const maxTokenBytes = settings.resolveIssuer === undefined ? Math.max(...limits) : MAX_TOKEN_BYTES
  const { fingerprintKey } = settings
  const audit = openAudit({ ...settings.audit, fingerprintKey })
  setAuditor(audit?.tell)
  const list = settings.revocation.list ?? createMemoryRevocationList()
  const { watch, verifier, redaction, ...verification } = assembleVerification(settings, list)
  const { issuers } = verification
  const observed = createObservedDestinations()
  const threads = threadsOf(settings.rules.some(({ pattern }) => isWorker(pattern)))
  const sealing = sealingOf(settings, maxTokenBytes, threads)
  const rules = settings.sealing.keys.length > 0 ? settings.rules : sealedFor(settings.rules, threads)
  const { exchangers, preparation, deciding } = assembleExchange({ ...settings, rules }, verification, sealing, audit)
  const observe = settings.egress.mode === 'report' ? reportTo(observed) : count
  const detector = createDetector(settings.egress.detector, deciding.rules, createDecide(deciding, observe))
  const { decide } = detector
  const egress = installEgress(decide, preparation.before)
  let active = true
  const producers = watchProducerSpans()
  const messages = createMessageReader({ rules: deciding.rules, sealing, maxTokenBytes })
  const propagator = createPropagator({
    maxTokenBytes,
    recognize: verifier.recognize,
    decide,
    sealing,
    messages,
    producers,
    onInject: egress.onInject,
    isActive: () => active,
  })
  const metadata = metadataOf(settings)
  const resourceMetadata = settings.ingress.resourceMetadata ?? metadata?.url
  const admitter = createAdmitter({ propagator, verifier, resourceMetadata, prepare: preparation.admit, audit })
  const instrumentation = createInstrumentation(createGate({ ...settings.ingress, metadata, admitter }), VERSION)

  const prepare: ActiveRelay['prepare'] = async (destination, options) => {
    const { target } = hopTo(String(destination))
    return target === undefined ? undefined : preparation.prepare(context.active(), target, options)
  }
  const renew: ActiveRelay['renew'] = async (destination, refused) => {
    const { target } = hopTo(String(destination))
    return target !== undefined && preparation.renew(context.active(), target, refused)
  }
  const relay: TokenRelay = {
    admit: admitter.admit,
    checkScopes: admitter.checkScopes,
    propagator,
    instrumentation,
    verify: async (token) => verify(token, verifier, maxTokenBytes, audit),
    revoke: async (what) => revoke(what, list),
    explain: (destination) => explainDestination(destination, context.active(), deciding),
    prepare: async (destination, options = {}) => void (await prepare(destination, options)),
    tokenSource(options) {
      const source = exchangers.source(parseTokenSource(options))
      if (source === undefined) throw new OptionError('issuer', 'expected the name of one that has exchange')
      return source
    },
    observedDestinations: () => observed.list(),
    redact: (processor) => redactingProcessor(processor, redaction.redact()),
    ready: () => audit?.isBlocked() !== true && isReady(issuers, list, settings.revocation.onUnavailable),
    hydrate: async () => void (await Promise.all(issuers.configured.map(({ keys }) => keys.hydrate()))),
    async shutdown() {
      if (!active) return
      active = false
      instrumentation.disable()
      egress.uninstall()
      producers.uninstall()
      detector.uninstall()
      watch.stop()
      setActiveRelay(undefined)
      setAuditor(undefined)
      await audit?.close()
    },
  }
  const settleIn: ActiveRelay['settle'] = (ctx) => settle(ctx, verifier, audit)
  const { checkRevocation } = verification
  const reading = { rules: deciding.rules, exchangers, messages, verifier, checkRevocation, settle: settleIn, audit }
  const admitMessage = createMessageAdmitter(reading)
  return { relay, prepare, renew, settle: settleIn, admitMessage, expectCaller: producers.discover }
}

/** Where no key is configured, hand-overs are for threads of this process. */
function sealedFor(rules: readonly Rule[], threads: Threads | undefined): readonly Rule[] {
  return rules.map((rule) => (isWorker(rule.pattern) ? { ...rule, seal: threads?.key.kid ?? true } : rule))
}

function sealingOf(settings: Settings, maxTokenBytes: number, threads: Threads | undefined): Sealing {
  const { sealing } = settings
  const replayWindow = sealing.replayWindow ?? createMemoryReplayWindow()
  const handOverWindow = sealing.replayWindow ?? threads?.window ?? replayWindow
  const producer = producerOf(settings)
  return measuredSealing(createSealing({ ...sealing, producer, replayWindow, maxTokenBytes, threads, handOverWindow }))
}

/** For exchanged tokens, which are opened any number of times, and by whoever has the secret. */
function sharedSealingOf(settings: Settings): Sealing {
  const { sealing } = settings
  const keys = sealing.keys.filter(({ alg }) => alg === 'A256KW')
  const replayWindow = { count: () => 1 }
  return createSealing({
    ...sealing,
    keys,
    producer: producerOf(settings),
    replayWindow,
    maxTokenBytes: MAX_KEPT_CHARS,
  })
}

function producerOf({ sealing, issuers }: Settings): string {
  return sealing.producer ?? (process.env['OTEL_SERVICE_NAME'] || issuers[0]?.audience?.[0]) ?? 'unknown'
}

function defects(checkRevocation: RevocationCheck): Sharing['defectOf'] {
  return (token) => {
    if (token.expiresAtMillis <= Date.now()) return 'ERR_TOKEN_EXPIRED'
    const verdict = checkRevocation(token)
    if (verdict === 'good') return undefined
    return verdict === 'revoked' ? 'ERR_TOKEN_REVOKED' : 'ERR_TOKEN_REVOCATION_UNAVAILABLE'
  }
}

function count(decision: Decision): void {
  const { verdict, rule } = decision
  if (verdict === 'withhold') return measureDecision({ verdict, reason: decision.reason, rule: rule?.to })
  const { expiresAtMillis } = decision.credential
  measureDecision({ verdict, reason: undefined, rule: rule?.to, expiresAtMillis })
}

function reportTo(observed: ObservedDestinations): (decision: Decision) => void {
  return (decision) => {
    count(decision)
    observed.add(decision)
  }
}

function metadataOf({ ingress, issuers }: Settings): ResourceMetadata | undefined {
  if (ingress.protectedResource === undefined) return undefined
  const authorizationServers = issuers.map(({ issuer }) => issuer).filter((issuer) => URL.canParse(issuer))
  return createResourceMetadata({ ...ingress.protectedResource, authorizationServers })
}

function assembleVerification(settings: Settings, list: RevocationList) {
  const { fingerprintKey, cache, revocation, telemetry } = settings
  const issuers = createIssuers(settings.issuers, settings.resolveIssuer, keySetReporter)
  const checkRevocation = createRevocationCheck(list, revocation.onUnavailable)
  const watch = createCredentialWatch(checkRevocation)
  const redaction = createRedaction()
  const { remember } = redaction
  const traits: CredentialTraits = { fingerprintKey, actors: telemetry.actors, watch: watch.signalFor, remember }
  const verifier = measuredVerifier(createVerifier({ issuers, checkRevocation, traits, maxEntries: cache.maxEntries }))
  return { issuers, checkRevocation, watch, traits, verifier, redaction }
}

type Verification = Pick<ReturnType<typeof assembleVerification>, 'issuers' | 'checkRevocation' | 'traits'>

function assembleExchange(
  settings: Settings,
  { issuers, checkRevocation, traits }: Verification,
  sealing: Sealing,
  audit: Audit | undefined,
) {
  const { exchanges, rules: listed, egress } = settings
  const sharing = { sealing: sharedSealingOf(settings), defectOf: defects(checkRevocation) }
  const exchangers = createExchangers({ settings: exchanges, issuers, traits, sharing })
  const isBlocked = (): boolean => audit?.isBlocked() === true
  const matching = { rules: compileRules(listed), hasSealingKey: sealing.hasKey }
  const rules = { ...matching, checkRevocation, mode: egress.mode, isBlocked }
  const preparation = createPreparation({ ...rules, listed, exchangers: exchangers.byIssuer })
  return { exchangers, preparation, deciding: { ...rules, exchanged: preparation.exchanged } }
}

function isReady({ configured }: Issuers, list: RevocationList, onUnavailable: OnUnavailable): boolean {
  const waiting = configured.filter(({ keys, introspection }) => introspection === undefined && !keys.isReady())
  return waiting.length === 0 && (list.available || onUnavailable === 'accept')
}

async function revoke(what: VerifiedCredential | RevocationEntry, list: RevocationList): Promise<void> {
  const entry = isVerifiedCredential(what) ? entryOf(what) : what
  const { kind, issuer, value: id } = normalizeEntry(entry)
  const tell = (outcome: RevocationOutcome): void => {
    measureRevocation(kind, outcome)
    recordOnSpan(trace.getActiveSpan(), { name: 'auth.token.revoked', kind, outcome, issuer, id })
  }
  try {
    await list.revoke(entry)
  } catch (error) {
    tell('failure')
    throw error
  }
  tell('success')
}

function entryOf({ issuer, tokenId, expiresAtMillis }: VerifiedCredential): RevocationEntry {
  if (tokenId === undefined) throw new TypeError('credential: has no tokenId; revoke its session or its subject')
  return { issuer, tokenId, expiresAtMillis }
}

/** Told to whoever audits, and on no span: it is the application that asks, and is answered. */
async function verify(
  token: string,
  verifier: Verifier,
  maxTokenBytes: number,
  audit: Audit | undefined,
): Promise<VerifiedCredential> {
  try {
    const credential = await verifyText(token, verifier, maxTokenBytes)
    recordOnSpan(undefined, { name: 'auth.token.verified', credential })
    await acknowledged(audit)
    return credential
  } catch (error) {
    recordOnSpan(undefined, { name: 'auth.token.rejected', code: (error as TokenError).code, credential: undefined })
    throw withStack(error)
  }
}

async function verifyText(token: string, verifier: Verifier, maxTokenBytes: number): Promise<VerifiedCredential> {
  if (typeof token !== 'string') throw new TokenRejectedError('ERR_TOKEN_MALFORMED')
  if (token.length > maxTokenBytes) throw new TokenRejectedError('ERR_TOKEN_TOO_LARGE')
  return verifier.verify(new Credential(token))
}

/** Rejects where what was told last could not be recorded, and must not go ahead then. */
async function acknowledged(audit: Audit | undefined): Promise<void> {
  if ((await audit?.acknowledged()) === false) throw new UndecidedError('ERR_TOKEN_AUDIT_UNAVAILABLE', 1)
}

/**
 * Verifies `token` and runs `fn` as its subject, for jobs that no request started. What `fn` returns is returned.
 *
 * @throws TokenRejectedError, UndecidedError as {@link TokenRelay.verify} does, before `fn` is called.
 * @throws Error where no relay is active.
 */
export async function runWithToken<T>(token: string, fn: () => T): Promise<Awaited<T>> {
  const relay = activeRelay()
  ensureContextManager()
  relay.expectCaller()
  const credential = await relay.verify(token)
  return await context.with(setCredential(context.active(), credential), fn)
}

/**
 * Runs `fn` as whoever the tokens of `source` are for, for work that no request started. However long it takes, what it
 * sends is the token that `source` has at that moment; while it has none, nothing. What `fn` returns is returned.
 *
 * @throws ExchangeError where there is no token, before `fn` is called.
 * @throws TypeError where `source` gives something else than a token that the relay has verified.
 * @throws Error where no relay is active.
 */
export async function runAs<T>(source: TokenSource, fn: () => T): Promise<Awaited<T>> {
  activeRelay().expectCaller()
  ensureContextManager()
  const first = await source.get()
  if (!isVerifiedCredential(first)) throw new TypeError('source: expected tokens that the relay has verified')
  const slot = CredentialSlot.renewed(source, first)
  return await context.with(setSlot(context.active(), slot), fn)
}

/** As the gate does it for requests: the token is told of on the span of the message, or on the active one. */
async function settle(ctx: Context, verifier: Verifier, audit: Audit | undefined): Promise<void> {
  // Before a sealed token is opened, which can be done once.
  if (audit?.isBlocked() === true) throw new UndecidedError('ERR_TOKEN_AUDIT_UNAVAILABLE', 1)
  const slot = getSlot(ctx) ?? CredentialSlot.presented({ kind: 'none' })
  const told = trace.getSpan(ctx)?.isRecording() === true ? ctx : context.active()
  const record = (event: AuthEvent): void => recordOnSpan(trace.getSpan(told), event)
  const isNew = slot.state.status !== 'verified' && slot.state.status !== 'absent'
  if (isNew) record({ name: 'auth.token.received' })
  const state = await context.with(told, () => slot.settle(verifier))
  const error = await refusalOf(state, isNew, verifier)
  if (error === undefined && state.status === 'verified') {
    if (!isNew) return
    record({ name: 'auth.token.verified', credential: state.credential })
    await acknowledged(audit)
    return
  }
  const refusal = error ?? new TokenRejectedError('ERR_TOKEN_MISSING')
  record({ name: 'auth.token.rejected', code: refusal.code, credential: undefined })
  throw withStack(refusal)
}

/** A message that is worked on again, later, may have a token that has expired or was revoked meanwhile. */
async function refusalOf(state: SlotState, isNew: boolean, verifier: Verifier): Promise<TokenError | undefined> {
  if (state.status === 'rejected') return state.error
  if (state.status !== 'verified' || isNew) return undefined
  // `createVerifiedCredential` made it, which extends the other.
  const credential = state.credential as VerifiedCredential & Credential
  return verifier.verify(credential).then(
    () => undefined,
    (error: unknown) => error as TokenError,
  )
}

/**
 * Runs `fn` in `ctx` as the caller whose token `propagation.extract` has put there: opened where it was sealed, and
 * verified as any other. For consumers of messages, after {@link setSource}. What `fn` returns is returned.
 *
 * @throws SealError where the token cannot be opened there, TokenRejectedError where it is bad or there is none,
 * InsufficientScopeError, UndecidedError, all before `fn` is called.
 * @throws Error where no relay is active.
 */
export async function runAsCaller<T>(ctx: Context, fn: () => T): Promise<Awaited<T>> {
  const relay = activeRelay()
  ensureContextManager()
  await relay.settle(ctx)
  return await context.with(ctx, fn)
}
