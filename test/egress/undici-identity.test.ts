/** A request of undici is its own caller's, whatever has queued, decorated or repeated it. */

import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import type { Dispatcher } from 'undici'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, deleteCredential, runWithToken } from '../../src/index.ts'
import { suppressTracing } from '../../src/telemetry/suppression.ts'
import { verdictsOf } from '../support/decisions.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'
import type { Undici } from '../support/undici.ts'
import { COPIES } from '../support/undici.ts'

type Interceptor = Dispatcher.DispatcherComposeInterceptor
type Handler = Dispatcher.DispatchHandler
type Method = (...args: unknown[]) => unknown

const signer = createSigner()
const tokens = new Map(
  ['alice', 'bob'].map((sub) => [sub, signer.token(goodClaims(ISSUER, { sub, jti: crypto.randomUUID() }))]),
)
const as = <T>(user: string, fn: () => T): Promise<Awaited<T>> => runWithToken(tokens.get(user) ?? '', fn)
const METHODS = [
  ...['onConnect', 'onHeaders', 'onUpgrade', 'onData', 'onBodySent', 'onComplete', 'onError'],
  ...['onRequestStart', 'onRequestUpgrade', 'onResponseStart', 'onResponseData', 'onResponseEnd', 'onResponseError'],
]

/** A handler around `inner` that keeps it to itself, as those of an application do. */
function decorated(inner: Handler, done: () => void = () => undefined): Handler {
  const entries = METHODS.filter((name) => name in inner).map((name) => {
    const method = Reflect.get(inner, name) as Method
    const call: Method = (...args) => {
      if (/Complete|Error|End$/.test(name)) done()
      return method.apply(inner, args)
    }
    return [name, call]
  })
  return Object.fromEntries(entries) as Handler
}

/** Lets one request go at a time; the next one goes when that ends, inside the code that ends it. */
function limiter({ copies, early }: { copies: boolean; early: boolean }): Interceptor {
  return (dispatch) => {
    const waiting: (() => void)[] = []
    let busy = false
    const next = (): void => {
      busy = waiting.length > 0
      waiting.shift()?.()
    }
    return (options, handler) => {
      const first = early ? decorated(handler, next) : undefined
      waiting.push(() => dispatch(copies ? { ...options } : options, first ?? decorated(handler, next)))
      if (!busy) next()
      return true
    }
  }
}
const LIMITERS = [false, true].flatMap((copies) => [false, true].map((early) => ({ copies, early })))

/** Composed before there is a relay, as by a module that is imported. */
const composedBefore = COPIES.filter(([version]) => version !== '5').flatMap(([version, undici]) =>
  LIMITERS.map(
    (options) =>
      [`undici ${version} ${JSON.stringify(options)}`, undici, new undici.Agent().compose(limiter(options))] as const,
  ),
)

let sink: Sink
let relay: TokenRelay
beforeAll(async () => {
  sink = await startSink()
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [{ to: sink.origin }] })
})
afterAll(async () => {
  await relay.shutdown()
  await sink[Symbol.asyncDispose]()
})
beforeEach(() => sink.clear())

const nameOf = (authorization: readonly string[]): string =>
  authorization.map((value) => [...tokens].find(([, token]) => value === `Bearer ${token}`)?.[0] ?? value).join()
/** `path: whose token`, of what has arrived. */
const arrived = (): Record<string, string> =>
  Object.fromEntries(sink.received.map(({ target, authorization }) => [target.slice(1), nameOf(authorization)]))

/** Alice's request waits behind bob's, which he aborts. */
async function abortAsBob(undici: Undici, dispatcher: Dispatcher, api: string): Promise<Record<string, string>> {
  const call = async (path: string, signal?: AbortSignal): Promise<void> => {
    const url = `${sink.origin}/${path}`
    const method = api === 'POST' ? 'POST' : 'GET'
    if (api === 'fetch') await (await undici.fetch(url, { dispatcher, signal: signal ?? null })).text()
    else await (await undici.request(url, { dispatcher, method, signal: signal ?? null })).body.dump()
  }
  const controller = new AbortController()
  const started = Promise.withResolvers<void>()
  const queued = Promise.withResolvers<void>()
  const bob = as('bob', async () => {
    const first = call('held-by-bob', controller.signal).catch(() => undefined)
    started.resolve()
    await queued.promise
    controller.abort()
    await first
  })
  await started.promise
  const alice = as('alice', async () => {
    const mine = call('alice')
    await new Promise((resolve) => setImmediate(resolve))
    queued.resolve()
    await mine
  })
  await Promise.all([bob, alice])
  return arrived()
}

const APIS = ['request', 'fetch', 'POST']

