/** Whether a request of undici carries its caller's token is decided when it is written, not when it is queued. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { Dispatcher } from 'undici'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import { verdictsOf } from '../support/decisions.ts'
import { close, listen } from '../support/issuer.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import { COPIES } from '../support/undici.ts'

const signer = createSigner()
const tokenOf = (claims: object = {}): string => signer.token({ ...goodClaims(ISSUER, { sub: 'alice' }), ...claims })

let server: Server
let origin: string
let relay: TokenRelay
/** What each request had in its `Authorization` lines, by path. */
const arrived = new Map<string, string[]>()
let release: () => void = () => undefined
let released: Promise<void> = Promise.resolve()

/** `/first` is answered when the test says so. */
beforeAll(async () => {
  server = createServer((request, response) => {
    const { url = '', rawHeaders } = request
    const lines = rawHeaders.filter((_, i) => rawHeaders[i - 1]?.toLowerCase() === 'authorization' && i % 2 === 1)
    arrived.set(url, lines)
    request.resume()
    Promise.resolve(url === '/first' ? released : undefined).then(() => response.end('ok'))
  })
  origin = `http://127.0.0.1:${await listen(server)}`
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [{ to: origin }] })
})
afterAll(async () => {
  await relay.shutdown()
  await close(server)
})
beforeEach(() => {
  arrived.clear()
  ;({ promise: released, resolve: release } = Promise.withResolvers<void>())
})
afterEach(() => {
  release()
  vi.useRealTimers()
})

type Get = (path: string) => Promise<unknown>
const clients: readonly (readonly [string, () => { get: Get; close: () => Promise<void> }])[] = [
  ...COPIES.map(
    ([version, undici]) =>
      [
        `a Client of undici ${version}`,
        () => {
          const client = new undici.Client(origin)
          const get: Get = async (path) => (await client.request({ path, method: 'GET' })).body.text()
          return { get, close: () => client.close() }
        },
      ] as const,
  ),
  [
    'the built-in fetch over one connection',
    () => {
      const agent = new (COPIES[2]?.[1].Agent as typeof Dispatcher as unknown as new (o: object) => Dispatcher)({
        connections: 1,
      })
      const get: Get = async (path) =>
        (await fetch(`${origin}${path}`, { dispatcher: agent } as unknown as RequestInit)).text()
      return { get, close: () => agent.close() }
    },
  ],
]

const endings: readonly [string, string, (lifetime: EventEmitter, token: string) => unknown][] = [
  ['has ended', 'detached', (lifetime) => lifetime.emit('close')],
  ['has a token that was revoked', 'revoked', async (_, token) => relay.revoke(await relay.verify(token))],
  [
    'has a token that has expired',
    'expired',
    () => vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 * 24 }),
  ],
]

describe.each(clients)('%s', (_, open) => {
  it.each(
    endings,
  )('a caller’s request that %s while its call waits in a queue withdraws the token [F23]', async (...args) => {
    const [, reason, end] = args
    const { get, close: closeClient } = open()
    const lifetime = new EventEmitter()
    const token = tokenOf({ jti: crypto.randomUUID() })
    const first = get('/first')
    await expect.poll(() => arrived.has('/first')).toBe(true)

    const { run } = await admit(token, lifetime)
    let queued: Promise<unknown> = Promise.resolve()
    const verdicts = await run(() =>
      verdictsOf(async () => {
        queued = get('/queued')
        // It is in the queue now: a turn of the loop is more than `fetch` takes.
        await new Promise((resolve) => setImmediate(resolve))
        await end(lifetime, token)
        release()
        await Promise.all([first, queued])
      }),
    )
    expect(arrived.get('/queued')).toEqual([])
    expect(verdicts).toEqual([reason])
    vi.useRealTimers()
    await closeClient()
  })

  it('a call that waited in a queue has its caller’s token while the caller is there', async () => {
    const { get, close: closeClient } = open()
    const token = tokenOf()
    const first = get('/first')
    await expect.poll(() => arrived.has('/first')).toBe(true)
    const { run } = await admit(token, new EventEmitter())
    await run(async () => {
      const queued = get('/queued')
      await new Promise((resolve) => setImmediate(resolve))
      release()
      await Promise.all([first, queued])
    })
    expect(arrived.get('/queued')).toEqual([`Bearer ${token}`])
    await closeClient()
  })
})

async function admit(token: string, lifetime: EventEmitter): Promise<{ run<T>(fn: () => T): T }> {
  const admission = await relay.admit({
    headers: { authorization: `Bearer ${token}` },
    rawHeaders: ['authorization', `Bearer ${token}`],
    lifetime,
  })
  if (!('run' in admission)) throw new Error('was not admitted')
  return admission as { run<T>(fn: () => T): T }
}

interface Created {
  readonly request: { readonly path: string; addHeader(name: string, value: string): unknown; headers: unknown }
}

describe.each(COPIES)('undici %s', (_, undici) => {
  it.each([
    'authorization',
    'Authorization',
  ])('an %s that a later subscriber adds is the only one, on a new and on an open connection', async (name) => {
    const addOwn = (message: unknown): void => {
      const { request } = message as Created
      if (request.path.startsWith('/own')) request.addHeader(name, 'Basic YXBwOm93bg==')
    }
    const client = new undici.Client(origin)
    subscribe('undici:request:create', addOwn)
    try {
      await runWithToken(tokenOf(), async () => {
        for (const path of ['/own-cold', '/own-warm', '/plain']) {
          await (await client.request({ path, method: 'GET' })).body.dump()
        }
      })
    } finally {
      unsubscribe('undici:request:create', addOwn)
      await client.close()
    }
    expect(arrived.get('/own-cold')).toEqual(['Basic YXBwOm93bg=='])
    expect(arrived.get('/own-warm')).toEqual(['Basic YXBwOm93bg=='])
    expect(arrived.get('/plain')).toHaveLength(1)
  })

  it('nothing that looks at a request before or after it is written sees the token', async () => {
    const seen: string[] = []
    const look = (message: unknown): void => void seen.push(JSON.stringify((message as Created).request.headers))
    const channels = ['undici:request:create', 'undici:request:headers', 'undici:request:trailers']
    for (const channel of channels) subscribe(channel, look)
    const client = new undici.Client(origin)
    await runWithToken(tokenOf(), async () => {
      for (const path of ['/one', '/two']) await (await client.request({ path, method: 'GET' })).body.dump()
    })
    for (const channel of channels) unsubscribe(channel, look)
    await client.close()
    expect([arrived.get('/one')?.length, arrived.get('/two')?.length]).toEqual([1, 1])
    expect(seen.length).toBeGreaterThan(3)
    expect(seen.filter((text) => text.includes('Bearer'))).toEqual([])
  })
})
