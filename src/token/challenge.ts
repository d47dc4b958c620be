/** The HTTP answer to a request whose token was refused or could not be checked (RFC 6750 §3, RFC 9110 §11.6.1). */

import type { TokenError } from './errors.ts'
import { UndecidedError } from './errors.ts'

/** Status, fields and body of an answer. Nothing in it depends on the token or on our configuration. */
export interface Answer {
  readonly status: number
  readonly reason: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  503: 'Service Unavailable',
}

/** Every kind of bad token gets the same answer: a difference would tell an attacker which check refused it. */
export function answerFor(error: TokenError): Answer {
  const reason = REASONS[error.status] ?? 'Unauthorized'
  const body = JSON.stringify({ type: 'about:blank', title: reason, status: error.status })
  return {
    status: error.status,
    reason,
    headers: {
      'content-type': 'application/problem+json',
      'content-length': String(Buffer.byteLength(body)),
      'cache-control': 'no-store',
      ...fieldsFor(error),
    },
    body,
  }
}

function fieldsFor(error: TokenError): Record<string, string> {
  if (error instanceof UndecidedError) return { 'retry-after': String(error.retryAfterSeconds) }
  // A request without a token gets no error code: RFC 6750 §3.1, last paragraph.
  return { 'www-authenticate': error.challenge === undefined ? 'Bearer' : `Bearer error="${error.challenge}"` }
}
