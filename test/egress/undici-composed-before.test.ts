/** Dispatchers that were composed before the relay was there, as by modules that are imported: no caller gets another's answer. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { Dispatcher } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import { verdictsOf } from '../support/decisions.ts'
import { close, listen } from '../support/issuer.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import type { Undici } from '../support/undici.ts'
import { COPIES } from '../support/undici.ts'

type Interceptor = Dispatcher.DispatcherComposeInterceptor
type Handler = Dispatcher.DispatchHandler
type Method = (...args: unknown[]) => unknown

/** A copy as a minified bundle has it: its modules are not to be found, and its classes have no names. */
function hiddenCopy(name: string): Undici {
  const require = createRequire(import.meta.url)
  const folder = `/node_modules/${name}/`
  const forget = (): [string, NodeJS.Module | undefined][] => {
    const modules = Object.entries(require.cache).filter(([file]) => file.replaceAll('\\', '/').includes(folder))
    for (const [file] of modules) delete require.cache[file]
    return modules
  }
  const known = forget()
  const undici = require(name) as Undici
  for (const [, module] of forget()) {
    if (typeof module?.exports === 'function') Object.defineProperty(module.exports, 'name', { value: 'a' })
  }
  for (const [file, module] of known) require.cache[file] = module
  return undici
}

/** An interceptor of the application's, whose handlers keep what they are made around to themselves. */
const own: Interceptor = (dispatch) => (options, handler) => dispatch(options, privately(handler))

function privately(inner: Handler): Handler {
  const names = ['onConnect', 'onHeaders', 'onUpgrade', 'onData', 'onComplete', 'onError', 'onRequestStart']
  const young = ['onRequestUpgrade', 'onResponseStart', 'onResponseData', 'onResponseEnd', 'onResponseError']
  const entries = [...names, ...young]
    .filter((name) => name in inner)
    .map((name) => {
      const call: Method = (...args) => (Reflect.get(inner, name) as Method).apply(inner, args)
      return [name, call]
    })
  return Object.fromEntries(entries) as Handler
}

type Stack = readonly [string, (undici: Undici) => readonly Interceptor[]]
const UNSHARED: readonly Stack[] = [
  ['retry', ({ interceptors }) => [interceptors.retry()]],
  ['redirect', ({ interceptors }) => [interceptors.redirect({ maxRedirections: 2 })]],
  ['dns', ({ interceptors }) => [interceptors.dns()]],
  ['responseError', ({ interceptors }) => [interceptors.responseError()]],
  ['decompress', ({ interceptors }) => [interceptors.decompress()]],
  ['dump', ({ interceptors }) => [interceptors.dump()]],
  [
    'all of them',
    ({ interceptors: { decompress, responseError, retry, redirect } }) => [
      ...[decompress(), responseError(), retry(), redirect({ maxRedirections: 2 })],
    ],
  ],
]
const SHARED: readonly Stack[] = [
  ['cache', ({ interceptors }) => [interceptors.cache()]],
  ['deduplicate', ({ interceptors }) => [interceptors.deduplicate()]],
  ['decompress under cache', ({ interceptors }) => [interceptors.decompress(), interceptors.cache()]],
  ['responseError over cache', ({ interceptors }) => [interceptors.cache(), interceptors.responseError()]],
  ['retry under cache', ({ interceptors }) => [interceptors.retry(), interceptors.cache()]],
  ['decompress under deduplicate', ({ interceptors }) => [interceptors.decompress(), interceptors.deduplicate()]],
  ['one of the application’s', () => [own]],
  ['one of the application’s under cache', ({ interceptors }) => [own, interceptors.cache()]],
  ['one of the application’s under deduplicate', ({ interceptors }) => [own, interceptors.deduplicate()]],
]

const copies = COPIES.filter(([version]) => version === '7' || version === '8')
const hidden: typeof copies = ['undici-7', 'undici'].map((name) => [`${name}, minified`, hiddenCopy(name)])
const compose = (undici: Undici, stack: Stack): Dispatcher => new undici.Agent().compose([...stack[1](undici)])
const unshared = copies.flatMap(([version, undici]) =>
  UNSHARED.map((stack) => [`undici ${version}: ${stack[0]}`, undici, compose(undici, stack)] as const),
)
const shared = [...copies, ...hidden].flatMap(([version, undici]) =>
  SHARED.map((stack) => [`undici ${version}: ${stack[0]}`, undici, compose(undici, stack)] as const),
)
const taken = copies.map(
  ([version, { interceptors }]) => [version, interceptors.cache, interceptors.deduplicate] as const,
)

const signer = createSigner()
const tokens = { alice: tokenOf('alice'), bob: tokenOf('bob') }
function tokenOf(sub: string): string {
  return signer.token(goodClaims(ISSUER, { sub, jti: crypto.randomUUID() }))
}

const keys = [1, 2].map((i) => Symbol.for(`undici.globalDispatcher.${i}`))
const relays: TokenRelay[] = []
let server: Server
let origin: string

/** Says who was asking, late, and invites everybody to keep the answer. */
beforeAll(async () => {
  server = createServer((request, response) => {
    const fields = { 'cache-control': 'public, max-age=600', date: new Date().toUTCString() }
    if (request.url?.startsWith('/moved')) return response.writeHead(302, { location: '/new' }).end()
    return setImmediate(() => response.writeHead(200, fields).end(request.headers.authorization ?? 'nobody'))
  })
  origin = `http://127.0.0.1:${await listen(server)}`
})
afterAll(async () => {
  for (const relay of relays) await relay.shutdown()
  await close(server)
})

