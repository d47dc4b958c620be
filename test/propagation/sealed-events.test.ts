/** What sealing and opening tell, on spans of the application's own SDK: one event each, and nothing of a token. */

import { context, defaultTextMapGetter, defaultTextMapSetter, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runAsCaller, setCredential, setDestination, setSource } from '../../src/index.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const exporter = new InMemorySpanExporter()
const tracer = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }).getTracer('test')
const secret = randomSecret()

let relay: TokenRelay
beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  relay = createTokenRelay({
    ...optionsFor([signer.jwk]),
    destinations: [{ to: 'kafka:orders' }],
    sealing: { keys: [{ kid: 'orders-1', secret }] },
  })
})
afterAll(async () => {
  await relay.shutdown()
  context.disable()
})

it('one event per step, on the spans of producer and consumer, and nothing of token, seal and secret', async () => {
  const token = signer.token(goodClaims(ISSUER))
  const headers: Record<string, string> = {}
  const producer = tracer.startSpan('send')
  const sender = setCredential(trace.setSpan(ROOT_CONTEXT, producer), await relay.verify(token))
  relay.propagator.inject(setDestination(sender, 'kafka:orders'), headers, defaultTextMapSetter)
  producer.end()

  for (const name of ['process', 'replay']) {
    const span = tracer.startSpan(name)
    const ctx = relay.propagator.extract(setSource(ROOT_CONTEXT, 'kafka:orders'), { ...headers }, defaultTextMapGetter)
    await runAsCaller(trace.setSpan(ctx, span), () => undefined).catch(() => undefined)
    span.end()
  }

  const queue = { 'messaging.system': 'kafka', 'messaging.destination.name': 'orders' }
  const told = exporter
    .getFinishedSpans()
    .map(({ name, events }) => [name, events.map((event) => [event.name, event.attributes])])
  const credential = { 'auth.token.issuer': ISSUER, 'auth.token.fingerprint': expect.stringMatching(/^[\da-f]{16}$/) }
  const sent = { 'auth.decision.rule': 'kafka:orders', 'auth.decision.destination': 'kafka:orders' }
  const expires = { 'auth.token.expires_in': expect.any(Number) }
  expect(told).toEqual([
    ['send', [['auth.token.sealed', { ...credential, ...expires, ...queue, ...sent }]]],
    [
      'process',
      [
        ['auth.token.opened', queue],
        ['auth.token.verified', { ...credential, ...expires }],
      ],
    ],
    [
      // It opens, and its token is good: the opening that is one too many is found last, when nothing is undecided any more.
      'replay',
      [
        ['auth.token.opened', queue],
        ['auth.token.verified', { ...credential, ...expires }],
        ['auth.token.rejected', { 'error.type': 'ERR_TOKEN_SEAL' }],
      ],
    ],
  ])
  const printed = JSON.stringify(told)
  for (const part of [...token.split('.'), ...(headers['authorization'] ?? '').split(/[ .]/).slice(1), secret]) {
    expect(printed).not.toContain(part)
  }
})
