/** F6 An undici client is where its socket is, whatever its connector was told. */

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:http'
import type { Http2SecureServer, Http2ServerRequest } from 'node:http2'
import { createSecureServer } from 'node:http2'
import type { AddressInfo, LookupFunction } from 'node:net'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import * as undici8 from 'undici'
import * as undici5 from 'undici-5'
import * as undici6 from 'undici-6'
import * as undici7 from 'undici-7'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import type { Certificates } from '../support/certificates.ts'
import { createCertificates } from '../support/certificates.ts'
import type { Verdicts } from '../support/decisions.ts'
import { verdictsOf } from '../support/decisions.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, startIssuer } from '../support/issuer.ts'
import { startProgram } from '../support/process.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

type Undici = typeof undici8
const COPIES: readonly [string, Undici][] = [
  ['5', undici5 as unknown as Undici],
  ['6', undici6 as unknown as Undici],
  ['7', undici7 as unknown as Undici],
  ['8', undici8],
]
const socketPath = join(tmpdir(), `otel-token-relay-connection-${process.pid}.sock`)

let issuer: TestIssuer
let named: Sink
let other: Sink
let relay: TokenRelay
let token: string
let certificates: Certificates
let secureOrigin: string
const arrived: (string | undefined)[] = []
const record = (request: IncomingMessage | Http2ServerRequest, response: { end(): unknown }): void => {
  arrived.push(request.headers.authorization)
  response.end()
}
const unixServer = createServer((request, response) => record(request, response))
let secureServer: Http2SecureServer

beforeAll(async () => {
  issuer = await startIssuer()
  named = await startSink()
  other = await startSink('127.0.0.2')
  certificates = await createCertificates()
  secureServer = createSecureServer({ ...certificates, allowHTTP1: true }, (request, response) =>
    record(request, response),
  )
  secureServer.listen(0, '127.0.0.1')
  await once(secureServer, 'listening')
  secureOrigin = `https://localhost:${(secureServer.address() as AddressInfo).port}`
  await new Promise<void>((resolve) => unixServer.listen(socketPath, resolve))
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: named.origin }, { to: `http://localhost:${other.port}` }, { to: secureOrigin }],
  })
  token = await issuer.token()
})
afterAll(async () => {
  await relay.shutdown()
  await Promise.all([issuer, named, other].map((resource) => resource[Symbol.asyncDispose]()))
  await close(unixServer)
  secureServer.close()
})
beforeEach(() => {
  named.clear()
  other.clear()
  arrived.length = 0
})

const forwarded = (sink: Sink): readonly boolean[] => sink.received.map(({ authorization }) => authorization.length > 0)

const elsewhere: undici8.buildConnector.connector = (_options, callback) => {
  const socket = connectTcp(other.port, '127.0.0.2', () => callback(null, socket))
}

it('the copy inside Node, behind fetch, too', async () => {
  await using program = startProgram('inside-node.cjs', {
    preload: ['--require', 'otel-token-relay/register'],
    env: {
      TOKEN_RELAY_ISSUER: issuer.issuer,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      TOKEN_RELAY_DESTINATIONS: named.origin,
      ELSEWHERE: other.origin,
      SOCKET_PATH: socketPath,
    },
  })
  const port = await program.report<number>('port')
  for (const way of ['elsewhere', 'socket', 'plain']) {
    const url = `http://127.0.0.1:${port}/?way=${way}&url=${encodeURIComponent(named.origin)}`
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
    expect(response.status, await response.text()).toBe(200)
  }
  expect([forwarded(other), arrived, forwarded(named)]).toEqual([[false], [undefined], [true]])
})

