/** An issuer that is down for an hour: which tokens are accepted, what probes report, and what the operator sees. */

import { context, DiagLogLevel, diag, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { createMemoryRevocationList } from '../../src/revocation/entries.ts'
import type { FaultyIssuer } from '../support/faulty-issuer.ts'
import { startFaultyIssuer } from '../support/faulty-issuer.ts'
import { waitFor } from '../support/patience.ts'
import { ISSUER, optionsFor, refusal, verdict, withRelay } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const MINUTE = 60_000
const signer = createSigner()

let issuer: FaultyIssuer
let relay: TokenRelay
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-01-02T03:04:05Z') })
  issuer = await startFaultyIssuer()
  comeBack()
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.origin, audience: 'user-service', jwksUri: `${issuer.origin}/jwks` }],
  })
})
afterEach(async () => {
  await relay.shutdown()
  await issuer[Symbol.asyncDispose]()
  vi.useRealTimers()
  for (const api of [metrics, trace, context]) api.disable()
})

const comeBack = (): void => issuer.answer('/jwks', { body: { keys: [signer.jwk] } })
const goAway = (): void => issuer.answer('/jwks', { status: 500 })
const later = (millis: number): void => void vi.setSystemTime(Date.now() + millis)
const token = (): string => signer.token(goodClaims(issuer.origin, { jti: crypto.randomUUID() }))

describe('ready', () => {
  it('is false at first, asks for the keys itself, and is true when they are there', async () => {
    expect(relay.ready()).toBe(false)
    await waitFor(() => expect(relay.ready()).toBe(true))
    expect(issuer.fetches()).toBe(1)
  })

  it('is true as long as stale keys serve, and again when the issuer is back', async () => {
    await relay.hydrate()
    goAway()
    later(69 * MINUTE)
    expect(relay.ready()).toBe(true)
    later(MINUTE)
    expect(relay.ready()).toBe(false)
    await waitFor(() => expect(issuer.fetches()).toBe(2))
    comeBack()
    later(MINUTE)
    await waitFor(() => expect(relay.ready()).toBe(true))
  })

  it('keeps keys fresh without requests, so that they are fresh when an outage begins [D3]', async () => {
    let read = 0
    const hear = (text: string): void => {
      if (text.endsWith(' fetched')) read += 1
    }
    const silent = (): void => undefined
    diag.setLogger({ error: silent, warn: silent, info: silent, debug: hear, verbose: silent }, DiagLogLevel.DEBUG)
    await relay.hydrate()
    for (let minute = 0; minute < 60; minute += 1) {
      later(MINUTE)
      expect(relay.ready()).toBe(true)
      // Until the answer has been read: by then the keys are as old as it is.
      await waitFor(() => expect(read).toBe(1 + Math.floor((minute + 1) / 8)))
    }
    expect(issuer.fetches()).toBe(read)
    diag.disable()
    goAway()
    later(60 * MINUTE)
    expect(await verdict(relay.verify(token()))).toBe('verified')
  })

  it('asks an issuer that is down no more often than tokens do', async () => {
    goAway()
    for (let probe = 0; probe < 100; probe += 1) {
      expect(relay.ready()).toBe(false)
      await new Promise(setImmediate)
    }
    expect(issuer.fetches()).toBe(1)
  })

  it('is true at once if all keys are in the configuration', async () => {
    await relay.shutdown()
    await withRelay(optionsFor([signer.jwk]), async (own) => expect(own.ready()).toBe(true))
  })

  it('is false while the revocation list cannot be trusted, unless it need not be', async () => {
    await relay.shutdown()
    const list = { ...createMemoryRevocationList(), available: false }
    for (const onUnavailable of ['reject', 'accept'] as const) {
      await withRelay({ ...optionsFor([signer.jwk]), revocation: { list, onUnavailable } }, async (own) => {
        expect(own.ready()).toBe(onUnavailable === 'accept')
      })
    }
  })
})

describe('hydrate', () => {
  it('fetches the keys, so that the first token does not wait for them', async () => {
    await relay.hydrate()
    expect(issuer.fetches()).toBe(1)
    expect(await verdict(relay.verify(token()))).toBe('verified')
    await relay.hydrate()
    expect(issuer.fetches()).toBe(1)
  })

  it('rejects while the issuer is down, and the relay recovers by itself', async () => {
    goAway()
    await expect(relay.hydrate()).rejects.toMatchObject(refusal('ERR_TOKEN_KEYS_UNAVAILABLE'))
    comeBack()
    later(1_000)
    expect(await verdict(relay.verify(token()))).toBe('verified')
  })

  it('fetches the keys of every issuer', async () => {
    await relay.shutdown()
    await using second = await startFaultyIssuer()
    second.answer('/jwks', { body: { keys: [signer.jwk] } })
    const issuers = [issuer, second].map(({ origin }) => ({
      issuer: origin,
      audience: null,
      jwksUri: `${origin}/jwks`,
    }))
    await withRelay({ issuers: [...issuers, ...optionsFor([signer.jwk], { issuer: ISSUER }).issuers] }, async (own) => {
      await own.hydrate()
      expect([issuer.fetches(), second.fetches()]).toEqual([1, 1])
      expect(own.ready()).toBe(true)
    })
  })
})

