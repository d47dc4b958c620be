/** What keeps a token from a request of undici: each obstacle by itself, with nothing else in its way. */

import { createServer as createSecureServer } from 'node:https'
import { connect as connectPlain } from 'node:net'
import type { Dispatcher } from 'undici'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import { createCertificates } from '../support/certificates.ts'
import type { Verdicts } from '../support/decisions.ts'
import { verdictsOf } from '../support/decisions.ts'
import { close, listen } from '../support/issuer.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'
import type { Undici } from '../support/undici.ts'
import { COPIES } from '../support/undici.ts'

const signer = createSigner()
const token = signer.token(goodClaims(ISSUER, { sub: 'alice' }))

let named: Sink
let other: Sink
let secure: ReturnType<typeof createSecureServer>
let secureOrigin: string
/** For clear text at the port that the rule names for TLS. */
let imposter: Sink
let relay: TokenRelay

beforeAll(async () => {
  named = await startSink()
  other = await startSink()
  imposter = await startSink()
  secure = createSecureServer(await createCertificates(), (_, response) => response.end('{}'))
  secureOrigin = `https://localhost:${await listen(secure)}`
  relay = createTokenRelay({
    ...optionsFor([signer.jwk]),
    destinations: [{ to: named.origin }, { to: secureOrigin }, { to: `https://127.0.0.1:${imposter.port}` }],
  })
})
afterAll(async () => {
  await relay.shutdown()
  for (const sink of [named, other, imposter]) await sink[Symbol.asyncDispose]()
  await close(secure)
})
beforeEach(() => {
  for (const sink of [named, other, imposter]) sink.clear()
})

async function send(dispatcher: Dispatcher, options: object): Promise<Verdicts> {
  const verdicts = await runWithToken(token, () =>
    verdictsOf(async () => {
      const { body } = await dispatcher.request({ path: '/', method: 'GET', ...options } as never)
      await body.dump()
    }),
  )
  await dispatcher.destroy()
  return verdicts
}

const sent = (): string[] =>
  [named, other, imposter].flatMap(({ received }) => received.flatMap((each) => each.authorization))

describe.each(COPIES)('undici %s', (version, undici) => {
  it('a connector that leads to another port of the same host', async () => {
    const build = undici.buildConnector({})
    const dispatcher = new undici.Client(named.origin, {
      connect: (options, done) => build({ ...options, port: String(other.port) }, done),
    })
    expect(await send(dispatcher, {})).toEqual(['custom_connection'])
    expect([other.received.length, sent()]).toEqual([1, []])
  })

  it('a connector that opens a plain socket for https', async () => {
    const dispatcher = new undici.Client(`https://127.0.0.1:${imposter.port}`, {
      connect: (_, done) => {
        const socket = connectPlain({ host: '127.0.0.1', port: imposter.port }, () => done(null, socket))
      },
    })
    expect(await send(dispatcher, {})).toEqual(['custom_connection'])
    expect([imposter.received.length, sent()]).toEqual([1, []])
  })

  it('an origin that the client is not connected to', async () => {
    const verdicts = await send(new undici.Client(other.origin), { origin: named.origin })
    // 7 and 8 do not ask for the origin that a request names.
    expect(verdicts).toEqual([Number(version) < 7 ? 'custom_connection' : 'not_named'])
    expect([other.received.length, sent()]).toEqual([1, []])
  })

  it('a target in absolute form, which is for a proxy', async () => {
    const dispatcher = new undici.Client(named.origin)
    expect(await send(dispatcher, { path: `${named.origin}/absolute` })).toEqual(['proxied'])
    expect([named.received.length, sent()]).toEqual([1, []])
  })

  it('a CONNECT', async () => {
    const client = new undici.Client(named.origin)
    const verdicts = await runWithToken(token, () =>
      verdictsOf(() => client.connect({ path: '127.0.0.1:1' }).catch(() => undefined)),
    )
    expect(verdicts).toEqual(['proxied'])
    await client.destroy()
    expect(named.bytes()).toContain('CONNECT')
    expect(named.bytes()).not.toContain('authorization')
  })

  it('a dispatcher that nothing of ours was called for', async () => {
    const client = new undici.Client(named.origin)
    const inner = innerDispatch(client)
    const verdicts = await runWithToken(token, () =>
      verdictsOf(async () => {
        const answered = Promise.withResolvers<void>()
        inner.call(client, { path: '/', method: 'GET', origin: named.origin }, handlerFor(version, answered.resolve))
        await answered.promise
      }),
    )
    expect(verdicts).toEqual(['unbound_dispatcher'])
    expect([named.received.length, sent()]).toEqual([1, []])
    await client.destroy()
  })

  it('a connection that is lost: the next is looked at anew', async () => {
    const build = undici.buildConnector({})
    let connections = 0
    const client = new undici.Client(named.origin, {
      connect(options, done) {
        connections += 1
        return build(connections === 1 ? options : { ...options, port: String(other.port) }, done)
      },
    })
    const verdicts = await runWithToken(token, () =>
      verdictsOf(async () => {
        await (await client.request({ path: '/', method: 'GET', reset: true })).body.dump()
        await (await client.request({ path: '/', method: 'GET' })).body.dump()
      }),
    )
    expect(verdicts).toEqual(['forwarded', 'custom_connection'])
    expect(other.received.map(({ authorization }) => authorization)).toEqual([[]])
    await client.destroy()
  })
})

/** What a dispatcher called inside before there was a relay, as something that has kept it calls it. */
function innerDispatch(client: Dispatcher): (...args: unknown[]) => unknown {
  const before = captured.get(Object.getPrototypeOf(client) as object)
  if (before === undefined) throw new Error('no such client')
  return before
}
const captured = new Map<object, (...args: unknown[]) => unknown>(
  COPIES.map(([, undici]: readonly [string, Undici]) => {
    const prototype = undici.Client.prototype as unknown as object
    const key = Object.getOwnPropertySymbols(prototype).find(({ description }) => description === 'dispatch')
    return [prototype, Reflect.get(prototype, key as symbol) as (...args: unknown[]) => unknown]
  }),
)

function handlerFor(version: string, done: () => void): unknown {
  const old = { onConnect() {}, onHeaders: () => true, onData: () => true, onComplete: done, onError: done }
  const young = { onRequestStart() {}, onResponseStart() {}, onResponseData() {}, onResponseEnd: done }
  return version === '8' ? { ...young, onResponseError: done } : old
}
