/** The span of a token exchange, and its measurement. */

import type { Span } from '@opentelemetry/api'
import { SpanKind, trace } from '@opentelemetry/api'
import type { TokenErrorCode } from '../token/errors.ts'
import { TokenError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import { measureExchange } from './call-metrics.ts'
import { runInSpan } from './fallible-span.ts'
import { recordOnSpan } from './record.ts'
import { rememberSpanOf, spanLinksOf } from './span-links.ts'

/** What a token is requested for. */
export interface ExchangeTrace {
  readonly issuer: string
  /** The token that is exchanged; `undefined` if the service asks for a token for itself. */
  readonly subject: VerifiedCredential | undefined
  /** The token that is replaced, if there is one. */
  readonly previous: VerifiedCredential | undefined
}

/**
 * Runs `obtain`, measured, in a new span with links to the spans that the replaced and the exchanged token come from.
 */
export function traceExchange<T extends { readonly credential: VerifiedCredential }>(
  exchange: ExchangeTrace,
  obtain: () => Promise<T>,
): Promise<T> {
  const measure = startMeasurement(exchange)
  return runInSpan(
    () => startSpan(exchange),
    async (span) => {
      try {
        const obtained = await obtain()
        measure(undefined)
        recordSuccess(span, exchange, obtained.credential)
        return obtained
      } catch (error) {
        measure(error instanceof TokenError ? error.code : 'ERR_TOKEN_EXCHANGE_UNAVAILABLE')
        throw error
      }
    },
  )
}

function startMeasurement({ issuer, previous }: ExchangeTrace): (code: TokenErrorCode | undefined) => void {
  const start = performance.now()
  const kind = previous === undefined ? 'exchange' : 'renewal'
  return (code) => measureExchange({ issuer, kind, code, seconds: (performance.now() - start) / 1000 })
}

function startSpan({ issuer, subject, previous }: ExchangeTrace): Span {
  return trace.getTracer('otel-token-relay').startSpan('token exchange', {
    kind: SpanKind.INTERNAL,
    attributes: { 'auth.token.issuer': issuer },
    links: [...spanLinksOf(previous), ...spanLinksOf(subject)],
  })
}

function recordSuccess(
  span: Span | undefined,
  { subject, previous }: ExchangeTrace,
  credential: VerifiedCredential,
): void {
  rememberSpanOf(credential, span)
  const name = previous === undefined ? 'auth.token.exchanged' : 'auth.token.renewed'
  recordOnSpan(span, { name, credential, subject })
}
