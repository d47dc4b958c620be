/** What the token costs on its way in and out, beside what OpenTelemetry's own propagator costs for the trace. */

import type { Context, TextMapPropagator } from '@opentelemetry/api'
import { defaultTextMapGetter, defaultTextMapSetter, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { networkTarget } from '../../src/destination/target.ts'
import { createTokenRelay, getCredential, setCredential } from '../../src/index.ts'
import { compare } from '../support/compare.ts'
import { prove, report } from '../support/report.ts'
import { decideBy } from '../support/rules.ts'
import { AUDIENCE, createSigner, createToken, freshField, ISSUER, rotate } from '../support/tokens.ts'

const signer = createSigner('ES256')
const tokens = Array.from({ length: 64 }, () => createToken(signer))
const [token = ''] = tokens
const relay = createTokenRelay({ issuers: [{ issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [signer.jwk] } }] })
const w3c = new W3CTraceContextPropagator()
const span = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 1 }
const traced = trace.setSpanContext(ROOT_CONTEXT, span)
const called = setCredential(ROOT_CONTEXT, await relay.verify(token))
for (const other of tokens) await relay.verify(other)

const next = rotate(tokens.map(freshField))
const parent = Buffer.from(`00-${span.traceId}-${span.spanId}-01`, 'latin1')
/** Both fields come off the wire, for both contestants. */
const arrived = () => ({ traceparent: parent.toString('latin1'), authorization: next()() })
const bare = () => ({ host: 'service' })
const extract = (propagator: TextMapPropagator, carrier: () => object) => (): Context =>
  propagator.extract(ROOT_CONTEXT, carrier(), defaultTextMapGetter)

const decide = decideBy(['https://profile.example'])

/** Finds the destination, decides, and makes the header: what a hop to a named destination adds to a request. */
function authorize(): string | undefined {
  const decision = decide(called, { target: networkTarget('https', 'profile.example', 443), obstacle: undefined })
  return decision?.verdict === 'forward' ? `Bearer ${decision.credential.reveal()}` : undefined
}
function injectTrace(): object {
  const outgoing = {}
  w3c.inject(traced, outgoing, defaultTextMapSetter)
  return outgoing
}

prove('the token is forwarded', authorize() === `Bearer ${token}`)
prove('no caller without verification', getCredential(extract(relay.propagator, arrived)()) === undefined)
prove('the trace is extracted', trace.getSpanContext(extract(w3c, arrived)())?.spanId === span.spanId)
prove('the trace is injected', 'traceparent' in injectTrace())

report([
  await compare({
    path: 'extract, with a token',
    goal: 1,
    mine: { name: 'relay', run: extract(relay.propagator, arrived) },
    others: [{ name: 'the carrier alone', run: arrived }],
    baseline: { name: 'W3CTraceContextPropagator', run: extract(w3c, arrived) },
  }),
  await compare({
    path: 'extract, without a token',
    goal: 2,
    mine: { name: 'relay', run: extract(relay.propagator, bare) },
    baseline: { name: 'W3CTraceContextPropagator', run: extract(w3c, bare) },
  }),
  await compare({
    path: 'decision and header',
    goal: 2,
    mine: { name: 'relay', run: authorize },
    baseline: { name: 'W3CTraceContextPropagator', run: injectTrace },
  }),
])
await relay.shutdown()
