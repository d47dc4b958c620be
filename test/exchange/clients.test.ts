/** Every client: those that can wait for another token do, those that cannot have it prepared. */

import { once } from 'node:events'
import { get } from 'node:http'
import { buffer } from 'node:stream/consumers'
import * as undici8 from 'undici'
import * as undici5 from 'undici-5'
import * as undici6 from 'undici-6'
import * as undici7 from 'undici-7'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Rig } from '../support/exchange-rig.ts'
import { claimsOf, outcome, startRig } from '../support/exchange-rig.ts'
import { startIssuer } from '../support/issuer.ts'
import { waitFor } from '../support/patience.ts'
import { Resources } from '../support/resources.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'
import { startTokenEndpoint } from '../support/token-endpoint.ts'

type Undici = typeof undici8
const COPIES = [
  ['5', undici5],
  ['6', undici6],
  ['7', undici7],
  ['8', undici8],
] as unknown as readonly (readonly [string, Undici])[]

let rig: Rig
let second: Sink
beforeAll(async () => {
  rig = await startRig()
  second = await startSink()
})
beforeEach(async () => {
  rig.endpoint.requests.length = 0
  rig.endpoint.answer = {}
  for (const sink of [rig.sink, second]) sink.clear()
  await rig.relayWith(two({}))
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
  await second[Symbol.asyncDispose]()
})

/** A second destination, with another audience. */
const two = (rule: object) => ({
  relay: {
    destinations: [
      { to: rig.sink.origin, exchange: { audience: 'billing', ...rule } },
      { to: second.origin, exchange: { audience: 'shipping', ...rule } },
    ],
  },
})
const asAlice = async <T>(fn: () => T) => rig.as(await rig.issuer.token(), fn)
const received = (sink: Sink) => sink.received.map(({ authorization }) => authorization.map((value) => value.slice(7)))
const audiences = (sink: Sink) =>
  received(sink).map((tokens) => (tokens.length === 0 ? undefined : claimsOf(tokens).aud))
const viaHttp = async (): Promise<void> => {
  const [response] = await once(get(rig.sink.origin), 'response')
  await buffer(response)
}

it('fetch waits, and a redirect to another destination waits for the token of that one', async () => {
  await asAlice(async () => (await fetch(`${rig.sink.origin}/redirect/302?${second.origin}/there`)).text())
  expect([audiences(rig.sink), audiences(second)]).toEqual([['billing'], ['shipping']])
})

