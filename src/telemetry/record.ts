/** Records auth events: in the audit trail, and on spans. The only file that calls `addEvent`. */

import type { Attributes, Span } from '@opentelemetry/api'
import { SpanStatusCode } from '@opentelemetry/api'
import { ignoreErrors } from '../base/ignore-errors.ts'
import type { UnverifiedCredential } from '../token/credential.ts'
import type { TokenError } from '../token/errors.ts'
import { detailOf } from '../token/refusal-detail.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import { actorsOf, pseudonymOf } from '../token/verified-credential.ts'
import { auditSink } from './audit-sink.ts'
import type { AuthEvent, PresentedToken } from './events.ts'
import { logRefusal } from './log-entries.ts'
import { deliversMessage } from './message-spans.ts'
import { redactCapturedHeader, redactWrittenHeader } from './redaction/captured-headers.ts'
import { spanLinksOf } from './span-links.ts'

/**
 * Hands `event` to the audit sink, and records it on `span`. Costs two comparisons without a sink and without a span
 * that records. Never throws.
 */
export function recordOnSpan(span: Span | undefined, event: AuthEvent): void {
  const isRecording = span !== undefined && records(span)
  if (!isRecording && auditSink === undefined) return
  try {
    const attributes = attributesOf(event)
    auditSink?.(event, attributes, span)
    if (!isRecording || span === undefined || isDelivery(event, span)) return
    writeEvent(span, event, attributes)
    const isExchanged = event.name === 'auth.token.forwarded' && event.subject !== undefined
    if (isExchanged) span.addLinks(spanLinksOf(event.credential))
  } catch {
    // A broken SDK must not break a request.
  }
}

/** Why a caller was refused, and with which token. */
export interface Refusal {
  readonly error: TokenError
  /** The token, if it is valid but not sufficient. */
  readonly credential: VerifiedCredential | undefined
  /** The token as it came, and the key of its fingerprint; the name of its issuer if there is none. */
  readonly presented?: UnverifiedCredential | undefined
  readonly fingerprintKey?: string | undefined
  readonly seconds?: number | undefined
  /** The caller was let in nevertheless: `span` did not fail. */
  readonly mode?: 'report' | undefined
}

/** Writes why a caller was refused to the operator's log, and records it on `span`, which failed. Never throws. */
export function recordRefusal(span: Span | undefined, refusal: Refusal): void {
  const { error, credential, seconds, mode } = refusal
  const presented = presentedToken(refusal)
  logRefusal({ error, span, mode, fingerprint: () => (credential ?? presented)?.fingerprint })
  recordOnSpan(span, { name: 'auth.token.rejected', code: error.code, credential, presented, seconds, mode })
  if (span === undefined || !records(span)) return
  ignoreErrors(() => {
    markSpan(span, error, credential ?? presented)
    if (mode === undefined) failSpan(span, error)
    else span.setAttribute('auth.ingress.mode', mode)
  })
}

function presentedToken({ error, presented, fingerprintKey }: Refusal): PresentedToken | undefined {
  const issuer = detailOf(error)?.issuer
  if (issuer === undefined || presented === undefined) return undefined
  return {
    issuer,
    get fingerprint() {
      return presented.fingerprintBy(fingerprintKey ?? issuer)
    },
  }
}

/** What search finds: most back ends search the attributes of spans, and not those of their events. */
function markSpan(span: Span, { retryable }: TokenError, token: PresentedToken | undefined): void {
  span.setAttribute('auth.verification.outcome', retryable ? 'undecided' : 'rejected')
  if (token !== undefined) span.setAttribute('auth.token.fingerprint', token.fingerprint)
}

function failSpan(span: Span, { code }: TokenError): void {
  span.setStatus({ code: SpanStatusCode.ERROR, message: code })
  span.setAttribute('error.type', code)
}

/** The token is inside the message: that the request to the broker has none is no decision to look at. */
function isDelivery(event: AuthEvent, span: Span): boolean {
  return event.name === 'auth.token.withheld' && event.reason === 'not_named' && deliversMessage(span)
}

function records(span: Span): boolean {
  try {
    return span.isRecording()
  } catch {
    return false
  }
}

/** Records `event` on a span that did not exist when the event was audited. Never throws. */
export function copyToSpan(span: Span, event: AuthEvent): void {
  ignoreErrors(() => {
    if (span.isRecording()) writeEvent(span, event, attributesOf(event))
  })
}

