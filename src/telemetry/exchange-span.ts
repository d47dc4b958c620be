/** The span of a token exchange, and how the tokens that come out of it are tied to it. */

import type { Span, SpanContext } from '@opentelemetry/api'
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { TokenErrorCode } from '../token/errors.ts'
import { TokenError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { AuthEvent } from './auth-event.ts'
import { recordOnSpan } from './span-events.ts'

/** What a token is got for. */
export interface ExchangeTrace {
  readonly issuer: string
  /** The token that is exchanged; `undefined` where the service asks for itself. */
  readonly subject: VerifiedCredential | undefined
  /** The token that is replaced, where there was one. */
  readonly previous: VerifiedCredential | undefined
}

/** In which span a token was got, for links. Forgotten with the token. */
const gotIn = new WeakMap<VerifiedCredential, SpanContext>()

/** Runs `obtain` in a span of its own, linked to the one in which the replaced or exchanged token was got. */
export async function traceExchange(
  { issuer, subject, previous }: ExchangeTrace,
  obtain: () => Promise<VerifiedCredential>,
): Promise<VerifiedCredential> {
  const links = [previous, subject].flatMap((token) => {
    const context = token === undefined ? undefined : gotIn.get(token)
    return context === undefined ? [] : [{ context }]
  })
  const attributes = { 'auth.token.issuer': issuer }
  const span = trace.getTracer('otel-token-relay').startSpan('token exchange', {
    kind: SpanKind.INTERNAL,
    attributes,
    links,
  })
  try {
    const credential = await obtain()
    gotIn.set(credential, span.spanContext())
    const name = previous === undefined ? 'auth.token.exchanged' : 'auth.token.renewed'
    recordOnSpan(span, { name, credential, subject } satisfies AuthEvent)
    return credential
  } catch (error) {
    fail(span, error)
    throw error
  } finally {
    span.end()
  }
}

function fail(span: Span, error: unknown): void {
  const code: TokenErrorCode = error instanceof TokenError ? error.code : 'ERR_TOKEN_EXCHANGE_UNAVAILABLE'
  span.setStatus({ code: SpanStatusCode.ERROR })
  span.setAttribute('error.type', code)
}

/** Remembers where a presented token was verified, so that what is exchanged for it can point there. */
export function rememberVerifiedIn(credential: VerifiedCredential, span: Span | undefined): void {
  const context = span?.spanContext()
  if (context !== undefined && trace.isSpanContextValid(context)) gotIn.set(credential, context)
}

/** Ties the span of a request to the span in which its token was got. */
export function linkToExchange(span: Span | undefined, credential: VerifiedCredential): void {
  const context = gotIn.get(credential)
  if (context === undefined || span === undefined || !span.isRecording()) return
  try {
    span.addLink({ context })
  } catch {
    // A span of a broken SDK must not break the request it belongs to.
  }
}
