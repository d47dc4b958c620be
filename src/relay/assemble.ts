/** `createTokenRelay`: makes a relay of the parts that `parts.ts` makes of its options. */

import { isDeepStrictEqual } from 'node:util'
import { context } from '@opentelemetry/api'
import { OptionError } from '../base/option-checks.ts'
import type { Settings, TokenRelayOptions } from '../config/options.ts'
import { parseOptions, parseTokenSource } from '../config/options.ts'
import { shareCredentials, stopSharingCredentials } from '../context/credential-context.ts'
import { explainDestination, hopTo } from '../destination/explain.ts'
import type { Egress } from '../egress/install.ts'
import { installEgress } from '../egress/install.ts'
import type { ActiveRelay } from '../ingress/active-relay.ts'
import { hasActiveRelay, setActiveRelay } from '../ingress/active-relay.ts'
import type { Admit } from '../ingress/admission.ts'
import { createAdmission } from '../ingress/admission.ts'
import type { ActiveAdmitter } from '../ingress/admitter.ts'
import { createAdmitter, createEntrances } from '../ingress/admitter.ts'
import { createGate } from '../ingress/http/gate.ts'
import { createInstrumentation } from '../ingress/http/instrumentation.ts'
import { createOwnAnswers } from '../ingress/http/own-answers.ts'
import type { RelayGate } from '../ingress/http/relay-gate.ts'
import { createRelayGate } from '../ingress/http/relay-gate.ts'
import type { ResourceMetadata } from '../ingress/http/resource-metadata.ts'
import { createResourceMetadata } from '../ingress/http/resource-metadata.ts'
import type { UngatedWatch } from '../ingress/http/ungated.ts'
import { watchUngated } from '../ingress/http/ungated.ts'
import { createMessageAdmitter } from '../messaging/admission.ts'
import { createMessageReader } from '../propagation/message.ts'
import type { RelayPropagator } from '../propagation/propagator.ts'
import { createPropagator } from '../propagation/propagator.ts'
import type { AuditSink } from '../telemetry/audit-sink.ts'
import { setAuditSink } from '../telemetry/audit-sink.ts'
import { logDecision } from '../telemetry/log-entries.ts'
import { createOperatorLog, setOperatorLog } from '../telemetry/operator-log.ts'
import type { ProducerSpans } from '../telemetry/producer-spans.ts'
import { watchProducerSpans } from '../telemetry/producer-spans.ts'
import { concealField } from '../telemetry/redaction/captured-headers.ts'
import { createRedactingProcessor } from '../telemetry/redaction/redacting-processor.ts'
import { VERSION } from '../version.ts'
import { admitExtracted, canVerify, revoke, verifyToken } from './methods.ts'
import type { Parts } from './parts.ts'
import { assembleParts, createErrorCheck } from './parts.ts'
import type { TokenRelay } from './relay.ts'
import { RelayActiveError } from './relay.ts'
import type { SdkState } from './start-line.ts'
import { findSdk, writeStartLine } from './start-line.ts'

/**
 * Creates the relay of this thread. From here on the egress side is active: verified tokens leave for the named
 * destinations, in `fetch`, `undici`, `http`, `https` and gRPC. Incoming requests are checked from here on if the
 * options say `ingress.mode` (`require`, `optional` or `report`), and otherwise once {@link TokenRelay.instrumentation}
 * has been read.
 *
 * @throws TypeError with code `ERR_RELAY_OPTION` for a wrong option; names its path, never its value.
 * @throws RelayActiveError with code `ERR_RELAY_ACTIVE` while another relay is active.
 */
export function createTokenRelay(options: TokenRelayOptions): TokenRelay {
  const { relay, announce } = createRelay(options, () => false)
  // By then the program has usually read `relay.instrumentation` and started its SDK, if it does.
  setImmediate(() => announce(findSdk())).unref()
  return relay
}

/**
 * The same for `register`, which finds out by `isRegisteredWith` whether it has been there before, and announces the
 * relay when it has looked for an SDK.
 */
export function createRegisteredRelay(options: TokenRelayOptions): AnnouncedRelay {
  return createRelay(options, (others) => isDeepStrictEqual(others, options))
}

interface AnnouncedRelay {
  readonly relay: TokenRelay
  /** Writes the start line. */
  readonly announce: (sdk: SdkState) => void
}