/** Makes `dispatcher` the global one, as a module does, and then the relay. */
async function relayAfter(undici: Undici, dispatcher: Dispatcher): Promise<void> {
  await relays.pop()?.shutdown()
  undici.setGlobalDispatcher(dispatcher)
  relays.push(createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [{ to: origin }] }))
}

type Ask = (url: string) => Promise<string>
const askAs = (user: keyof typeof tokens, ask: Ask, path: string): Promise<string> =>
  runWithToken(tokens[user], () => ask(`${origin}${path}`))
const asks = (undici: Undici): readonly Ask[] => [
  async (url) => (await fetch(url)).text(),
  async (url) => (await undici.fetch(url)).text(),
  async (url) => (await undici.request(url)).body.text(),
]

describe.each(unshared)('%s, made the global dispatcher', (name, undici, dispatcher) => {
  it('keeps each caller’s token', async () => {
    await relayAfter(undici, dispatcher)
    for (const [i, ask] of asks(undici).entries()) {
      for (const path of [`/${i}`, `/moved-${i}`]) {
        const seen: string[] = []
        const asking: Ask = async (url) => {
          let body = ''
          seen.push(
            ...(await verdictsOf(async () => {
              body = await ask(url)
            })),
          )
          return body
        }
        const [alice, bob] = await Promise.all([askAs('alice', asking, path), askAs('bob', asking, path)])
        expect(new Set(seen)).toEqual(new Set(['forwarded']))
        if (/dump/.test(name) || (path.startsWith('/moved') && !/redirect|all/.test(name))) continue
        expect([alice, bob]).toEqual([`Bearer ${tokens.alice}`, `Bearer ${tokens.bob}`])
      }
    }
  })
})

describe.each(shared)('%s, made the global dispatcher', (_, undici, dispatcher) => {
  it('never gives bob what alice was answered, and sends no token [F22]', async () => {
    await relayAfter(undici, dispatcher)
    for (const [i, ask] of asks(undici).entries()) {
      const together = await Promise.all([askAs('alice', ask, `/${i}`), askAs('bob', ask, `/${i}`)])
      const later = [await askAs('bob', ask, `/${i}`), await askAs('alice', ask, `/${i}`)]
      expect([...together, ...later]).toEqual(['nobody', 'nobody', 'nobody', 'nobody'])
    }
  })

  it('says why', async () => {
    await relayAfter(undici, dispatcher)
    const seen = await runWithToken(tokens.alice, () =>
      verdictsOf(async () => (await undici.request(`${origin}/why`, { dispatcher })).body.dump()),
    )
    expect(seen).toEqual(['shared_response'])
  })
})

describe.each(taken)('interceptors of undici %s that were taken out before', (version, cache, deduplicate) => {
  const undici = copies.find(([name]) => name === version)?.[1] as Undici
  it.each([
    ['cache', cache],
    ['deduplicate', deduplicate],
  ])('share nothing by %s: composed later, over a class that decorates, or called by hand', async (_, create) => {
    await relayAfter(undici, new undici.Agent())
    class Decorating extends undici.Agent {
      override dispatch(options: Dispatcher.DispatchOptions, handler: Handler): boolean {
        return super.dispatch(options, privately(handler))
      }
    }
    const agent = new undici.Agent()
    const byHand = create()(own(agent.dispatch.bind(agent)))
    class ByHand extends undici.Dispatcher {
      override dispatch(options: Dispatcher.DispatchOptions, handler: Handler): boolean {
        return byHand(options as never, handler)
      }
    }
    const dispatchers = [
      ...[new undici.Agent().compose(create()), new undici.Agent().compose(own, create())],
      new Decorating().compose(create()),
      // undici 7 wraps handlers in `compose` only.
      ...(version === '8' ? [new ByHand()] : []),
    ]
    for (const [i, dispatcher] of dispatchers.entries()) {
      const ask: Ask = async (url) => (await undici.request(url, { dispatcher })).body.text()
      const path = `/taken-${i}`
      const bodies = [...(await Promise.all([askAs('alice', ask, path), askAs('bob', ask, path)]))]
      expect([...bodies, await askAs('bob', ask, path)]).toEqual(['nobody', 'nobody', 'nobody'])
    }
  })
})

describe.each(hidden)('%s, composed after the relay', (_, undici) => {
  it.each(SHARED)('never gives bob what alice was answered: %s [F22]', async (_name, interceptors) => {
    await relayAfter(undici, new undici.Agent())
    const dispatcher = new undici.Agent().compose([...interceptors(undici)])
    const ask: Ask = async (url) => (await undici.request(url, { dispatcher })).body.text()
    const together = await Promise.all([askAs('alice', ask, '/a'), askAs('bob', ask, '/a')])
    expect([...together, await askAs('bob', ask, '/a')]).toEqual(['nobody', 'nobody', 'nobody'])
  })

  it('keeps the token of what is not composed', async () => {
    await relayAfter(undici, new undici.Agent())
    for (const ask of asks(undici)) expect(await askAs('alice', ask, '/plain')).toBe(`Bearer ${tokens.alice}`)
  })
})

it('a relay that is shut down leaves the global dispatchers as they were', async () => {
  const [, undici, dispatcher] = unshared[0] as (typeof unshared)[number]
  await relays.pop()?.shutdown()
  undici.setGlobalDispatcher(dispatcher)
  const before = keys.map((key): unknown => Reflect.get(globalThis, key))
  await createTokenRelay(optionsFor([signer.jwk])).shutdown()
  expect(keys.map((key): unknown => Reflect.get(globalThis, key))).toEqual(before)
  expect(Reflect.get(globalThis, keys[0] as symbol)).toBe(before[0])
})
