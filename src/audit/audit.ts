/** What becomes of auth events where somebody audits: records in a trail, and log records of OpenTelemetry. */

import type { Attributes, Context, Span } from '@opentelemetry/api'
import { diag, isSpanContextValid, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { measureAuditBacklog, measureAuditFailure } from '../telemetry/audit-metrics.ts'
import type { Auditor } from '../telemetry/auditor.ts'
import type { AuthEvent } from '../telemetry/auth-event.ts'
import { fingerprint } from '../token/fingerprint.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { AuditRecord } from './line.ts'
import type { AuditTrail } from './trail.ts'

/** The part of a `Logger` of `@opentelemetry/api-logs` that is used. */
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
  /** Key of the hashes; `undefined`: the name of the issuer. */
  readonly fingerprintKey: string | undefined
}

export interface Audit {
  readonly tell: Auditor
  /** Whether nothing may be let in or out, because it could not be recorded. */
  isBlocked(): boolean
  /**
   * Whether what was told last may go ahead, which it may not before the trail has acknowledged it. `undefined` where that
   * does not matter. Never rejects, and waits for 5 seconds at most.
   */
  acknowledged(): Promise<boolean> | undefined
  close(): Promise<void>
}

/** What is no decision about a token. */
const UNTOLD: readonly AuthEvent['name'][] = ['auth.token.received', 'auth.key_set.stale', 'resilience.circuit.changed']

/** How long a failing trail is left alone before it is tried again, in milliseconds: a little more than it wants. */
const PROBE_MILLIS = 1_100
const MAX_WAIT_MILLIS = 5_000

export function createAudit({ trail, logger, onFailure, ...telling }: AuditOptions): Audit {
  const blocks = trail !== undefined && onFailure === 'block'
  const keeper = trail === undefined ? undefined : createKeeper(trail)
  let newest: Promise<boolean> | undefined

  function tell(event: AuthEvent, attributes: Attributes, span: Span | undefined): void {
    if (UNTOLD.includes(event.name)) return
    try {
      const record = recordOf(event, attributes, span, telling)
      newest = keeper?.keep(record)
      if (logger !== undefined) emit(logger, record, span)
    } catch {
      // Nothing is thrown at the request; what was not told was not acknowledged either.
      newest = Promise.resolve(false)
    }
  }

  return {
    tell,
    isBlocked: () => blocks && !trail.writable,
    acknowledged: () => (blocks && newest !== undefined ? atMost(newest, MAX_WAIT_MILLIS) : undefined),
    close: async () => keeper?.close(),
  }
}

interface Keeper {
  /** Whether the record is in the trail for good. Never rejects. */
  keep(record: AuditRecord): Promise<boolean>
  close(): Promise<void>
}

/** Watches over a trail: tells its outages once each, ends them, and leaves a record of what they have cost. */
function createKeeper(trail: AuditTrail): Keeper {
  let lost = 0
  let probe: NodeJS.Timeout | undefined

  async function append(record: AuditRecord): Promise<boolean> {
    measureAuditBacklog(1)
    try {
      await trail.append(record)
      return true
    } catch {
      return false
    } finally {
      measureAuditBacklog(-1)
    }
  }

  function fail(): void {
    lost += 1
    measureAuditFailure()
    if (probe !== undefined) return
    diag.error('otel-token-relay: the audit trail cannot be written')
    probe = setInterval(resume, PROBE_MILLIS).unref()
  }

  async function resume(): Promise<void> {
    const missing = lost
    if (!(await append(resumption(missing))) || probe === undefined) return
    lost -= missing
    if (lost > 0) return
    clearInterval(probe)
    probe = undefined
    diag.warn('otel-token-relay: the audit trail is written again')
  }

  return {
    async keep(record) {
      const isKept = await append(record)
      if (!isKept) fail()
      return isKept
    },
    async close() {
      clearInterval(probe)
      // A disk that does not answer must not keep the process.
      await atMost(
        trail.close().then(
          () => true,
          () => false,
        ),
        MAX_WAIT_MILLIS,
      )
    },
  }
}

/** How many records are missing here, or may be: a reader of the trail has to know. */
function resumption(lost: number): AuditRecord {
  const attributes = { 'auth.audit.lost': lost }
  return { timeMillis: Date.now(), event: 'auth.audit.resumed', traceId: undefined, spanId: undefined, attributes }
}

const NOWHERE = { traceId: undefined, spanId: undefined }

type Telling = Pick<AuditOptions, 'subjects' | 'fingerprintKey'>

function recordOf(event: AuthEvent, attributes: Attributes, span: Span | undefined, telling: Telling): AuditRecord {
  const there = span?.spanContext()
  const { traceId, spanId } = there !== undefined && isSpanContextValid(there) ? there : NOWHERE
  const who = whoseOf(event, telling)
  return { timeMillis: Date.now(), event: event.name, traceId, spanId, attributes: clipped({ ...attributes, ...who }) }
}

function whoseOf(event: AuthEvent, { subjects, fingerprintKey }: Telling): Attributes {
  if (event.name === 'auth.token.revoked') {
    return { 'auth.revocation.fingerprint': fingerprint(event.id, fingerprintKey ?? event.issuer) }
  }
  const owner = ownerOf(event)
  if (owner === undefined) return {}
  const { issuer, subject } = owner
  const isTold = subjects === 'hash' && subject !== undefined
  return {
    ...(event.name === 'auth.token.withheld' || event.name === 'auth.token.rejected' ? namesOf(owner) : {}),
    ...(isTold ? { 'auth.token.subject': fingerprint(subject, fingerprintKey ?? issuer) } : {}),
  }
}

function namesOf({ issuer, fingerprint }: VerifiedCredential): Attributes {
  return { 'auth.token.issuer': issuer, 'auth.token.fingerprint': fingerprint }
}

/** Whose token an event is about: of an exchange, the one for whom it was made. */
function ownerOf(event: AuthEvent): VerifiedCredential | undefined {
  if ('subject' in event && event.subject !== undefined) return event.subject
  if ('credential' in event) return event.credential
  return 'origin' in event ? event.origin : undefined
}

/** Names of queues are the application's, and as long as it likes. */
const MAX_TEXT = 256

function clipped(attributes: Attributes): Attributes {
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

async function atMost(promise: Promise<boolean>, millis: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, millis, false)
  })
  const isIn = await Promise.race([promise, late])
  clearTimeout(timer)
  return isIn
}