describe.each(COPIES)('undici %s', (_version, undici) => {
  const send = async (dispatcher: undici8.Dispatcher, origin: string): Promise<Verdicts> => {
    const verdicts = await runWithToken(token, () =>
      verdictsOf(async () => {
        const { body } = await dispatcher.request({ origin, path: '/', method: 'GET' })
        await body.text()
      }),
    )
    await dispatcher.destroy()
    return verdicts
  }
  const lookup: LookupFunction = (_name, { all }, callback) =>
    all ? callback(null, [{ address: '127.0.0.2', family: 4 }]) : callback(null, '127.0.0.2', 4)

  it.each([
    ['Client', () => new undici.Client(named.origin, { socketPath })],
    ['Pool', () => new undici.Pool(named.origin, { socketPath })],
    ['Agent', () => new undici.Agent({ connect: { socketPath } as undici8.buildConnector.BuildOptions })],
  ])('%s over a Unix socket [F6]', async (_, create) => {
    expect(await send(create(), named.origin)).toEqual(['unix_socket'])
    expect(arrived).toEqual([undefined])
  })

  it.each([
    ['Client', () => new undici.Client(named.origin, { connect: elsewhere })],
    ['Pool', () => new undici.Pool(named.origin, { connect: elsewhere })],
    ['Pool with a limit', () => new undici.Pool(named.origin, { connect: elsewhere, connections: 1 })],
    ['Agent', () => new undici.Agent({ connect: elsewhere })],
    [
      'Agent with a factory',
      () => new undici.Agent({ factory: (origin) => new undici.Client(origin, { connect: elsewhere }) }),
    ],
  ])('%s with a connector that leads elsewhere [F6]', async (_, create) => {
    expect(await send(create(), named.origin)).toEqual(['custom_connection'])
    expect(forwarded(other)).toEqual([false])
    expect(other.bytes()).not.toContain(token.slice(0, 12))
  })

  it('a lookup of the application’s own may lead anywhere in clear text', async () => {
    const origin = `http://localhost:${other.port}`
    expect(await send(new undici.Agent({ connect: { lookup } }), origin)).toEqual(['custom_connection'])
    expect(forwarded(other)).toEqual([false])
  })

  it('a connector of the application that leads to its origin carries the token', async () => {
    const build = undici.buildConnector({})
    expect(await send(new undici.Agent({ connect: (options, done) => build(options, done) }), named.origin)).toEqual([
      'forwarded',
    ])
    expect(forwarded(named)).toEqual([true])
  })

  it('a connection that is opened anew and leads elsewhere gets nothing of what waited for the first [F6]', async () => {
    const build = undici.buildConnector({})
    let connections = 0
    const client = new undici.Client(named.origin, {
      connect(options, done) {
        connections += 1
        return connections === 1 ? build(options, done) : elsewhere(options, done)
      },
    })
    await runWithToken(token, async () => {
      const first = client.request({ path: '/', method: 'GET', reset: true })
      const second = client.request({ path: '/', method: 'GET' })
      await (await first).body.dump()
      const third = client.request({ path: '/', method: 'GET' })
      for (const response of [second, third]) await (await response).body.dump()
    })
    expect(forwarded(named)).toEqual([true])
    expect(forwarded(other)).toEqual([false, false])
    expect(other.bytes()).not.toContain(token.slice(0, 12))
    await client.destroy()
  })

  const tls = (): { ca: string } => ({ ca: certificates.ca })
  it.each([
    ['another authority', () => new undici.Agent({ connect: tls() })],
    ['a server name', () => new undici.Agent({ connect: { ...tls(), servername: 'localhost' } })],
    ['a lookup, bound by the certificate', () => new undici.Agent({ connect: { ...tls(), lookup: toLoopback } })],
    ['HTTP/2', () => new undici.Agent({ connect: tls(), allowH2: true })],
    ['HTTP/2 and a pool', () => new undici.Pool(secureOrigin, { connect: tls(), allowH2: true, connections: 1 })],
  ])('https with %s', async (_, create) => {
    expect(await send(create(), secureOrigin)).toEqual(['forwarded'])
    expect(arrived).toEqual([`Bearer ${token}`])
  })
  const toLoopback: LookupFunction = (_name, { all }, callback) =>
    all ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4)

  it('https to another port by a connector of the application’s own', async () => {
    const connect: undici8.buildConnector.connector = (_options, callback) => {
      const socket = connectTls({ ...tls(), host: '127.0.0.1', port: Number(new URL(secureOrigin).port) }, () =>
        callback(null, socket),
      )
    }
    expect(await send(new undici.Agent({ connect }), secureOrigin)).toEqual(['custom_connection'])
    expect(arrived).toEqual([undefined])
  })

  it('https whose certificate would be checked for the name in a Host field', async () => {
    const agent = new undici.Agent({ connect: { ca: certificates.ca } })
    const verdicts = await runWithToken(token, () =>
      verdictsOf(() =>
        agent
          .request({ origin: secureOrigin, path: '/', method: 'GET', headers: { host: 'elsewhere.example' } })
          .then(({ body }) => body.dump())
          .catch(() => undefined),
      ),
    )
    expect(verdicts).toEqual(['custom_connection'])
    await agent.destroy()
  })
})
