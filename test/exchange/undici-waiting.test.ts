/** What undici promises of bodies, of `close` and of `destroy` holds while a request waits for an exchanged token. */

import { PassThrough } from 'node:stream'
import type { Dispatcher } from 'undici'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Rig } from '../support/exchange-rig.ts'
import { startRig } from '../support/exchange-rig.ts'
import type { Undici } from '../support/undici.ts'
import { COPIES } from '../support/undici.ts'

let rig: Rig
let answer: () => void = () => undefined
/** Of the test: what one before has sent may come in late. */
let path = '/'
beforeAll(async () => {
  rig = await startRig({ exchange: { timeoutMillis: 600_000 } })
})
afterAll(async () => {
  answer()
  await rig[Symbol.asyncDispose]()
})
/** The endpoint answers when the test says so. */
beforeEach(() => {
  answer()
  const { promise, resolve } = Promise.withResolvers<void>()
  answer = resolve
  rig.endpoint.answer = { after: promise }
  rig.endpoint.requests.length = 0
  path = `/${crypto.randomUUID()}`
})

/** How many `Authorization` lines each request of the test arrived with. */
const arrived = (): number[] =>
  rig.sink.received.filter(({ target }) => target === path).map(({ authorization }) => authorization.length)

let users = 0
/** A caller for whom no token is at hand yet. */
const asSomeone = async <T>(fn: () => T): Promise<Awaited<T>> => {
  users += 1
  return rig.as(await rig.issuer.token({ sub: `user-${users}` }), fn)
}
const asked = (): Promise<void> => expect.poll(() => rig.endpoint.requests.length).toBeGreaterThan(0)
const outcome = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'answered',
    (error: unknown) => codeOf(error),
  )
const codeOf = (error: unknown): string => {
  const { code, message, cause } = error as Error & { code?: string }
  return cause === undefined ? (code ?? message) : codeOf(cause)
}

/** The calls that take a stream of Node as a body. */
const calls: readonly (readonly [
  string,
  (undici: Undici, client: Dispatcher, body: PassThrough) => Promise<unknown>,
])[] = [
  ['request', async (_, client, body) => (await client.request({ path, method: 'POST', body })).body.text()],
  ['stream', (_, client, body) => client.stream({ path, method: 'POST', body }, () => new PassThrough().resume())],
  [
    'pipeline',
    (_, client, body) =>
      new Promise((resolve, reject) => {
        const through = client.pipeline({ path, method: 'POST' }, ({ body: answered }) => answered)
        body
          .on('error', (error) => through.destroy(error))
          .pipe(through)
          .on('error', reject)
          .on('end', resolve)
          .resume()
      }),
  ],
  [
    'dispatch',
    (undici, client, body) =>
      new Promise((resolve, reject) => {
        const fail = (...args: unknown[]): void => reject(args.at(-1) as Error)
        const old = { onConnect() {}, onHeaders: () => true, onData: () => true, onComplete: resolve, onError: fail }
        const young = {
          onRequestStart() {},
          onResponseStart() {},
          onResponseData() {},
          onResponseEnd: resolve,
          onResponseError: fail,
        }
        const handler = 'cacheStores' in undici ? young : old
        client.dispatch({ path, method: 'POST', body }, handler as unknown as Dispatcher.DispatchHandler)
      }),
  ],
]

describe.each(COPIES)('undici %s, while a request waits', (version, undici) => {
  it.each(calls)('%s rejects as without a relay if its body fails, and the process goes on', async (_name, call) => {
    const client = new undici.Client(rig.sink.origin)
    const body = new PassThrough()
    const failed = await asSomeone(async () => {
      const pending = outcome(call(undici, client, body))
      await asked()
      body.destroy(new Error('incorrect header check'))
      return pending
    })
    expect(failed).toBe('incorrect header check')
    answer()
    await client.destroy()
    expect(arrived()).toEqual([])
  })

  it('fetch rejects if its body fails, whether it is a web stream or iterated', async () => {
    for (const make of [failingStream, failingIterable]) {
      const body = make() as never
      const failed = await asSomeone(async () => {
        const pending = outcome(undici.fetch(`${rig.sink.origin}${path}`, { method: 'POST', body, duplex: 'half' }))
        await asked()
        answer()
        return pending
      })
      expect(failed).not.toBe('answered')
    }
  })

  it('a form is sent when the token is there', async () => {
    const form = new undici.FormData()
    form.append('name', 'value')
    await asSomeone(async () => {
      const pending = undici.fetch(`${rig.sink.origin}${path}`, { method: 'POST', body: form })
      await asked()
      answer()
      expect((await pending).status).toBe(200)
    })
    expect(arrived()).toEqual([1])
  })

  const dispatchers: readonly (readonly [string, () => Dispatcher])[] = [
    ['Client', () => new undici.Client(rig.sink.origin)],
    ['Pool', () => new undici.Pool(rig.sink.origin, { connections: 2 })],
    ['Agent', () => new undici.Agent()],
    ...(version === '5'
      ? []
      : ([
          ['RetryAgent', () => new undici.RetryAgent(new undici.Agent())],
          ['composed Agent', () => new undici.Agent().compose(undici.interceptors.retry())],
        ] as const)),
  ]

  it.each(dispatchers)('close of a %s waits for it, and takes nothing more', async (_name, create) => {
    const dispatcher = create()
    const send = (): Promise<string> =>
      outcome(dispatcher.request({ path, method: 'GET', origin: rig.sink.origin } as never))
    const outcomes = await asSomeone(async () => {
      const pending = Array.from({ length: 12 }, send)
      await asked()
      const closing = dispatcher.close()
      const late = await send()
      answer()
      await closing
      return [late, ...(await Promise.all(pending))]
    })
    expect(outcomes).toEqual(['UND_ERR_CLOSED', ...Array.from({ length: 12 }, () => 'answered')])
    expect(arrived()).toEqual(Array(12).fill(1))
  })

  it.each(dispatchers)('destroy of a %s ends it at once', async (_name, create) => {
    const dispatcher = create()
    const ended = await asSomeone(async () => {
      const pending = outcome(dispatcher.request({ path, method: 'GET', origin: rig.sink.origin } as never))
      await asked()
      await dispatcher.destroy()
      return pending
    })
    expect(ended).toBe('UND_ERR_DESTROYED')
    answer()
    expect(arrived()).toEqual([])
  })
})

function failingStream(): ReadableStream {
  return new ReadableStream({ start: (controller) => controller.error(new Error('incorrect header check')) })
}

async function* failingIterable(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(1)
  throw new Error('incorrect header check')
}
