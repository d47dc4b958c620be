/** undici's own caches answer above the wire: what they may give to another caller is never asked for with a token. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import * as undici8 from 'undici'
import * as undici7 from 'undici-7'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import { startProgram } from '../support/process.ts'

type Undici = typeof undici8
type CacheStore = NonNullable<NonNullable<Parameters<Undici['interceptors']['cache']>[0]>['store']>
type Interceptor = undici8.Dispatcher.DispatcherComposeInterceptor

/** Says who was asking, invites everybody to keep the answer, and answers only when it is told to. */
let origin: string
let server: Server
let requests = 0
let release: () => void = () => undefined
let released = Promise.resolve()
let issuer: TestIssuer
let relay: TokenRelay
let tokens: Readonly<Record<'alice' | 'bob', string>>

beforeAll(async () => {
  issuer = await startIssuer()
  server = createServer((request, response) => {
    requests += 1
    const { pathname } = new URL(request.url ?? '', origin)
    released.then(() => {
      if (pathname === '/moved') return response.writeHead(302, { location: '/public' }).end()
      const cacheControl =
        pathname === '/stale' ? 'public, max-age=0, stale-while-revalidate=60' : 'public, max-age=600'
      return response
        .writeHead(200, { 'cache-control': cacheControl, etag: '"1"', date: new Date().toUTCString() })
        .end(request.headers.authorization ?? 'nobody')
    })
  })
  origin = `http://127.0.0.1:${await listen(server)}`
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: origin }],
  })
  tokens = { alice: await issuer.token({ sub: 'alice' }), bob: await issuer.token({ sub: 'bob' }) }
})
afterAll(async () => {
  await relay.shutdown()
  await issuer[Symbol.asyncDispose]()
  await close(server)
})
beforeEach(() => {
  requests = 0
  released = Promise.resolve()
})

function slowStore(undici: Undici): CacheStore {
  const { MemoryCacheStore } = Reflect.get(undici, 'cacheStores') as { MemoryCacheStore: new () => CacheStore }
  const store = new MemoryCacheStore()
  const get = store.get.bind(store)
  return Object.assign(store, {
    async get(key: Parameters<typeof get>[0]) {
      await new Promise((resolve) => setImmediate(resolve))
      return get(key)
    },
  })
}

const compositions: readonly [string, (undici: Undici) => readonly Interceptor[]][] = [
  ['cache', ({ interceptors }) => [interceptors.cache()]],
  ['cache with a store that takes its time', (undici) => [undici.interceptors.cache({ store: slowStore(undici) })]],
  ['cache over redirect', ({ interceptors }) => [interceptors.redirect({ maxRedirections: 2 }), interceptors.cache()]],
  ['redirect over cache', ({ interceptors }) => [interceptors.cache(), interceptors.redirect({ maxRedirections: 2 })]],
  ['cache over retry', ({ interceptors }) => [interceptors.retry(), interceptors.cache()]],
  ['cache over dns', ({ interceptors }) => [interceptors.dns(), interceptors.cache()]],
  ['cache over decompress', ({ interceptors }) => [interceptors.decompress(), interceptors.cache()]],
  ['retry over cache', ({ interceptors }) => [interceptors.cache(), interceptors.retry()]],
  ['deduplicate', ({ interceptors }) => [interceptors.deduplicate()]],
  ['deduplicate over retry', ({ interceptors }) => [interceptors.retry(), interceptors.deduplicate()]],
  ['both', ({ interceptors }) => [interceptors.deduplicate(), interceptors.cache()]],
]

describe.each([
  ['shared.cjs', '--require'],
  ['shared.mjs', '--require'],
  ['shared.mjs', '--import'],
])('%s behind %s', (file, preload) => {
  it('an undici that is loaded after the relay is covered as well [F12]', async () => {
    await using program = startProgram(file, {
      preload: [preload, 'otel-token-relay/register'],
      env: {
        TOKEN_RELAY_ISSUER: issuer.issuer,
        TOKEN_RELAY_AUDIENCE: 'user-service',
        TOKEN_RELAY_DESTINATIONS: origin,
      },
    })
    const port = await program.report<number>('port')
    for (const version of ['7', '8']) {
      for (const name of ['cache', 'deduplicate', 'none']) {
        const ask = async (user: keyof typeof tokens): Promise<string> => {
          const search = new URLSearchParams({ url: `${origin}/public`, version, name })
          const headers = { authorization: `Bearer ${tokens[user]}` }
          return (await fetch(`http://127.0.0.1:${port}/?${search}`, { headers })).text()
        }
        const bodies = await Promise.all([ask('alice'), ask('bob')])
        const expected = name === 'none' ? [`Bearer ${tokens.alice}`, `Bearer ${tokens.bob}`] : ['nobody', 'nobody']
        expect(bodies, `${name} ${version}`).toEqual(expected)
      }
    }
  })
})

describe.each([
  ['7', undici7 as unknown as Undici],
  ['8', undici8],
])('undici %s', (_, undici) => {
  const as = (user: keyof typeof tokens, dispatcher: undici8.Dispatcher, path: string): Promise<string> =>
    runWithToken(tokens[user], async () => (await undici.request(`${origin}${path}`, { dispatcher })).body.text())

  it.each(compositions)('%s: bob never sees what alice was answered [F12, F22]', async (_name, compose) => {
    for (const path of ['/public', '/moved', '/stale']) {
      const agent = new undici.Agent()
      const composed = agent.compose([...compose(undici)])
      const together = [as('alice', composed, path), as('bob', composed, path)]
      const bodies = [
        ...(await Promise.all(together)),
        await as('bob', composed, path),
        await as('alice', composed, path),
      ]
      expect(bodies.filter((body) => body.includes('Bearer'))).toEqual([])
      await agent.close()
    }
  })

  it('the cache and the deduplication still work [F12]', async () => {
    const agent = new undici.Agent().compose(undici.interceptors.cache())
    expect([await as('alice', agent, '/public'), await as('bob', agent, '/public')]).toEqual(['nobody', 'nobody'])
    expect(requests).toBe(1)

    released = new Promise((resolve) => {
      release = resolve
    })
    const deduplicating = new undici.Agent().compose(undici.interceptors.deduplicate())
    const both = [as('alice', deduplicating, '/public'), as('bob', deduplicating, '/public')]
    await expect.poll(() => requests).toBe(2)
    release()
    expect(await Promise.all(both)).toEqual(['nobody', 'nobody'])
    expect(requests).toBe(2)
  })

  it('what no cache keeps carries the token: an unsafe method, and a request around the cache', async () => {
    const agent = new undici.Agent()
    const composed = agent.compose(undici.interceptors.cache(), undici.interceptors.deduplicate())
    const body = await runWithToken(tokens.alice, async () => {
      const response = await undici.request(origin, { dispatcher: composed, method: 'POST' })
      return response.body.text()
    })
    expect(body).toBe(`Bearer ${tokens.alice}`)
    expect(await as('bob', agent, '/public')).toBe(`Bearer ${tokens.bob}`)
    await agent.close()
  })
})