it('an hour without the issuer: every good token is let in, remembered or not, and every bad one is not [D3]', async () => {
  await relay.hydrate()
  later(9 * MINUTE)
  goAway()
  const remembered = signer.token({ ...goodClaims(issuer.origin), exp: Date.now() / 1000 + 7_200 })
  for (let second = 0; second < 3_600; second += 20) {
    later(20_000)
    const bad = createSigner('ES256', 'ES256-1').token(goodClaims(issuer.origin))
    const unknown = signer.token(goodClaims(issuer.origin), { kid: `made-up-${second}` })
    const verdicts = await Promise.all([token(), remembered, bad, unknown].map((each) => verdict(relay.verify(each))))
    expect(verdicts.slice(0, 3), `second ${second}`).toEqual(['verified', 'verified', 'ERR_TOKEN_SIGNATURE'])
    expect(['ERR_TOKEN_KEY', 'ERR_TOKEN_KEYS_UNAVAILABLE']).toContain(verdicts[3])
    expect(relay.ready()).toBe(true)
  }
  // One in the jittered cooldown of 30 s to 37.5 s, and the one before the outage.
  expect(issuer.fetches()).toBeLessThanOrEqual(121)
})

it('a logger that is broken does not keep stale keys from serving [D3]', async () => {
  await relay.hydrate()
  goAway()
  const fail = (): never => {
    throw new Error('broken')
  }
  diag.setLogger({ error: fail, warn: fail, info: () => undefined, debug: fail, verbose: fail })
  later(11 * MINUTE)
  expect(await verdict(relay.verify(token())).finally(() => diag.disable())).toBe('verified')
})

it('recovers within seconds once the keys have become too old [D3]', async () => {
  await relay.hydrate()
  goAway()
  later(70 * MINUTE)
  expect(await verdict(relay.verify(token()))).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
  comeBack()
  later(5_000)
  expect(await verdict(relay.verify(token()))).toBe('verified')
})

it('the operator sees it: metrics of the issuer, and an event on the span of each request that used stale keys [D3]', async () => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
  const spans = new InMemorySpanExporter()
  trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter: spans })] }))
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())

  await relay.hydrate()
  goAway()
  later(11 * MINUTE)
  await trace.getTracer('test').startActiveSpan('request', async (span) => {
    expect(await verdict(relay.verify(token()))).toBe('verified')
    span.end()
  })

  await reader.forceFlush()
  const measured = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
  const points = measured.flatMap(({ descriptor, dataPoints }) =>
    dataPoints.map(({ attributes, value }) => [descriptor.name, attributes, value]),
  )
  const of = { 'auth.token.issuer': issuer.origin }
  expect(points).toEqual(
    expect.arrayContaining([
      ['auth.key_set.refreshes', { ...of, 'auth.key_set.refresh.outcome': 'success' }, 1],
      ['auth.key_set.refreshes', { ...of, 'auth.key_set.refresh.outcome': 'failure', 'error.type': 'error_status' }, 1],
      ['auth.key_set.stale_uses', of, 1],
      ['auth.key_set.age', of, 660],
    ]),
  )
  const events = spans.getFinishedSpans().flatMap((span) => span.events)
  expect(events.map(({ name, attributes }) => ({ name, attributes }))).toEqual([
    { name: 'auth.key_set.stale', attributes: { ...of, 'auth.key_set.stale_age': 660 } },
  ])
})

it('ten thousand made-up kids cost four fetches per cooldown at most, and good tokens nothing [D1]', async () => {
  await relay.hydrate()
  for (let i = 0; i < 10_000; i += 500) {
    const flood = Array.from({ length: 500 }, (_, j) => signer.token(goodClaims(issuer.origin), { kid: `${i + j}` }))
    const verdicts = await Promise.all([...flood, token()].map((each) => verdict(relay.verify(each))))
    expect(verdicts.pop()).toBe('verified')
    expect(['ERR_TOKEN_KEY', 'ERR_TOKEN_KEY_UNDECIDED']).toEqual(expect.arrayContaining([...new Set(verdicts)]))
  }
  expect(issuer.fetches()).toBeLessThanOrEqual(5)
})