describe.each(COPIES)('undici %s waits', (version, undici) => {
  it.each<readonly [string, (url: string, undici: Undici) => Promise<unknown>]>([
    ['in request', async (url) => (await undici.request(url)).body.text()],
    ['in fetch', async (url) => (await undici.fetch(url)).text()],
    ['in stream', (url) => undici.stream(url, { method: 'GET' }, () => new WritableSink())],
    ['in pipeline', (url) => buffer(undici.pipeline(url, { method: 'GET' }, ({ body }) => body).end())],
    ['in a pool', async (url) => (await new undici.Pool(url).request({ path: '/', method: 'GET' })).body.text()],
    ['in a client', async (url) => (await new undici.Client(url).request({ path: '/', method: 'GET' })).body.text()],
  ])('%s', async (_, call) => {
    await asAlice(() => call(rig.sink.origin, undici))
    expect(audiences(rig.sink)).toEqual(['billing'])
  })

  it('a redirect to another destination gets the token of that one', async () => {
    const dispatcher = new undici.Agent()
    const url = `${rig.sink.origin}/redirect/302?${second.origin}/there`
    const redirect = undici.interceptors?.redirect
    const request = () =>
      redirect === undefined
        ? undici.request(url, { dispatcher, maxRedirections: 2 } as never)
        : undici.request(url, { dispatcher: dispatcher.compose(redirect({ maxRedirections: 2 })) })
    await asAlice(async () => (await request()).body.text())
    expect([audiences(rig.sink), audiences(second)]).toEqual([['billing'], ['shipping']])
  })

  it('a call that is aborted while it waits fails at once, and sends nothing', async () => {
    const ready = Promise.withResolvers<void>()
    rig.endpoint.answer = { after: ready.promise }
    // Nothing but the abort can end the waiting.
    await rig.relayWith({ ...two({}), exchange: { timeoutMillis: 600_000 } })
    await asAlice(async () => {
      const controller = new AbortController()
      const calls = [
        undici.request(rig.sink.origin, { signal: controller.signal }),
        undici.fetch(rig.sink.origin, { signal: controller.signal }),
        new undici.Pool(rig.sink.origin).request({ path: '/', method: 'GET', signal: controller.signal }),
      ].map((call) =>
        call.then(
          () => 'answered',
          (error: Error) => error.name,
        ),
      )
      await waitFor(() => expect(rig.endpoint.requests).toHaveLength(1))
      controller.abort()
      expect(await Promise.all(calls)).not.toContain('answered')
    })
    ready.resolve()
    expect(rig.sink.received).toEqual([])
  })

  it('a dispatcher that is destroyed meanwhile is an error of the request', async () => {
    const ready = Promise.withResolvers<void>()
    rig.endpoint.answer = { after: ready.promise }
    await rig.relayWith({ ...two({}), exchange: { timeoutMillis: 600_000 } })
    const pool = new undici.Pool(rig.sink.origin)
    await asAlice(async () => {
      const call = outcome(pool.request({ path: '/', method: 'GET' }))
      // One of the test before may still come in, on a machine that is busy.
      await waitFor(() => expect(rig.endpoint.requests).not.toEqual([]))
      await pool.destroy()
      ready.resolve()
      expect(await call).toBe('UND_ERR_DESTROYED')
    })
  })

  it('the handler of either generation learns what undici refuses', async () => {
    const pool = new undici.Pool(rig.sink.origin)
    const errors: unknown[] = []
    const tell = (...args: unknown[]) => errors.push(args.at(-1))
    const old = { onConnect: () => undefined, onHeaders: () => true, onData: () => true, onComplete: () => undefined }
    const handler =
      version === '8' ? { onRequestStart: () => undefined, onResponseError: tell } : { ...old, onError: tell }
    await asAlice(() => pool.dispatch({ path: 'no path', method: 'GET' } as never, handler as never))
    await waitFor(() => expect(errors).toMatchObject([{ code: 'UND_ERR_INVALID_ARG' }]))
    const throwing = {
      ...handler,
      onError: () => {
        throw new Error('x')
      },
      onResponseError: () => {
        throw new Error('x')
      },
    }
    await rig.as(await rig.issuer.token({ sub: 'bob' }), () =>
      pool.dispatch({ path: 'no path', method: 'GET' } as never, throwing as never),
    )
    const subjects = (): unknown[] =>
      rig.endpoint.requests.map(({ parameters }) => claimsOf([parameters.get('subject_token') ?? '']).sub)
    await waitFor(() => expect(subjects()).toContain('bob'))
  })

  it('a body that is a stream is sent whole', async () => {
    const { Readable } = await import('node:stream')
    const body = Readable.from([Buffer.from('a'.repeat(1_000)), Buffer.from('b'.repeat(1_000))])
    await asAlice(async () => (await undici.request(rig.sink.origin, { method: 'POST', body })).body.text())
    expect([audiences(rig.sink), /a{1000}.*b{1000}/s.test(rig.sink.bytes())]).toEqual([['billing'], true])
  })
})

describe('node:http cannot wait', () => {
  it('without preparation nothing leaves, and nothing is asked', async () => {
    await asAlice(viaHttp)
    expect([audiences(rig.sink), rig.endpoint.requests.length]).toEqual([[undefined], 0])
  })

  it('relay.prepare has it ready', async () => {
    await asAlice(async () => {
      await rig.relay.prepare(`${rig.sink.origin}/any/path`)
      await viaHttp()
    })
    expect(audiences(rig.sink)).toEqual(['billing'])
  })

  it('prepare: ingress has it ready before a handler runs, all of them at the same time', async () => {
    const relay = await rig.relayWith(two({ prepare: 'ingress' }))
    const headers = { authorization: `Bearer ${await rig.issuer.token()}` }
    for (let request = 0; request < 3; request += 1) {
      const admission = await relay.admit({ headers: { ...headers } })
      if (!admission.admitted) throw new Error('not admitted')
      await admission.run(viaHttp)
    }
    expect([audiences(rig.sink), rig.endpoint.requests.length]).toEqual([['billing', 'billing', 'billing'], 2])
  })

  it('a request is admitted if it cannot be prepared [F17]', async () => {
    const relay = await rig.relayWith(two({ prepare: 'ingress' }))
    rig.endpoint.answer = { status: 500 }
    const admission = await relay.admit({ headers: { authorization: `Bearer ${await rig.issuer.token()}` } })
    if (!admission.admitted) throw new Error('not admitted')
    await admission.run(viaHttp)
    expect(audiences(rig.sink)).toEqual([undefined])
  })

  it('onFailure: forward sends the caller’s own, since there is no other one [F17]', async () => {
    await rig.relayWith(two({ onFailure: 'forward' }))
    await asAlice(viaHttp)
    expect(audiences(rig.sink)).toEqual(['user-service'])
  })
})