function createRelay(options: TokenRelayOptions, isRegisteredWith: ActiveRelay['isRegisteredWith']): AnnouncedRelay {
  const settings = parseOptions(options)
  if (hasActiveRelay()) throw new RelayActiveError()
  const assembled = assemble(settings, options.ingress?.mode !== undefined)
  const relay = createMethods(settings, assembled)
  const { admit, checkScopes, checkRoles, propagator, verify, explain } = relay
  const { gate } = assembled
  shareCredentials()
  setActiveRelay({
    relay,
    ...{
      admit,
      checkScopes,
      checkRoles,
      propagator,
      verify,
      explain,
      ...createInternalMethods(assembled),
      isRegisteredWith,
    },
    version: VERSION,
    egressMode: settings.egress.mode,
    tokenField: settings.ingress.header,
    get intercept() {
      return gate.intercept
    },
  })
  return { relay, announce: (sdk) => writeStartLine(settings, gate.stands(), sdk) }
}

interface Assembled {
  readonly parts: Parts
  readonly lifetime: Lifetime
  readonly egress: Egress
  readonly producers: ProducerSpans
  readonly propagator: RelayPropagator
  readonly messages: ReturnType<typeof createMessageReader>
  readonly admit: Admit
  readonly admitter: ActiveAdmitter
  readonly gate: RelayGate
  readonly ungated: UngatedWatch
}

/** Until when the relay works. */
interface Lifetime {
  isActive: boolean
}

function assemble(settings: Settings, isModeExplicit: boolean): Assembled {
  const parts = assembleParts(settings)
  const { audit, maxTokenBytes, sealing, verifier, preparation, deciding, detector } = parts
  const log = createOperatorLog(settings.telemetry)
  setOperatorLog(log)
  concealField(settings.ingress.header)
  setAuditSink(log?.hasDecisions === true ? withLog(audit?.record) : audit?.record)
  const lifetime: Lifetime = { isActive: true }
  const isActive = (): boolean => lifetime.isActive
  const { decide } = detector
  const egress = installEgress(decide, (ctx, targetOf) => preparation.beforeDispatch(ctx, targetOf))
  const producers = watchProducerSpans()
  const messages = createMessageReader({ rules: deciding.rules, sealing, maxTokenBytes })
  const propagator = createPropagator({
    tokenField: settings.ingress.header,
    ...{ maxTokenBytes, decide, sealing, messages, producers, isActive },
    findPresented: (text) => verifier.findPresented(text),
    onInject: egress.onInject,
  })
  const admit = createAdmission({
    verifier,
    defectOf: createErrorCheck(parts.checkRevocation),
    prepare: preparation.exchangesAtIngress ? (subject) => preparation.exchangeAtIngress(subject) : undefined,
    ...{ audit, fingerprintKey: settings.fingerprintKey },
    tokenField: settings.ingress.header === 'authorization' ? undefined : settings.ingress.header,
  })
  const metadata = metadataOf(settings)
  const resourceMetadata = settings.ingress.resourceMetadata ?? metadata?.url
  const { readyPath, mode, foreignTokens } = settings.ingress
  const entrances = createEntrances(foreignTokens)
  const defaultMode = mode === 'report' ? mode : 'require'
  const admitter = createAdmitter({ propagator, admit, entrances, defaultMode, resourceMetadata })
  const ownAnswers = createOwnAnswers({ metadata, readyPath, isReady: () => isReady(settings, parts, ungated) })
  const intercept = createGate({
    ...settings.ingress,
    ...{ ownAnswers, propagator, admit, entrances, resourceMetadata, isActive },
  })
  const gate = createRelayGate(mode, isModeExplicit, intercept)
  const ungated = watchUngated({
    hasGate: gate.stands,
    isGateOff: mode === 'off',
    others: new Set(hostsOf(settings)),
  })
  return { parts, lifetime, egress, producers, propagator, messages, admit, admitter, gate, ungated }
}

/** In `decisions` the log gets every event, as the audit does. */
function withLog(record: AuditSink | undefined): AuditSink {
  return (event, attributes, span) => {
    record?.(event, attributes, span)
    logDecision(event, attributes, span)
  }
}

