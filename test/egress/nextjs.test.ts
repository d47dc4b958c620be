/** The `fetch` of Next.js, and what it stores for all callers: its own modules, without a server. */

import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import type { Callers } from '../support/callers.ts'
import { startCallers } from '../support/callers.ts'
import { verdictsOf } from '../support/decisions.ts'
import { close, listen } from '../support/issuer.ts'

interface Storage {
  run<T>(store: object, fn: () => T): T
}
type CreateCache = new (options: object) => object

const require = createRequire(import.meta.url)

let callers: Callers
let url: string
let [work, unit]: Storage[] = []
let Cache: CreateCache
/** Who has arrived. The answer is the same. */
let arrived: string[] = []
const server = createServer(({ headers }, response) => {
  const payload = headers.authorization?.split('.')[1] ?? ''
  const subject = payload === '' ? 'nothing' : JSON.parse(Buffer.from(payload, 'base64url').toString()).sub
  arrived.push(subject)
  response.end(`for ${subject}`)
})

beforeAll(async () => {
  url = `http://127.0.0.1:${await listen(server)}/`
  callers = await startCallers({ destinations: [{ to: new URL(url).origin }] })
  // Otherwise decisions are on a span of Next.js.
  vi.stubEnv('NEXT_OTEL_FETCH_DISABLED', '1')
  require('next/dist/server/node-environment-baseline.js')
  work = require('next/dist/server/app-render/work-async-storage.external.js').workAsyncStorage
  unit = require('next/dist/server/app-render/work-unit-async-storage.external.js').workUnitAsyncStorage
  Cache = require('next/dist/server/lib/incremental-cache/index.js').IncrementalCache
  const { patchFetch } = require('next/dist/server/lib/patch-fetch.js')
  patchFetch({ workAsyncStorage: work, workUnitAsyncStorage: unit })
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await callers[Symbol.asyncDispose]()
  await close(server)
})
beforeEach(() => {
  arrived = []
})

class Memory {
  readonly #entries = new Map<string, object>()
  get(key: string): object | null {
    return this.#entries.get(key) ?? null
  }
  set(key: string, value: object): void {
    this.#entries.set(key, { value, lastModified: Date.now() })
  }
  revalidateTag(): void {
    this.#entries.clear()
  }
  resetRequestCache(): void {
    this.#entries.values()
  }
}

function createCache(): object {
  const manifest = { routes: {}, dynamicRoutes: {}, notFoundRoutes: [], preview: {} }
  return new Cache({
    dev: false,
    requestHeaders: {},
    prerenderManifest: manifest,
    CurCacheHandler: Memory,
    previewProps: {},
  })
}

interface Request {
  readonly cache?: object
  readonly type?: string
  readonly init?: object
}

/** Asks in a request of `user` to Next.js; resolves with what was answered and decided. */
async function ask(user: string, { cache = createCache(), type = 'request', init }: Request): Promise<unknown[]> {
  let answer = ''
  const store = { route: '/', incrementalCache: cache, pendingRevalidates: {} as Record<string, Promise<unknown>> }
  const verdicts = await callers.as(user, () =>
    verdictsOf(() =>
      work?.run(store, () =>
        unit?.run({ type, revalidate: 60 }, async () => {
          answer = await (await fetch(url, init)).text()
          await Promise.all(Object.values(store.pendingRevalidates))
        }),
      ),
    ),
  )
  return [answer, ...verdicts]
}

const STORED = { next: { revalidate: 60 } }

it('a response for its caller alone is asked for with the token', async () => {
  const cache = createCache()
  expect(await ask('alice', { cache })).toEqual(['for alice', 'forwarded'])
  expect(await ask('bob', { cache, init: { cache: 'no-store' } })).toEqual(['for bob', 'forwarded'])
  expect(arrived).toEqual(['alice', 'bob'])
})

it.each([
  ['for a time', STORED],
  ['for good', { cache: 'force-cache' }],
  ['though it is a POST', { method: 'POST', ...STORED }],
])('a response that Next.js stores %s is asked for without a token [F22]', async (_, init) => {
  const cache = createCache()
  expect(await ask('alice', { cache, init })).toEqual(['for nothing', 'shared_response'])
  expect(await ask('bob', { cache, init })).toEqual(['for nothing'])
  expect(arrived).toEqual(['nothing'])
})

it.each([
  'unstable-cache',
  'cache',
  'prerender-legacy',
])('what is made in a unit of the type %s is for all callers [F22]', async (type) => {
  expect(await ask('alice', { type })).toEqual(['for nothing', 'shared_response'])
})

it('a cache that cannot be watched may store any response [F22]', async () => {
  expect(await ask('alice', { cache: {} })).toEqual(['for nothing', 'shared_response'])
})

it('a response that was asked for with a token is not stored for another request of its page [F22]', async () => {
  const cache = createCache()
  const first = Promise.withResolvers<Response>()
  // As React does it for equal requests.
  const joined: typeof fetch = () => first.promise
  first.resolve(new Response('for alice'))
  const { createPatchedFetcher } = require('next/dist/server/lib/patch-fetch.js')
  const own = globalThis.fetch
  globalThis.fetch = createPatchedFetcher(joined, { workAsyncStorage: work, workUnitAsyncStorage: unit })
  expect(await ask('alice', { cache, init: STORED })).toEqual(['for alice'])
  globalThis.fetch = own
  expect(await ask('bob', { cache, init: STORED })).toEqual(['for nothing', 'shared_response'])
})

it('after the relay, fetch is a plain property again', async () => {
  await callers.relay.shutdown()
  const { get, value } = Object.getOwnPropertyDescriptor(globalThis, 'fetch') ?? {}
  expect([get, typeof value]).toEqual([undefined, 'function'])
})
