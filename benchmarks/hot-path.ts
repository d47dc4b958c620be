/** What the token costs on every request, beside what OpenTelemetry's own propagator costs: medians and their ratios. */

import { cpus } from 'node:os'
import process from 'node:process'
import type { Context, TextMapPropagator } from '@opentelemetry/api'
import { defaultTextMapGetter, defaultTextMapSetter, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { measure } from 'mitata'
import { createDecide } from '../src/destination/decision.ts'
import { parsePattern } from '../src/destination/pattern.ts'
import { compileRules } from '../src/destination/rules.ts'
import { networkTarget } from '../src/destination/target.ts'
import { createTokenRelay, getCredential, setCredential } from '../src/index.ts'

const ISSUER = 'https://id.example'
const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
const relay = createTokenRelay({
  issuers: [{ issuer: ISSUER, audience: 'user-service', jwks: { keys: [await exportJWK(publicKey)] } }],
})
const now = Math.floor(Date.now() / 1000)
const token = await new SignJWT({
  scope: 'profiles:read '.repeat(32).trim(),
  sub: 'alice',
  iss: ISSUER,
  aud: 'user-service',
})
  .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt' })
  .setIssuedAt(now)
  .setExpirationTime(now + 3_600)
  .sign(privateKey)

const w3c = new W3CTraceContextPropagator()
const span = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 1 }
const traced = trace.setSpanContext(ROOT_CONTEXT, span)
const called = setCredential(ROOT_CONTEXT, await relay.verify(token))
const rule = {
  to: 'https://profile.example',
  pattern: parsePattern('https://profile.example'),
  seal: false,
  detached: 'withhold',
  maxHeaderBytes: 16_384,
  exchange: undefined,
} as const
const deciding = {
  rules: compileRules([rule]),
  exchanged: () => undefined,
  checkRevocation: () => 'good' as const,
  mode: 'enforce' as const,
  hasSealingKey: () => false,
  isBlocked: () => false,
}
const decide = createDecide(deciding, () => undefined)
const carrier = { traceparent: `00-${span.traceId}-${span.spanId}-01`, authorization: `Bearer ${token}` }
const bare = { host: 'service' }

const extract = (propagator: TextMapPropagator, from: object) => (): Context =>
  propagator.extract(ROOT_CONTEXT, from, defaultTextMapGetter)

/** Finds the destination, decides, and makes the header: what a hop to a named destination adds to a request. */
function authorize(): string | undefined {
  const target = networkTarget('https', 'profile.example', 443)
  const decision = decide(called, { target, obstacle: undefined })
  return decision?.verdict === 'forward' ? `Bearer ${decision.credential.reveal()}` : undefined
}
function injectTrace(): object {
  const outgoing = {}
  w3c.inject(traced, outgoing, defaultTextMapSetter)
  return outgoing
}

// Contestants that did nothing would win.
if (authorize() !== carrier.authorization) throw new Error('the token was not forwarded')
if (getCredential(extract(relay.propagator, carrier)()) !== undefined) throw new Error('an unverified token counts')
if (trace.getSpanContext(extract(w3c, carrier)())?.spanId !== span.spanId)
  throw new Error('the trace was not extracted')
if (!('traceparent' in injectTrace())) throw new Error('the trace was not injected')

const ROWS: readonly (readonly [string, () => unknown, string, () => unknown])[] = [
  ['extract with a token', extract(relay.propagator, carrier), 'W3C extract', extract(w3c, carrier)],
  ['extract without a token', extract(relay.propagator, bare), 'W3C extract, absent', extract(w3c, bare)],
  ['decision and header', authorize, 'W3C inject', injectTrace],
]

console.log(`Node ${process.version}, ${cpus()[0]?.model ?? 'unknown CPU'}, token of ${token.length} bytes\n`)
console.log('| path | median | baseline | median | ratio |\n|---|---:|---|---:|---:|')
for (const [name, run, baselineName, baseline] of ROWS) {
  const [mine, theirs] = [await measure(run), await measure(baseline)]
  const cells = [name, `${mine.p50.toFixed(0)} ns`, baselineName, `${theirs.p50.toFixed(0)} ns`]
  console.log(`| ${cells.join(' | ')} | ${(mine.p50 / theirs.p50).toFixed(2)} × |`)
}
await relay.shutdown()