function writeEvent(span: Span, event: AuthEvent, attributes: Attributes): void {
  span.addEvent(event.name, attributes)
  if (event.name === 'auth.token.verified') nameSubject(span, event.credential)
  // With the first event of a request: its client may disconnect, and its span end, before the next one.
  if (INCOMING.has(event.name)) redactCapturedHeader(span)
  else redactWrittenHeader(span)
}

function nameSubject(span: Span, credential: VerifiedCredential): void {
  const pseudonym = pseudonymOf(credential)
  if (pseudonym !== undefined) span.setAttribute('enduser.pseudo.id', pseudonym)
}

const INCOMING: ReadonlySet<string> = new Set(['auth.token.verified', 'auth.token.rejected', 'auth.token.ignored'])

function attributesOf(event: AuthEvent): Attributes {
  switch (event.name) {
    case 'auth.token.verified':
      return withDuration(tokenAttributes(event.credential), event.seconds)
    case 'auth.token.rejected':
      return withDuration(
        {
          'error.type': event.code,
          ...identityOf(event.credential ?? event.presented),
          ...(event.mode === undefined ? {} : { 'auth.ingress.mode': event.mode }),
        },
        event.seconds,
      )
    case 'auth.token.ignored':
      return { 'error.type': event.code }
    case 'auth.token.revoked':
      return {
        'auth.token.issuer': event.issuer,
        'auth.revocation.kind': event.kind,
        'auth.revocation.outcome': event.outcome,
      }
    case 'auth.key_set.stale':
      return { 'auth.token.issuer': event.issuer, 'auth.key_set.stale_age': Math.floor(event.ageMillis / 1000) }
    case 'auth.token.opened':
      return { ...event.source }
    case 'auth.message.decided':
      return {
        ...event.source,
        ...subjectAttributes(event.origin),
        'auth.message.verdict': event.verdict,
        ...(event.code === undefined ? {} : { 'error.type': event.code }),
      }
    case 'auth.token.forwarded':
    case 'auth.token.sealed':
      return sentAttributes(event)
    case 'auth.token.exchanged':
    case 'auth.token.renewed':
      return { ...tokenAttributes(event.credential), ...subjectAttributes(event.subject) }
    case 'auth.token.withheld':
      return {
        ...event.destination,
        'auth.decision.reason': event.reason,
        ...(event.rule === undefined ? {} : { 'auth.decision.rule': event.rule }),
        ...identityOf(event.subject),
      }
    case 'resilience.circuit.changed':
      return { ...event.server, 'resilience.circuit.state': event.state }
  }
}

function identityOf(token: PresentedToken | undefined): Attributes {
  return token === undefined ? {} : { 'auth.token.issuer': token.issuer, 'auth.token.fingerprint': token.fingerprint }
}

function withDuration(attributes: Attributes, seconds: number | undefined): Attributes {
  if (seconds !== undefined) attributes['auth.token.verification_duration'] = seconds
  return attributes
}

type SentEvent = Extract<AuthEvent, { readonly name: 'auth.token.forwarded' | 'auth.token.sealed' }>

/** Of every call with a token, so member by member: copies of copies take five times as long. */
function sentAttributes({ credential, subject, destination, rule }: SentEvent): Attributes {
  const attributes = tokenAttributes(credential)
  if (subject !== undefined) attributes['auth.token.subject_fingerprint'] = subject.fingerprint
  Object.assign(attributes, destination)
  attributes['auth.decision.rule'] = rule
  return attributes
}

function subjectAttributes(subject: VerifiedCredential | undefined): Attributes {
  return subject === undefined ? {} : { 'auth.token.subject_fingerprint': subject.fingerprint }
}

function tokenAttributes(credential: VerifiedCredential): Attributes {
  const attributes: Attributes = {
    'auth.token.issuer': credential.issuer,
    'auth.token.fingerprint': credential.fingerprint,
  }
  const actors = actorsOf(credential)
  if (actors.length > 0) attributes['auth.token.actors'] = [...actors]
  const remaining = (credential.expiresAtMillis - Date.now()) / 1000
  if (Number.isFinite(remaining)) attributes['auth.token.expires_in'] = Math.max(0, Math.floor(remaining))
  return attributes
}