describe.each(
  COPIES.filter(([version]) => version !== '5'),
)('an interceptor of undici %s that queues [F21]', (_, undici) => {
  it.each(LIMITERS)('never sends what waits as the caller who makes room: %o', async (options) => {
    for (const api of APIS) {
      sink.clear()
      const agent = new undici.Agent()
      const seen = await abortAsBob(undici, agent.compose(limiter(options)), api)
      expect(seen['alice']).toMatch(options.copies ? /^(alice)?$/ : /^alice$/)
      await agent.close()
    }
  })

  it('an interceptor in a class of the application, or called by hand, sends no other caller’s token', async () => {
    for (const make of [queueingAgent, queueByHand]) {
      for (const api of APIS) {
        sink.clear()
        const seen = await abortAsBob(undici, make(undici), api)
        expect(seen['alice']).toMatch(/^(alice)?$/)
      }
    }
  })
})

describe.each(
  composedBefore,
)('an interceptor that was composed before the relay was there: %s [F21]', (_, undici, agent) => {
  it.each(APIS)('never sends what waits as the caller who makes room: %s', async (api) => {
    expect((await abortAsBob(undici, agent, api))['alice']).toMatch(/^(alice)?$/)
  })
})

/** What an interceptor may do with a dispatch, composed or in a class of the application's. */
type Way = readonly [string, (undici: Undici, interceptor: Interceptor) => Dispatcher]
const WAYS: readonly Way[] = [
  ['composed', (undici, interceptor) => new undici.Agent().compose(interceptor)],
  [
    'in a class that extends Agent',
    (undici, interceptor) =>
      new (class extends undici.Agent {
        readonly #intercepted = interceptor((options, handler) => super.dispatch(options, handler))
        override dispatch(options: Dispatcher.DispatchOptions, handler: Handler): boolean {
          return this.#intercepted(options as never, handler)
        }
      })(),
  ],
  [
    'in a dispatcher of its own',
    (undici, interceptor) => {
      const agent = new undici.Agent()
      const intercepted = interceptor(agent.dispatch.bind(agent))
      return new (class extends undici.Dispatcher {
        override dispatch(options: Dispatcher.DispatchOptions, handler: Handler): boolean {
          return intercepted(options as never, handler)
        }
      })()
    },
  ],
]
const METHODS_SENT = ['GET', 'POST'] as const

describe.each(
  COPIES.filter(([version]) => version !== '5').flatMap(([version, undici]) =>
    WAYS.map(([way, make]) => [version, way, undici, make] as const),
  ),
)('an interceptor of undici %s, %s [F21]', (_, __, undici, make) => {
  /** Holds the first call back, and sends it in the midst of the second. */
  const held = ({ copies, early }: { copies: boolean; early: boolean }): Interceptor => {
    return (dispatch) => {
      const waiting: (() => void)[] = []
      return (options, handler) => {
        const first = early ? decorated(handler) : undefined
        waiting.push(() => dispatch(copies ? { ...options } : options, first ?? decorated(handler)))
        if (waiting.length > 1) for (const send of waiting.splice(0)) send()
        return true
      }
    }
  }

  it.each(LIMITERS)('never sends what waits as the caller who calls next, to the same path: %o', async (options) => {
    for (const method of METHODS_SENT) {
      sink.clear()
      const dispatcher = make(undici, held(options))
      const asked = await Promise.all(
        ['alice', 'bob'].map((user) =>
          as(user, () => undici.request(`${sink.origin}/same`, { dispatcher, method, headers: { 'x-user': user } })),
        ),
      )
      for (const { body } of asked) await body.dump()
      const users = sink.received.map(({ rawHeaders, authorization }) => [
        rawHeaders[rawHeaders.indexOf('x-user') + 1],
        nameOf(authorization),
      ])
      expect(users).toHaveLength(2)
      for (const [user, token] of users) expect([user, '']).toContain(token)
    }
  })

  it.each([
    ['at once', false, false],
    ['at once, with a copy of the options', true, false],
    ['later', false, true],
    ['later, with a copy of the options', true, true],
  ])('never sends what one handler is used for again as its first caller: %s', async (_when, copies, later) => {
    for (const method of METHODS_SENT) {
      sink.clear()
      let inner: Handler | undefined
      let used = 0
      const handlerOnce = (given: Handler): Handler => {
        inner = given
        reused ??= Object.fromEntries(
          METHODS.filter((name) => name in given).map((name) => [
            name,
            (...args: unknown[]) => (Reflect.get(inner as object, name) as Method | undefined)?.apply(inner, args),
          ]),
        ) as Handler
        return reused
      }
      let reused: Handler | undefined
      const dispatcher = make(undici, (dispatch) => (options, handler) => {
        const send = (): boolean => dispatch(copies ? { ...options } : options, handlerOnce(handler))
        used += 1
        if (!later || used === 1) return send()
        setImmediate(send)
        return true
      })
      const call = async (user: string): Promise<void> => {
        await (await undici.request(`${sink.origin}/${user}`, { dispatcher, method })).body.dump()
      }
      await as('alice', async () => {
        await call('alice')
        await as('bob', () => call('bob'))
      })
      expect(arrived()['bob']).toMatch(/^(bob)?$/)
    }
  })

  it('carries each caller’s token if it only passes on what it is called with, in its own handlers', async () => {
    for (const copies of [false, true]) {
      sink.clear()
      const dispatcher = make(
        undici,
        (dispatch) => (options, handler) => dispatch(copies ? { ...options } : options, decorated(handler)),
      )
      for (const user of ['alice', 'bob', 'alice-again']) {
        const name = user.replace('-again', '')
        const url = `${sink.origin}/${user}`
        await as(name, async () => (await undici.request(url, { dispatcher, method: 'POST' })).body.dump())
        expect(arrived()[user]).toBe(name)
      }
    }
  })
})

