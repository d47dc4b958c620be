/** The span of a token exchange, and its measurement: whose tokens come in, and which one comes out. */

import type { Span } from '@opentelemetry/api'
import { SpanKind, trace } from '@opentelemetry/api'
import type { TokenErrorCode } from '../token/errors.ts'
import { TokenError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import { measureExchange } from './exchange-metrics.ts'
import { failSpan, quietly } from './fallible-span.ts'
import { recordOnSpan } from './span-events.ts'
import { linksTo, rememberOrigin } from './token-origins.ts'

/** What a token is got for. */
export interface ExchangeTrace {
  readonly issuer: string
  /** The token that is exchanged; `undefined` where the service asks for itself. */
  readonly subject: VerifiedCredential | undefined
  /** The token that is replaced, where there was one. */
  readonly previous: VerifiedCredential | undefined
}

/** Runs `obtain`, measured, in a span of its own, linked to those in which the replaced and the exchanged token were got. */
export async function traceExchange<T extends { readonly credential: VerifiedCredential }>(
  exchange: ExchangeTrace,
  obtain: () => Promise<T>,
): Promise<T> {
  const span = quietly(() => startSpan(exchange))
  const measure = startMeasurement(exchange)
  try {
    const obtained = await obtain()
    measure(undefined)
    quietly(() => succeed(span, exchange, obtained.credential))
    return obtained
  } catch (error) {
    measure(error instanceof TokenError ? error.code : 'ERR_TOKEN_EXCHANGE_UNAVAILABLE')
    failSpan(span, error)
    throw error
  } finally {
    quietly(() => span?.end())
  }
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
    links: [...linksTo(previous), ...linksTo(subject)],
  })
}

function succeed(span: Span | undefined, { subject, previous }: ExchangeTrace, credential: VerifiedCredential): void {
  rememberOrigin(credential, span)
  const name = previous === undefined ? 'auth.token.exchanged' : 'auth.token.renewed'
  recordOnSpan(span, { name, credential, subject })
}
