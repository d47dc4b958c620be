/** What becomes a line of the operator's log: refusals, problems, and in `decisions` every event of a token. */

import type { Attributes, Span } from '@opentelemetry/api'
import { diag, isSpanContextValid } from '@opentelemetry/api'
import { ignoreErrors } from '../base/ignore-errors.ts'
import type { TokenError } from '../token/errors.ts'
import { detailOf, textOf } from '../token/refusal-detail.ts'
import type { AuthEvent } from './events.ts'
import { operatorLog } from './operator-log.ts'

/** A caller that was refused, or would be: in `report` they are let in. */
export interface LoggedRefusal {
  readonly error: TokenError
  readonly span: Span | undefined
  readonly mode: 'report' | undefined
  /** Called if there is room for the line. */
  readonly fingerprint: () => string | undefined
}

/** A refusal, as `401 CODE: why`. */
export function logRefusal({ error, span, mode, fingerprint }: LoggedRefusal): void {
  if (operatorLog === undefined) return
  const { code, status } = error
  const detail = detailOf(error)
  operatorLog.write({
    severity: 'warn',
    event: 'auth.token.rejected',
    // Without the note, which differs each time.
    cause: `${code} ${detail?.found ?? ''} ${detail?.expected ?? ''}`,
    message: `${mode === undefined ? '' : 'would be '}${status} ${code}: ${detail === undefined ? error.message : textOf(detail)}`,
    attributes: () => ({
      'error.type': code,
      ...(mode === undefined ? { 'http.response.status_code': status } : { 'auth.ingress.mode': mode }),
      ...withoutUndefined({ 'auth.token.issuer': detail?.issuer, 'auth.token.fingerprint': fingerprint() }),
      ...spanAttributes(span),
    }),
  })
}

/** A problem of the service itself. `about` names what has it, as configured; the severity is `warn` by default. */
export interface Problem {
  readonly message: string
  /** Problems with one cause are limited together. Default: the message. */
  readonly cause?: string
  readonly severity?: 'warn' | 'error'
  readonly attributes?: Readonly<Record<string, unknown>>
}

/** Writes a problem to the operator's log, and to that of OpenTelemetry (`diag`). Never throws. */
export function reportProblem({ message, cause = message, severity = 'warn', attributes = {} }: Problem): void {
  ignoreErrors(() => diag[severity](`otel-token-relay: ${message}`))
  operatorLog?.write({ severity, event: 'problem', cause, message, attributes: () => attributes })
}

/** The events that have lines of their own already, or are problems. */
const ELSEWHERE: readonly string[] = ['auth.token.rejected', 'auth.token.withheld', 'auth.key_set.stale']

/** Writes a decision that is in order. For the audit sink, which gets every event. */
export function logDecision(event: AuthEvent, attributes: Attributes, span: Span | undefined): void {
  if (operatorLog === undefined || ELSEWHERE.includes(event.name)) return
  const rule = 'rule' in event ? event.rule : undefined
  operatorLog.write({
    severity: 'info',
    event: event.name,
    cause: `${event.name} ${rule ?? ''}`,
    message: `${VERBS[event.name] ?? event.name}${describeAttributes(attributes)}`,
    attributes: () => ({ ...attributes, ...spanAttributes(span) }),
  })
}

const VERBS: Readonly<Partial<Record<AuthEvent['name'], string>>> = {
  'auth.token.verified': 'admitted',
  'auth.token.ignored': 'ignored',
  'auth.token.forwarded': 'forwarded',
  'auth.token.exchanged': 'exchanged',
  'auth.token.renewed': 'renewed',
  'auth.token.sealed': 'sealed',
  'auth.token.opened': 'opened',
  'auth.token.revoked': 'revoked',
  'auth.message.decided': 'message',
}

/** The names that say most, without their prefixes. */
const SHOWN: Readonly<Record<string, string>> = {
  'auth.decision.destination': 'to',
  'auth.message.verdict': 'as',
  'error.type': 'error',
  'auth.token.issuer': 'issuer',
  'auth.token.fingerprint': 'fingerprint',
  'auth.token.subject_fingerprint': 'subject token',
}

function describeAttributes(attributes: Attributes): string {
  const shown = Object.entries(SHOWN).flatMap(([name, word]) =>
    attributes[name] === undefined ? [] : [`${word} ${String(attributes[name])}`],
  )
  return shown.length === 0 ? '' : `: ${shown.join(', ')}`
}

/** As the data model of logs names them. */
export function spanAttributes(span: Span | undefined): Readonly<Record<string, unknown>> {
  const context = ignoreErrors(() => span?.spanContext())
  return context === undefined || !isSpanContextValid(context)
    ? {}
    : { trace_id: context.traceId, span_id: context.spanId }
}

function withoutUndefined(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}
