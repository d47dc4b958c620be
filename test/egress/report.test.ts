/** `egress.mode: 'report'`: everything is decided and told, and nothing is sent. */

import { context, defaultTextMapSetter, INVALID_SPAN_CONTEXT, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelayOptions } from '../../src/index.ts'
import { createTokenRelay, runWithToken, setCredential, setDestination } from '../../src/index.ts'
import { optionsFor, withRelay } from '../support/relay.ts'
import type { Service } from '../support/service.ts'
import { signer, startService, tokenOf } from '../support/service.ts'

const TOKEN = tokenOf()
let service: Service
let named: string
let unnamed: string

async function start(options: Partial<TokenRelayOptions> = {}): Promise<void> {
  service = await startService({ options: { egress: { mode: 'report' }, ...options } })
  named = `${service.sink.origin}/sink/x`
  unnamed = named.replace('127.0.0.1', 'localhost')
}
beforeEach(() => start())
afterEach(() => service[Symbol.asyncDispose]())

const get = (url: string, headers: Readonly<Record<string, string>> = {}): Promise<string> =>
  runWithToken(TOKEN, () => fetch(url, { headers }).then((response) => response.text()))
const withToken = (destination: string) =>
  service.relay.verify(TOKEN).then((credential) => setDestination(setCredential(ROOT_CONTEXT, credential), destination))

describe('report', () => {
  it('sends no token, and leaves the application’s own alone', async () => {
    await get(named)
    await get(unnamed)
    await get(named, { authorization: 'Basic eDp5' })
    expect(service.sink.received.map(({ authorization }) => authorization)).toEqual([[], [], ['Basic eDp5']])
  })

  it('records on the span what would have happened, and where', async () => {
    const events: (readonly [string, unknown])[] = []
    const span = Object.assign(trace.wrapSpanContext(INVALID_SPAN_CONTEXT), {
      isRecording: () => true,
      addEvent: (name: string, attributes: unknown) => void events.push([name, attributes]),
    })
    for (const url of [named, unnamed]) {
      await runWithToken(TOKEN, () =>
        context.with(trace.setSpan(context.active(), span), () => fetch(url).then((response) => response.text())),
      )
    }
    const told = events.filter(([name]) => name === 'auth.token.withheld').map(([, attributes]) => attributes)
    const port = { 'server.port': service.sink.port }
    const identity = {
      'auth.token.issuer': expect.any(String),
      'auth.token.fingerprint': expect.stringMatching(/^[\da-f]{16}$/),
    }
    expect(told).toEqual([
      {
        ...identity,
        'server.address': '127.0.0.1',
        ...port,
        'auth.decision.destination': service.sink.origin,
        'auth.decision.reason': 'report_only',
        'auth.decision.rule': service.sink.origin,
      },
      {
        ...identity,
        'server.address': 'localhost',
        ...port,
        'auth.decision.destination': `http://localhost:${service.sink.port}`,
        'auth.decision.reason': 'not_named',
      },
    ])
  })

  it('writes into no carrier', async () => {
    await service[Symbol.asyncDispose]()
    await start({ destinations: [{ to: 'kafka:orders', seal: false }] })
    const carrier = {}
    service.relay.propagator.inject(await withToken('kafka:orders'), carrier, defaultTextMapSetter)
    expect(carrier).toEqual({})
    expect(service.relay.observedDestinations()).toEqual([
      { to: 'kafka:orders', rule: 'kafka:orders', verdict: 'withhold', reason: 'report_only', requests: 1 },
    ])
  })

  it('remembers the destinations of callers, the most frequent first, with the last verdict', async () => {
    await get(unnamed)
    await get(named)
    await get(named)
    await fetch(named).then((response) => response.text())
    const to = service.sink.origin
    const other = to.replace('127.0.0.1', 'localhost')
    expect(service.relay.observedDestinations()).toEqual([
      { to, rule: to, verdict: 'withhold', reason: 'report_only', requests: 2 },
      { to: other, rule: undefined, verdict: 'withhold', reason: 'not_named', requests: 1 },
    ])
    await get(named, { authorization: 'Basic eDp5' })
    expect(service.relay.observedDestinations()[0]).toMatchObject({ reason: 'own_credential', requests: 3 })
  })

  it('what was seen is a list of destinations that a relay accepts, and that names what was seen', async () => {
    await get(named)
    await get(unnamed)
    const seen = service.relay.observedDestinations().map(({ to }) => ({ to }))
    await service.relay.shutdown()
    await withRelay({ ...optionsFor([signer.jwk]), destinations: seen }, async (relay) => {
      for (const url of [named, unnamed]) expect(relay.explain(url).verdict).toBe('forward')
    })
  })
})

describe('what is remembered is bounded', () => {
  const announce = async (destinations: readonly string[]): Promise<void> => {
    const credential = await service.relay.verify(TOKEN)
    for (const destination of destinations) {
      const ctx = setDestination(setCredential(ROOT_CONTEXT, credential), destination)
      service.relay.propagator.inject(ctx, {}, defaultTextMapSetter)
    }
  }

  it('to a thousand destinations, and to names that can be names', async () => {
    await announce([`kafka:${'x'.repeat(10_000)}`, ...Array.from({ length: 1_500 }, (_, i) => `kafka:topic-${i}`)])
    const seen = service.relay.observedDestinations()
    expect(seen).toHaveLength(1_000)
    expect(Math.max(...seen.map(({ to }) => to.length))).toBeLessThan(20)
    expect(seen.some(({ to }) => to === 'kafka:topic-1499')).toBe(true)
  })

  it.each([
    'https://*.internal.example',
    'https://*.example:8443',
    'http://*',
  ])('%s, which a hostile URL can name, does not become a rule for many [F5]', async (url) => {
    const { Agent, request } = await import('undici')
    const nowhere = new Agent({ connect: (_, done) => done(new Error('no network'), null) })
    await runWithToken(TOKEN, () => request(url, { dispatcher: nowhere })).catch(() => undefined)
    await nowhere.close()
    expect(service.relay.observedDestinations()).toEqual([])
    expect(service.relay.explain(url).destination).toBeUndefined()
  })
})

it('nothing is remembered while tokens are sent', async () => {
  await service.relay.shutdown()
  const relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [{ to: service.sink.origin }] })
  await get(named)
  expect(service.sink.received.at(-1)?.authorization).toEqual([`Bearer ${TOKEN}`])
  expect(relay.observedDestinations()).toEqual([])
  await relay.shutdown()
})