describe('nothing is asked', () => {
  it('in report mode: not by a client, not at ingress, not by prepare', async () => {
    const relay = await rig.relayWith({
      ...two({ prepare: 'ingress' }),
      relay: { ...two({ prepare: 'ingress' }).relay, egress: { mode: 'report' } },
    })
    const admission = await relay.admit({ headers: { authorization: `Bearer ${await rig.issuer.token()}` } })
    if (!admission.admitted) throw new Error('not admitted')
    await admission.run(async () => {
      await relay.prepare(rig.sink.origin)
      await rig.send()
      expect(relay.explain(rig.sink.origin)).toMatchObject({ verdict: 'withhold', reason: 'report_only' })
    })
    expect([audiences(rig.sink), rig.endpoint.requests]).toEqual([[undefined], []])
  })

  it('without a caller, for destinations that no rule names, and for detached work', async () => {
    await rig.relay.prepare(rig.sink.origin)
    await rig.send()
    await asAlice(async () => {
      await rig.relay.prepare('https://nobody.example')
      await rig.relay.prepare('not a destination')
    })
    expect(rig.endpoint.requests).toEqual([])
  })

  it('of one issuer for the callers of another one', async () => {
    await using resources = new Resources()
    const [a, b, stranger] = [rig.issuer, resources.use(await startIssuer()), resources.use(await startIssuer())]
    const ofB = resources.use(await startTokenEndpoint(b))
    const client = { clientId: 'user-service', clientSecret: 'secret' }
    const audience = 'user-service'
    await rig.relayWith({
      relay: {
        issuers: [
          { issuer: a.issuer, audience, exchange: { ...client, tokenEndpoint: rig.endpoint.url } },
          { issuer: b.issuer, audience, exchange: { ...client, tokenEndpoint: ofB.url } },
          { issuer: stranger.issuer, audience },
        ],
      },
    })
    for (const issuer of [a, b]) {
      expect(claimsOf(await rig.as(await issuer.token(), () => rig.send())).iss).toBe(issuer.issuer)
    }
    expect([rig.endpoint.requests.length, ofB.requests.length]).toEqual([1, 1])
    await rig.as(await stranger.token(), async () => {
      expect(await outcome(rig.relay.prepare(rig.sink.origin))).toBe('ERR_TOKEN_EXCHANGE_REFUSED')
      expect(await rig.send()).toEqual([])
    })
    expect([rig.endpoint.requests.length, ofB.requests.length]).toEqual([1, 1])
    expect(() => rig.relay.tokenSource({ grant: 'client_credentials' })).toThrow('issuer: ')
  })
})

it('explain says what would happen, before and after', async () => {
  const destination = `${rig.sink.origin}/x`
  expect(rig.relay.explain(destination)).toMatchObject({
    rule: rig.sink.origin,
    verdict: 'exchange',
    reason: undefined,
  })
  await asAlice(async () => {
    expect(rig.relay.explain(destination)).toMatchObject({ verdict: 'withhold', reason: 'not_exchanged' })
    await rig.relay.prepare(destination)
    expect(rig.relay.explain(destination)).toMatchObject({ verdict: 'exchange', reason: undefined })
  })
})

/** Takes everything, keeps nothing. */
class WritableSink extends (await import('node:stream')).Writable {
  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done()
  }
}
