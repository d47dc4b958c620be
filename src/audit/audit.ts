/** Turns auth events into records of an audit trail, and into log records of OpenTelemetry. */

import type { Attributes, Context, Span } from '@opentelemetry/api'
import { isSpanContextValid, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { OptionError } from '../base/option-checks.ts'
import type { AuditSink } from '../telemetry/audit-sink.ts'
import type { AuthEvent } from '../telemetry/events.ts'
import { fingerprint } from '../token/fingerprint.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import { MAX_WAIT_MILLIS, resolveWithin, TrailKeeper } from './keeper.ts'
import type { AuditKey, AuditRecord } from './line.ts'
import { AuditLockedError } from './lock.ts'
import { openOwnTrail } from './own-trail.ts'
import { AuditDamageError } from './recovery.ts'
import type { AuditTrail } from './trail.ts'

/** The part of `Logger` of `@opentelemetry/api-logs` that is used. */
export interface AuditLogger {
  emit(record: AuditLogRecord): void
}

/** A log record as OpenTelemetry describes it. */
export interface AuditLogRecord {
  readonly eventName: string
  readonly timestamp: Date
  readonly severityNumber: number
  readonly severityText: string
  readonly attributes: Record<string, string | number | boolean | string[]>
  readonly context: Context
}

export interface AuditOptions {
  readonly trail: AuditTrail | undefined
  readonly logger: AuditLogger | undefined
  readonly onFailure: 'block' | 'continue'
  readonly subjects: 'hash' | 'omit'
  /** Key of the hashes; `undefined`: the issuer's name is the key. */
  readonly fingerprintKey: string | undefined
}

export interface Audit {
  /** Records an event. */
  readonly record: AuditSink
  /** Whether no token may be admitted or sent, because that could not be recorded. */
  isBlocked(): boolean
  /**
   * Resolves with whether the trail has acknowledged the last recorded event, before which it must not take effect;
   * `undefined` if that does not matter. Never rejects, and waits for 5 seconds at most.
   */
  acknowledged(): Promise<boolean> | undefined
  close(): Promise<void>
}

export interface OpenAuditOptions extends Omit<AuditOptions, 'trail' | 'onFailure'> {
  readonly file: string | undefined
  readonly key: AuditKey
  readonly maxFileBytes: number
  readonly onFailure: 'block' | 'continue' | undefined
}

/**
 * Opens the audit of a relay; `undefined` if it has none. Throws an {@link OptionError} if the file cannot be
 * continued.
 */
export function openAudit({ file, key, maxFileBytes, onFailure, ...options }: OpenAuditOptions): Audit | undefined {
  if (file === undefined && options.logger === undefined) return undefined
  const trail = file === undefined ? undefined : openTrail(file, maxFileBytes, key)
  return createAudit({ ...options, trail, onFailure: onFailure ?? 'continue' })
}

function openTrail(file: string, maxBytes: number, key: AuditKey): AuditTrail {
  try {
    return openOwnTrail({ file, maxBytes, key })
  } catch (error) {
    throw new OptionError('audit.file', problemOf(error))
  }
}

/** The error itself would repeat the path. */
function problemOf(error: unknown): string {
  if (error instanceof AuditDamageError) {
    return 'is no audit trail, has another key, or is damaged: verify it, and move it away'
  }
  if (!(error instanceof AuditLockedError)) return 'cannot be written'
  return error.isAlive
    ? 'another relay writes it: each needs its own file'
    : 'is locked by a relay that may still run: remove the file .lock once it has ended'
}

/** Events that are no decision about a token. */
const NOT_AUDITED: readonly AuthEvent['name'][] = ['auth.key_set.stale', 'resilience.circuit.changed']

export function createAudit({ trail, logger, onFailure, ...naming }: AuditOptions): Audit {
  const blocks = trail !== undefined && onFailure === 'block'
  const keeper = trail === undefined ? undefined : new TrailKeeper(trail)
  let newest: Promise<boolean> | undefined

  function record(event: AuthEvent, attributes: Attributes, span: Span | undefined): void {
    if (NOT_AUDITED.includes(event.name)) return
    try {
      const entry = recordOf(event, attributes, span, naming)
      newest = keeper?.keep(entry)
      if (logger !== undefined) emit(logger, entry, span)
    } catch {
      // Nothing is thrown at the request; what was not recorded was not acknowledged either.
      newest = Promise.resolve(false)
    }
  }

  return {
    record,
    isBlocked: () => blocks && !trail.writable,
    acknowledged: () => (blocks && newest !== undefined ? resolveWithin(MAX_WAIT_MILLIS, newest) : undefined),
    close: async () => keeper?.close(),
  }
}

const NO_SPAN = { traceId: undefined, spanId: undefined }

/** How subjects are named in records. */
type Naming = Pick<AuditOptions, 'subjects' | 'fingerprintKey'>

function recordOf(event: AuthEvent, attributes: Attributes, span: Span | undefined, naming: Naming): AuditRecord {
  const context = span?.spanContext()
  const { traceId, spanId } = context !== undefined && isSpanContextValid(context) ? context : NO_SPAN
  const owner = ownerAttributes(event, naming)
  return {
    timeMillis: Date.now(),
    event: event.name,
    traceId,
    spanId,
    attributes: truncateTexts({ ...attributes, ...owner }),
  }
}

function ownerAttributes(event: AuthEvent, { subjects, fingerprintKey }: Naming): Attributes {
  if (event.name === 'auth.token.revoked') {
    return { 'auth.revocation.fingerprint': fingerprint(event.id, fingerprintKey ?? event.issuer) }
  }
  const owner = ownerOf(event)
  if (owner === undefined) return {}
  const { issuer, subject } = owner
  const isNamed = subjects === 'hash' && subject !== undefined
  return {
    ...(event.name === 'auth.token.withheld' || event.name === 'auth.token.rejected' ? tokenAttributes(owner) : {}),
    ...(isNamed ? { 'auth.token.subject': fingerprint(subject, fingerprintKey ?? issuer) } : {}),
  }
}

function tokenAttributes({ issuer, fingerprint }: VerifiedCredential): Attributes {
  return { 'auth.token.issuer': issuer, 'auth.token.fingerprint': fingerprint }
}

/** Returns the token that an event is about: of an exchange, the caller's. */
function ownerOf(event: AuthEvent): VerifiedCredential | undefined {
  if ('subject' in event && event.subject !== undefined) return event.subject
  if ('credential' in event) return event.credential
  return 'origin' in event ? event.origin : undefined
}

/** Names of queues come from the application, and may be long. */
const MAX_TEXT = 256

function truncateTexts(attributes: Attributes): Attributes {
  const entries = Object.entries(attributes)
  return Object.fromEntries(
    entries.map(([name, value]) => [name, typeof value === 'string' ? value.slice(0, MAX_TEXT) : value]),
  )
}

/** `SEVERITY_NUMBER_INFO` of the logs data model. */
const INFO = 9

function emit(logger: AuditLogger, { timeMillis, event, attributes }: AuditRecord, span: Span | undefined): void {
  try {
    logger.emit({
      eventName: event,
      timestamp: new Date(timeMillis),
      severityNumber: INFO,
      severityText: 'INFO',
      attributes: { ...attributes } as AuditLogRecord['attributes'],
      context: span === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, span),
    })
  } catch {
    // A broken logger must not break a request, nor the trail.
  }
}