function createMethods(settings: Settings, assembled: Assembled): TokenRelay {
  const { parts, propagator, admit, admitter, gate, ungated } = assembled
  const { issuers, exchangers, observed, redaction, deciding, maxTokenBytes } = parts
  const { prepare } = createPreparing(parts)
  const instrumentation = createInstrumentation(gate.stands, VERSION)
  return {
    admit(request, options) {
      ungated.recordQuestion()
      return admitter.admit(request, options)
    },
    checkScopes(credential, scopes) {
      ungated.recordQuestion()
      return admitter.checkScopes(credential, scopes)
    },
    checkRoles(credential, roles) {
      ungated.recordQuestion()
      return admitter.checkRoles(credential, roles)
    },
    propagator,
    get instrumentation() {
      gate.take()
      return instrumentation
    },
    async verify(token) {
      ungated.recordQuestion()
      // Awaited, so that the stack of its error says where the application has called it.
      return await verifyToken(token, admit, maxTokenBytes)
    },
    revoke: async (what) => revoke(what, parts.list),
    explain: (destination) => explainDestination(destination, context.active(), deciding),
    prepare: async (destination, options = {}) => void (await prepare(destination, options)),
    tokenSource(options) {
      const source = exchangers.source(parseTokenSource(options))
      if (source === undefined) throw new OptionError('issuer', 'expected the name of one that has exchange')
      return source
    },
    observedDestinations: () => observed.list(),
    redact: (processor) => createRedactingProcessor(processor, redaction.redact()),
    ready: () => isReady(settings, parts, ungated),
    hydrate: async () => void (await Promise.all(issuers.configured.map(({ keys }) => keys.hydrate()))),
    shutdown: () => shutDown(assembled),
  }
}

function isReady({ revocation }: Settings, { issuers, list, audit }: Parts, ungated: UngatedWatch): boolean {
  // First, because it also fetches the keys that are missing.
  const isVerifying = canVerify(issuers, list, revocation.onUnavailable)
  return isVerifying && audit?.isBlocked() !== true && !ungated.isOpen()
}

async function shutDown({ parts, lifetime, egress, producers, gate, ungated }: Assembled): Promise<void> {
  if (!lifetime.isActive) return
  lifetime.isActive = false
  gate.leave()
  ungated.stop()
  egress.uninstall()
  producers.uninstall()
  parts.detector.uninstall()
  parts.watch.stop()
  setActiveRelay(undefined)
  stopSharingCredentials()
  setAuditSink(undefined)
  setOperatorLog(undefined)
  await parts.audit?.close()
}

type InternalMethods = Pick<
  ActiveRelay,
  'admitActive' | 'admitMessage' | 'discoverTracers' | 'prepare' | 'renew' | 'admitExtracted'
>

/** What other parts of this package call on the active relay. */
function createInternalMethods({ parts, messages, admit, admitter, producers }: Assembled): InternalMethods {
  const { deciding, exchangers, verifier, checkRevocation, audit } = parts
  return {
    ...createPreparing(parts),
    admitActive: admitter.admitActive,
    admitExtracted: (ctx) => admitExtracted(ctx, admit),
    admitMessage: createMessageAdmitter({
      ...{ rules: deciding.rules, exchangers, messages, verifier, checkRevocation, admit, audit },
    }),
    discoverTracers: () => producers.discoverTracers(),
  }
}

function createPreparing({ preparation }: Parts): Pick<ActiveRelay, 'prepare' | 'renew'> {
  return {
    async prepare(destination, options) {
      const { target } = hopTo(String(destination))
      return target === undefined ? undefined : preparation.prepare(context.active(), target, options)
    },
    async renew(destination, refused) {
      const { target } = hopTo(String(destination))
      return target !== undefined && preparation.renew(context.active(), target, refused)
    },
  }
}

/** Host and port of what this process calls by configuration. */
function hostsOf({ issuers, exchanges, rules }: Settings): readonly string[] {
  const urls = [
    ...issuers.flatMap(({ issuer, jwksUri, introspection }) => [issuer, jwksUri, introspection?.endpoint]),
    ...Array.from(exchanges.values(), ({ tokenEndpoint }) => tokenEndpoint),
    ...rules.map(({ to }) => to),
  ]
  return urls.flatMap((url) => (url !== undefined && URL.canParse(url) ? [new URL(url).host] : []))
}

function metadataOf({ ingress, issuers }: Settings): ResourceMetadata | undefined {
  if (ingress.protectedResource === undefined) return undefined
  const authorizationServers = issuers.map(({ issuer }) => issuer).filter((issuer) => URL.canParse(issuer))
  const { protectedResource, header } = ingress
  return createResourceMetadata({ ...protectedResource, authorizationServers, header })
}
