/** The HTTP answer to a request whose token was refused or could not be checked (RFC 6750 §3, RFC 9110 §11.6.1). */

import type { TokenError } from './errors.ts'
import { ExchangeError, InsufficientScopeError, UndecidedError } from './errors.ts'

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
  403: 'Forbidden',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
}

/**
 * Every kind of bad token gets the same answer: a difference would tell an attacker which check refused it.
 *
 * `resourceMetadata` is where clients find out which issuer and scopes this service wants (RFC 9728 §5.1).
 */
export function answerFor(error: TokenError, resourceMetadata?: string): Answer {
  const reason = REASONS[error.status] ?? 'Unauthorized'
  const body = JSON.stringify({ type: 'about:blank', title: reason, status: error.status })
  return {
    status: error.status,
    reason,
    headers: {
      'content-type': 'application/problem+json',
      'content-length': String(Buffer.byteLength(body)),
      'cache-control': 'no-store',
      ...fieldsFor(error, resourceMetadata),
    },
    body,
  }
}

function fieldsFor(error: TokenError, resourceMetadata: string | undefined): Record<string, string> {
  // The caller's token is good: nothing is wrong with what it sent.
  if (error instanceof ExchangeError) return {}
  if (error instanceof UndecidedError) return { 'retry-after': String(error.retryAfterSeconds) }
  const parameters = [
    // A request without a token gets no error code: RFC 6750 §3.1, last paragraph.
    ...parameter('error', error.challenge),
    ...parameter('scope', error instanceof InsufficientScopeError ? error.requiredScopes.join(' ') : undefined),
    ...parameter('resource_metadata', resourceMetadata),
  ]
  return { 'www-authenticate': `Bearer ${parameters.join(', ')}`.trimEnd() }
}

const QUOTABLE = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/

/** What would break out of its quotes is left out (RFC 6750 §3): scopes may be written in the application's code. */
function parameter(name: string, value: string | undefined): string[] {
  return value === undefined || !QUOTABLE.test(value) ? [] : [`${name}="${value}"`]
}
