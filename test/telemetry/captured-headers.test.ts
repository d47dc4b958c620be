/** G4 A captured header is taken off a span before anything is waited for: its client may go before the token is decided. */

import { createServer } from 'node:http'
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTokenRelay } from '../../src/index.ts'
import { close, listen } from '../support/issuer.ts'
import { ISSUER, optionsFor, withRelay } from '../support/relay.ts'
import { signer, tokenOf } from '../support/service.ts'

beforeAll(() => void context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()))
afterAll(() => context.disable())

it('the span of a request that ends while its keys are fetched', async () => {
  const silent = createServer(() => undefined)
  const jwksUri = `http://127.0.0.1:${await listen(silent)}/`
  const relay = createTokenRelay({ issuers: [{ issuer: ISSUER, audience: 'user-service', jwksUri }] })
  const exporter = new InMemorySpanExporter()
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
  const span = provider.getTracer('server').startSpan('GET')
  const authorization = `Bearer ${tokenOf()}`
  span.setAttribute('http.request.header.authorization', [authorization])

  const admission = context.with(trace.setSpan(context.active(), span), () =>
    relay.admit({ headers: { authorization } }),
  )
  span.end()
  silent.closeAllConnections()
  await close(silent)
  await admission
  await relay.shutdown()
  const [exported] = exporter.getFinishedSpans()
  expect(exported?.attributes).toEqual({ 'http.request.header.authorization': ['[redacted]'] })
  expect(exported?.events.map(({ name }) => name)).toEqual([])
})

it('the span of a request whose token is ignored, which is a credential all the same', async () => {
  const exporter = new InMemorySpanExporter()
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
  const span = provider.getTracer('server').startSpan('GET')
  const authorization = 'Bearer sk_live_51H7d9w2eZvKYlo2C'
  span.setAttribute('http.request.header.authorization', [authorization])
  const options = { ...optionsFor([signer.jwk]), ingress: { mode: 'optional', foreignTokens: 'ignore' } } as const
  await withRelay(options, async (relay) => {
    const ctx = trace.setSpan(context.active(), span)
    const admission = await context.with(ctx, () => relay.admit({ headers: { authorization } }, { mode: 'optional' }))
    expect(admission).toMatchObject({ admitted: true, credential: undefined })
  })
  span.end()
  const [exported] = exporter.getFinishedSpans()
  expect(exported?.attributes).toEqual({ 'http.request.header.authorization': ['[redacted]'] })
  expect(exported?.events.map(({ name }) => name)).toEqual(['auth.token.ignored'])
})
