/** Writes auth events on spans. The only file that calls `addEvent`, for the day when OpenTelemetry wants log events. */

import type { Attributes, Span } from '@opentelemetry/api'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import { actorsOf } from '../token/verified-credential.ts'
import { auditor } from './auditor.ts'
import type { AuthEvent } from './auth-event.ts'
import { concealCapturedHeader, concealWrittenHeader } from './captured-headers.ts'
import { linksTo } from './token-origins.ts'

/**
 * Tells `event` to whoever audits, and records it on `span`. Costs next to nothing where nobody audits and the span is
 * unsampled, has ended, or is not there. Never throws.
 */
export function recordOnSpan(span: Span | undefined, event: AuthEvent): void {
  const isRecording = span?.isRecording() === true
  if (!isRecording && auditor === undefined) return
  try {
    const attributes = attributesOf(event)
    auditor?.(event, attributes, span)
    if (!isRecording) return
    span.addEvent(event.name, attributes)
    conceal(span, event)
    const isExchanged = event.name === 'auth.token.forwarded' && event.subject !== undefined
    if (isExchanged) span.addLinks(linksTo(event.credential))
  } catch {
    // A span of a broken SDK must not break the request it belongs to.
  }
}

const INCOMING: ReadonlySet<string> = new Set(['auth.token.received', 'auth.token.verified', 'auth.token.rejected'])

/** With the first event of a request already: its client may go, and its span end, before there is another one. */
function conceal(span: Span, { name }: AuthEvent): void {
  if (INCOMING.has(name)) concealCapturedHeader(span)
  else concealWrittenHeader(span)
}

function attributesOf(event: AuthEvent): Attributes {
  switch (event.name) {
    case 'auth.token.received':
      return {}
    case 'auth.token.verified':
      return tokenAttributes(event.credential)
    case 'auth.token.rejected':
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
      return {
        ...tokenAttributes(event.credential),
        ...subjectAttributes(event.subject),
        ...event.destination,
        'auth.decision.rule': event.rule,
      }
    case 'auth.token.exchanged':
    case 'auth.token.renewed':
      return { ...tokenAttributes(event.credential), ...subjectAttributes(event.subject) }
    case 'auth.token.withheld':
      return {
        ...event.destination,
        'auth.decision.reason': event.reason,
        ...(event.rule === undefined ? {} : { 'auth.decision.rule': event.rule }),
      }
    case 'resilience.circuit.changed':
      return { ...event.server, 'resilience.circuit.state': event.state }
  }
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
