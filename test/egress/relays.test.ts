/** Connections that outlive a relay, or are older than it. */

import { once } from 'node:events'
import type { ClientHttp2Session } from 'node:http2'
import { connect, createServer } from 'node:http2'
import type { AddressInfo, LookupFunction } from 'node:net'
import * as undici8 from 'undici'
import * as undici5 from 'undici-5'
import * as undici6 from 'undici-6'
import * as undici7 from 'undici-7'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import type { Verdicts } from '../support/decisions.ts'
import { verdictsOf } from '../support/decisions.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

let issuer: TestIssuer
let named: Sink
let token: string
let relay: TokenRelay | undefined
const http2Server = createServer((_request, response) => response.end())
let http2Origin: string

beforeAll(async () => {
  issuer = await startIssuer()
  named = await startSink()
  token = await issuer.token()
  http2Server.listen(0, '127.0.0.1')
  await once(http2Server, 'listening')
  http2Origin = `http://127.0.0.1:${(http2Server.address() as AddressInfo).port}`
})
afterAll(async () => {
  await Promise.all([issuer, named].map((resource) => resource[Symbol.asyncDispose]()))
  http2Server.close()
})
beforeEach(() => named.clear())
afterEach(() => relay?.shutdown())

function start(): TokenRelay {
  return createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [
      { to: named.origin },
      { to: `http://localhost:${named.port}` },
      { to: `http://elsewhere.example:${named.port}`, allowCleartext: true },
      { to: http2Origin },
    ],
  })
}
const asCaller = (fn: () => unknown): Promise<Verdicts> => runWithToken(token, () => verdictsOf(fn))

describe.each([
  ['5', undici5 as unknown as typeof undici8],
  ['6', undici6 as unknown as typeof undici8],
  ['7', undici7 as unknown as typeof undici8],
  ['8', undici8],
])('undici %s', (_, undici) => {
  const send = async (client: undici8.Client): Promise<void> => {
    const { body } = await client.request({ path: '/', method: 'GET' })
    await body.text()
  }

  it('a connection that is older than the relay carries the token if its peer is known', async () => {
    const lookup: LookupFunction = (_name, { all }, done) =>
      all === true ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)
    const byAddress = new undici.Client(named.origin)
    const byName = new undici.Client(`http://localhost:${named.port}`)
    const lookedUp = new undici.Client(`http://elsewhere.example:${named.port}`, {
      connect: { lookup } as undici8.buildConnector.BuildOptions,
    })
    const clients = [byAddress, byName, lookedUp]
    for (const client of clients) await send(client)
    relay = start()
    const verdicts = []
    for (const client of clients) verdicts.push(await asCaller(() => send(client)))
    expect(verdicts).toEqual([['forwarded'], ['forwarded'], ['custom_connection']])
    await Promise.all(clients.map((client) => client.destroy()))
  })

  it('a connection of an earlier relay carries the token', async () => {
    relay = start()
    const earlier = new undici.Client(named.origin, { keepAliveTimeout: 60_000 })
    expect(await asCaller(() => send(earlier))).toEqual(['forwarded'])
    await relay.shutdown()
    await send(earlier)
    relay = start()
    expect(await asCaller(() => send(earlier))).toEqual(['forwarded'])
    expect(named.received.map(({ authorization }) => authorization.length)).toEqual([1, 0, 1])
    await earlier.destroy()
  })
})

it('a session of node:http2 too', async () => {
  const send = async (session: ClientHttp2Session): Promise<void> => {
    await once(session.request().resume(), 'end')
  }
  const older = connect(http2Origin)
  await send(older)
  relay = start()
  const earlier = connect(http2Origin)
  expect(await asCaller(() => send(earlier))).toEqual(['forwarded'])
  await relay.shutdown()
  relay = start()
  expect(await asCaller(() => send(earlier))).toEqual(['forwarded'])
  expect(await asCaller(() => send(older))).toEqual([])
  for (const session of [older, earlier]) session.close()
})
