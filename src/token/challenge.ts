/** Builds the HTTP answer to a request whose token is refused or undecided (RFC 6750 §3, RFC 9110 §11.6.1). */

import type { TokenError } from './errors.ts'
import { ExchangeError, InsufficientScopeError, UndecidedError } from './errors.ts'

/** Status, header fields and body of an answer. They do not depend on the token. */
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
 * Returns the answer for `error`. Every kind of bad token gets the same answer: a difference would show an attacker
 * which check refused it.
 *
 * `resourceMetadata` is the URL at which clients read which issuer and scopes this service accepts (RFC 9728 §5.1).
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
      ...challengeFields(error, resourceMetadata),
    },
    body,
  }
}

function challengeFields(error: TokenError, resourceMetadata: string | undefined): Record<string, string> {
  // The caller's token is good, so the answer has no challenge.
  if (error instanceof ExchangeError) return {}
  if (error instanceof UndecidedError) return { 'retry-after': String(error.retryAfterSeconds) }
  const parameters = [
    // A request without a token gets no error code: RFC 6750 §3.1, last paragraph.
    ...formatParameter('error', error.challenge),
    ...formatParameter('scope', error instanceof InsufficientScopeError ? error.requiredScopes.join(' ') : undefined),
    ...formatParameter('resource_metadata', resourceMetadata),
  ]
  return { 'www-authenticate': `Bearer ${parameters.join(', ')}`.trimEnd() }
}

const QUOTABLE = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/

/** Omits a value that would break out of its quotes (RFC 6750 §3): the application configures the scopes. */
function formatParameter(name: string, value: string | undefined): string[] {
  return value === undefined || !QUOTABLE.test(value) ? [] : [`${name}="${value}"`]
}