function queueingAgent(undici: Undici): Dispatcher {
  class Queueing extends undici.Agent {
    readonly #limited = limiter({ copies: true, early: false })((options, handler) => super.dispatch(options, handler))
    override dispatch(options: Dispatcher.DispatchOptions, handler: Handler): boolean {
      return this.#limited(options as never, handler)
    }
  }
  return new Queueing()
}

function queueByHand(undici: Undici): Dispatcher {
  const agent = new undici.Agent()
  const limited = limiter({ copies: true, early: false })(agent.dispatch.bind(agent))
  class ByHand extends undici.Dispatcher {
    override dispatch(options: Dispatcher.DispatchOptions, handler: Handler): boolean {
      return limited(options as never, handler)
    }
  }
  return new ByHand()
}

/** A handler of the application's own, for every version, that counts answers. */
function ownHandler(version: string, done: () => void): Handler {
  const old = { onConnect() {}, onHeaders: () => true, onData: () => true, onComplete: done, onError: done }
  const young = {
    onRequestStart() {},
    onResponseStart() {},
    onResponseData() {},
    onResponseEnd: done,
    onResponseError: done,
  }
  return (version === '8' ? young : old) as unknown as Handler
}

describe.each(COPIES)('a handler of the application’s own, dispatched by undici %s [F20]', (version, undici) => {
  const again: readonly (readonly [string, (send: () => unknown) => unknown])[] = [
    ['by a job that no request has started', (send) => context.with(ROOT_CONTEXT, send)],
    ['by another caller', (send) => as('bob', send)],
    ['where the credential was deleted', (send) => context.with(deleteCredential(context.active()), send)],
    ['where tracing is suppressed', (send) => context.with(suppressTracing(context.active()), send)],
    ['where tracing is suppressed outside of requests', (send) => context.with(suppressTracing(ROOT_CONTEXT), send)],
  ]
  const methods = ['GET', 'POST'] as const

  it.each(again)('is never sent as alice when it is used again %s', async (_, use) => {
    for (const method of methods) {
      const client = new undici.Client(sink.origin)
      let answers = 0
      const own = ownHandler(version, () => {
        answers += 1
      })
      const retrying = new undici.RetryHandler({ path: '/', method } as never, {
        dispatch: client.dispatch.bind(client) as never,
        handler: own,
      }) as unknown as Handler
      for (const [i, handler] of [own, retrying].entries()) {
        await as('alice', async () => {
          client.dispatch({ path: `/first-${method}-${i}`, method }, handler)
          await expect.poll(() => answers).toBe(1 + i * 2)
          await use(() => client.dispatch({ path: `/again-${method}-${i}`, method }, handler))
          await expect.poll(() => answers).toBe(2 + i * 2)
        })
        expect(arrived()[`again-${method}-${i}`]).toBe('')
      }
      await client.close()
    }
  })

  it('has no token and a reason: it may share the response, or come out of a queue', async () => {
    const client = new undici.Client(sink.origin)
    for (const [method, reason] of [
      ['GET', 'shared_response'],
      ['POST', 'unbound_dispatcher'],
    ] as const) {
      const answered = Promise.withResolvers<void>()
      const verdicts = await as('alice', () =>
        verdictsOf(async () => {
          client.dispatch({ path: '/own', method }, ownHandler(version, answered.resolve))
          await answered.promise
        }),
      )
      expect(verdicts).toEqual([reason])
      expect(arrived()['own']).toBe('')
    }
    await client.close()
  })
})

it('a pool’s queue keeps callers apart that share their options, with handlers that undici 7 wraps', async () => {
  for (const [, undici] of COPIES) {
    sink.clear()
    const pool = new undici.Pool(sink.origin, { connections: 1 })
    const options = { path: '/', method: 'GET' } as const
    const users = ['alice', 'bob', 'alice', 'bob', 'alice']
    await Promise.all(users.map((user) => as(user, async () => (await pool.request(options)).body.dump())))
    const counts = sink.received.map(({ authorization }) => nameOf(authorization)).sort()
    expect(counts).toEqual(['alice', 'alice', 'alice', 'bob', 'bob'])
    await pool.close()
  }
})
