/** The caller of an undici request is known by undici's own handlers, not by the names of an application's classes. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import * as undici8 from 'undici'
import * as undici5 from 'undici-5'
import * as undici6 from 'undici-6'
import * as undici7 from 'undici-7'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'

type Undici = typeof undici8
const COPIES: readonly [string, Undici][] = [
  ['5', undici5 as unknown as Undici],
  ['6', undici6 as unknown as Undici],
  ['7', undici7 as unknown as Undici],
  ['8', undici8],
]
const USERS = ['alice', 'bob', 'carol', 'dave', 'erin']

let server: Server
let origin: string
let issuer: TestIssuer
let relay: TokenRelay
const tokens = new Map<string, string>()
const seen: { user: string; authorization: string | undefined }[] = []
const attempts = new Map<string, number>()

/** `/flaky` fails the first time, `/moved` redirects to `/seen`; both answer late and in a random order. */
beforeAll(async () => {
  issuer = await startIssuer()
  server = createServer((request, response) => {
    const url = new URL(request.url ?? '', origin)
    seen.push({ user: url.searchParams.get('user') ?? '', authorization: request.headers.authorization })
    const attempt = (attempts.get(url.search) ?? 0) + 1
    attempts.set(url.search, attempt)
    setTimeout(() => {
      if (url.pathname === '/moved') response.writeHead(302, { location: `/seen${url.search}` }).end()
      else response.writeHead(url.pathname === '/flaky' && attempt === 1 ? 503 : 200).end('ok')
    }, Math.random() * 4)
  })
  origin = `http://127.0.0.1:${await listen(server)}`
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: origin }],
  })
  for (const user of USERS) tokens.set(user, await issuer.token({ sub: user }))
})
afterAll(async () => {
  await relay.shutdown()
  await issuer[Symbol.asyncDispose]()
  await close(server)
})
beforeEach(() => {
  seen.length = 0
  attempts.clear()
})

const as = <T>(user: string, fn: () => T): Promise<Awaited<T>> => runWithToken(tokens.get(user) ?? '', fn)

/** A handler of the application's own, for every version, that counts answers. */
function handlerClass(name: string, done: () => void): new () => undici8.Dispatcher.DispatchHandler {
  const onOldStyle = { onConnect() {}, onHeaders: () => true, onData: () => true, onComplete: done, onError: done }
  const onNewStyle = {
    onRequestStart() {},
    onResponseStart() {},
    onResponseData() {},
    onResponseEnd: done,
    onResponseError: done,
  }
  const own = { [name]: class {} }[name] as new () => undici8.Dispatcher.DispatchHandler
  Object.assign(own.prototype as object, onOldStyle, onNewStyle)
  return own
}

/** Calls `inner` by its own name: a retry goes on with the handler that undici has made. */
function around<T extends object>(inner: T): T {
  const names = METHODS.filter((name) => name in inner)
  return Object.fromEntries(
    names.map((name) => [name, (...args: unknown[]) => (Reflect.get(inner, name) as Method).apply(inner, args)]),
  ) as T
}

type Method = (...args: unknown[]) => unknown
const METHODS = [
  ...['onConnect', 'onHeaders', 'onUpgrade', 'onData', 'onBodySent', 'onComplete', 'onError'],
  ...['onRequestStart', 'onRequestUpgrade', 'onResponseStart', 'onResponseData', 'onResponseEnd', 'onResponseError'],
]

describe.each(COPIES)('undici %s', (version, undici) => {
  it.each([
    'RetryHandler',
    'RedirectHandler',
    'UnwrapHandler',
    'CacheHandler',
  ])('withholds the token from an application’s %s that two callers share [G1]', async (name) => {
    const client = new undici.Client(origin)
    let answers = 0
    const Handler = handlerClass(name, () => {
      answers += 1
    })
    const shared = new Handler()
    for (const user of ['alice', 'bob']) {
      await as(user, () => client.dispatch({ path: `/seen?user=${user}`, method: 'GET' }, shared))
    }
    await expect.poll(() => answers).toBe(2)
    expect(seen.map(({ authorization }) => authorization)).toEqual([undefined, undefined])
    await expectForwarded(client)
    await client.close()
  })

  it('withholds the token from an application’s handlers that share their options [G1]', async () => {
    const client = new undici.Client(origin)
    let answers = 0
    const count = (): void => {
      answers += 1
    }
    const options = { path: '/seen?user=bob', method: 'GET' } as const
    const [First, Second] = [handlerClass('Handler', count), handlerClass('UnwrapHandler', count)]
    await as('alice', () => client.dispatch(options, new First()))
    await as('bob', () => client.dispatch(options, new Second()))
    await expect.poll(() => answers).toBe(2)
    expect(seen.map(({ authorization }) => authorization)).toEqual([undefined, undefined])
    await expectForwarded(client)
    await client.close()
  })

  /** The control: a handler of undici's own gets the token of its caller over the same client. */
  async function expectForwarded(client: undici8.Client): Promise<void> {
    for (const user of ['alice', 'bob']) {
      await as(user, async () => {
        const response = await undici.request(`${origin}/seen?user=${user}`, { dispatcher: client })
        await response.body.dump()
      })
      expect(seen.at(-1)).toEqual({ user, authorization: `Bearer ${tokens.get(user)}` })
    }
  }

  const { interceptors } = undici
  const retry = { minTimeout: 1, maxTimeout: 5, statusCodes: [503], methods: ['GET' as const] }
  const stacks: readonly [string, string, () => readonly undici8.Dispatcher.DispatcherComposeInterceptor[]][] = [
    ['redirect over dump', '/moved', () => [interceptors.dump(), interceptors.redirect({ maxRedirections: 2 })]],
    [
      'retry over an interceptor of the application',
      '/flaky',
      () => [(dispatch) => (options, handler) => dispatch(options, around(handler)), interceptors.retry(retry)],
    ],
  ]

  it.skipIf(Number(version) < 6).each(stacks)(
    'sends the second request of %s with the token of the caller who made it [F12]',
    async (_, path, stack) => {
      const agent = new undici.Agent({ connections: 2 })
      const composed = agent.compose([...stack()])
      await Promise.all(
        USERS.map((user) =>
          as(user, async () => {
            const response = await undici.request(`${origin}${path}?user=${user}`, { dispatcher: composed })
            await response.body.dump()
          }),
        ),
      )
      expect(seen).toHaveLength(USERS.length * 2)
      for (const { user, authorization } of seen) expect(authorization).toBe(`Bearer ${tokens.get(user)}`)
      await agent.close()
    },
  )

  it.skipIf(Number(version) < 6)(
    'withholds the token from an application’s handler that dispatches itself again [F12]',
    async () => {
      const agent = new undici.Agent({ connections: 2 })
      const composed = agent.compose(
        (dispatch) => (options, handler) => dispatch(options, Object.setPrototypeOf({}, handler) as typeof handler),
        interceptors.retry(retry),
      )
      await Promise.all(
        USERS.map((user) =>
          as(user, async () => {
            const response = await undici.request(`${origin}/flaky?user=${user}`, { dispatcher: composed })
            await response.body.dump()
          }),
        ),
      )
      for (const user of USERS) {
        const sent = seen.filter((each) => each.user === user).map(({ authorization }) => authorization)
        expect(sent).toEqual([`Bearer ${tokens.get(user)}`, undefined])
      }
      await agent.close()
    },
  )
})
