/** `node:http2`: a request goes where its session is connected, and says nothing else. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { ClientHttp2Session, Http2Server, OutgoingHttpHeaders } from 'node:http2'
import http2, { createSecureServer, createServer, connect as namedConnect, sensitiveHeaders } from 'node:http2'
import type { AddressInfo, LookupFunction } from 'node:net'
import { connect as connectTcp } from 'node:net'
import { inspect, promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import type { Certificates } from '../support/certificates.ts'
import { createCertificates } from '../support/certificates.ts'
import type { Verdicts } from '../support/decisions.ts'
import { verdictsOf } from '../support/decisions.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { fromNode24, NODE_MAJOR } from '../support/node.ts'
import { waitUntil } from '../support/patience.ts'

let issuer: TestIssuer
let relay: TokenRelay
let token: string
let certificates: Certificates
let servers: readonly Http2Server[]
let [origin, elsewhere, secure] = ['', '', '']
const arrived: (readonly string[])[] = []
let sensitive: readonly string[] = []

beforeAll(async () => {
  issuer = await startIssuer()
  certificates = await createCertificates()
  servers = [createServer(), createServer(), createSecureServer(certificates) as unknown as Http2Server]
  const ports: number[] = []
  for (const server of servers) {
    server.on('stream', (stream, headers, _flags, rawHeaders) => {
      const raw = rawHeaders as unknown as readonly string[]
      arrived.push(raw.filter((_, i) => i % 2 === 1 && raw[i - 1] === 'authorization'))
      sensitive = (Reflect.get(headers, sensitiveHeaders) ?? []) as string[]
      stream.respond({ ':status': 200 })
      stream.end('ok')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    ports.push((server.address() as AddressInfo).port)
  }
  origin = `http://127.0.0.1:${ports[0]}`
  elsewhere = `http://127.0.0.1:${ports[1]}`
  secure = `https://localhost:${ports[2]}`
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: origin }, { to: secure }],
  })
  token = await issuer.token()
})
afterAll(async () => {
  await relay.shutdown()
  await issuer[Symbol.asyncDispose]()
  for (const server of servers) server.close()
})
beforeEach(() => {
  arrived.length = 0
})

type Fields = OutgoingHttpHeaders | readonly string[]

async function exchange(session: ClientHttp2Session, fields?: Fields): Promise<OutgoingHttpHeaders> {
  const stream = session.request(fields as OutgoingHttpHeaders)
  await once(stream.resume(), 'end')
  return stream.sentHeaders
}

async function ask(open: () => ClientHttp2Session, fields?: Fields): Promise<Verdicts> {
  return runWithToken(token, () =>
    verdictsOf(async () => {
      const session = open()
      // A server may refuse such fields; what was decided is told all the same.
      await exchange(session, fields).catch(() => undefined)
      session.close()
    }),
  )
}

it.each([
  ['a text', () => namedConnect(origin)],
  ['a URL', () => http2.connect(new URL(origin))],
  ['an object', () => http2.connect({ protocol: 'http:', hostname: '127.0.0.1', port: new URL(origin).port } as URL)],
  ['TLS', () => http2.connect(secure, { ca: certificates.ca })],
  [
    'TLS and the name that it has anyway',
    () => http2.connect(secure, { ca: certificates.ca, servername: 'localhost' }),
  ],
])('a session that was opened with %s carries the token', async (_, open) => {
  expect(await ask(open)).toEqual(['forwarded'])
  expect(arrived).toEqual([[`Bearer ${token}`]])
  expect(sensitive).toContain('authorization')
})

it.each<[string, () => Fields]>([
  ['an object', () => ({ ':path': '/a', ':authority': new URL(origin).host, ':scheme': 'http', 'x-a': '1' })],
  ...fromNode24<[string, () => Fields]>([
    'names and values in turn',
    () => [':path', '/a', ':authority', new URL(origin).host, 'x-a', '1'],
  ]),
])('fields as %s', async (_, fields) => {
  expect(await ask(() => http2.connect(origin), fields())).toEqual(['forwarded'])
  expect(arrived).toEqual([[`Bearer ${token}`]])
})

it('the fields and the stream of the application do not show the token [F11]', async () => {
  const fields = { ':path': '/' }
  const sent = await runWithToken(token, async () => {
    const session = http2.connect(origin)
    const shown = await exchange(session, fields)
    session.close()
    return shown
  })
  expect(arrived).toEqual([[`Bearer ${token}`]])
  expect(fields).toEqual({ ':path': '/' })
  expect(JSON.stringify(sent)).not.toContain(token.slice(0, 12))
})

it.each<[string, Fields]>([
  ['an object', { Authorization: 'Basic dTpw' }],
  ...fromNode24<[string, Fields]>(['names and values', ['Authorization', 'Basic dTpw']]),
])('the application’s own Authorization wins, as %s [F10]', async (_, fields) => {
  expect(await ask(() => http2.connect(origin), fields)).toEqual(['own_credential'])
  expect(arrived).toEqual([['Basic dTpw']])
})

it.each<[string, () => Fields, string]>([
  [':authority', () => ({ ':authority': new URL(elsewhere).host }), 'custom_connection'],
  [':authority with userinfo', () => ({ ':authority': `x@${new URL(origin).host}` }), 'custom_connection'],
  ['host', () => ({ host: new URL(elsewhere).host }), 'custom_connection'],
  [':scheme', () => ({ ':scheme': 'https' }), 'custom_connection'],
  ...fromNode24<[string, () => Fields, string]>([
    ':authority in an array',
    () => [':authority', new URL(elsewhere).host],
    'custom_connection',
  ]),
  ['an absolute :path', () => ({ ':path': `${elsewhere}/` }), 'proxied'],
])('%s that names another origin [F6]', async (_, fields, reason) => {
  expect(await ask(() => http2.connect(origin), fields())).toEqual([reason])
  expect(arrived.flat()).toEqual([])
})

const lookup: LookupFunction = (_name, { all }, callback) =>
  all ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4)

it.each<[string, () => object]>([
  ['host', () => ({ host: '127.0.0.1', port: Number(new URL(elsewhere).port) })],
  ['port', () => ({ port: Number(new URL(elsewhere).port) })],
  ['lookup', () => ({ lookup })],
])('a %s among the options leads elsewhere [F6]', async (_, options) => {
  const verdicts = await ask(() => http2.connect(origin, options() as http2.ClientSessionOptions))
  expect(verdicts).toEqual(['custom_connection'])
  expect(arrived).toEqual([[]])
})

it('another port, and userinfo in the authority, are not named [F6]', async () => {
  expect(await ask(() => http2.connect(elsewhere))).toEqual(['not_named'])
  expect(await ask(() => http2.connect(origin.replace('//', '//user:secret@')))).toEqual(['unknown_destination'])
  expect(arrived).toEqual([[], []])
})

it('a session over a connection that other code opens is left to that code', async () => {
  const createConnection = (): ReturnType<typeof connectTcp> => connectTcp(Number(new URL(origin).port), '127.0.0.1')
  expect(await ask(() => http2.connect(origin, { createConnection }))).toEqual([])
  expect(arrived).toEqual([[]])
})

it('util.promisify still takes connect', async () => {
  const connectPromised = promisify(http2.connect) as unknown as (authority: string) => Promise<ClientHttp2Session>
  const verdicts = await runWithToken(token, () =>
    verdictsOf(async () => {
      const session = await connectPromised(origin)
      await exchange(session)
      session.close()
    }),
  )
  expect(verdicts).toEqual(['forwarded'])
  await expect(connectPromised('http://127.0.0.1:9')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

it.skipIf(NODE_MAJOR < 24)('no diagnostics channel, stream or session shows the token', async () => {
  const shown: unknown[] = []
  const look = (message: unknown): void => void shown.push(inspect(message, { depth: 9, showHidden: true }))
  const channels = ['created', 'start', 'finish', 'close', 'error'].map((name) => `http2.client.stream.${name}`)
  for (const channel of channels) subscribe(channel, look)
  await runWithToken(token, async () => {
    const session = http2.connect(origin)
    for (const fields of [undefined, { ':path': '/a' }, [':path', '/b'] as never]) {
      const stream = session.request(fields)
      stream.on('ready', () => look([stream.sentHeaders, stream]))
      await once(stream.resume(), 'close')
      look([stream.sentHeaders, stream, session])
    }
    session.close()
  })
  for (const channel of channels) unsubscribe(channel, look)
  expect(arrived).toEqual([[`Bearer ${token}`], [`Bearer ${token}`], [`Bearer ${token}`]])
  expect(shown.length).toBeGreaterThan(9)
  expect(shown.join()).not.toContain(token.split('.')[1])
})

it('fields that the application calls sensitive stay so', async () => {
  const fields = { cookie: 'a=b', [sensitiveHeaders]: ['cookie'] }
  expect(await ask(() => http2.connect(origin), fields as never)).toEqual(['forwarded'])
  expect(sensitive).toEqual(expect.arrayContaining(['cookie', 'authorization']))
})

it.each<[string, object, object, Verdicts]>([
  ['no port, http among the options', { hostname: '127.0.0.1', port: '' }, { protocol: 'http:' }, ['not_named']],
  [
    'no port, an empty protocol',
    { hostname: '127.0.0.1', port: '', protocol: '' },
    { protocol: 'http:' },
    ['not_named'],
  ],
  ['a port that is none', { hostname: '127.0.0.1', port: null }, { protocol: 'http:' }, ['unknown_destination']],
])('the port of a session is the one that Node takes: %s [F6]', async (_, authority, options, expected) => {
  await relay.shutdown()
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: 'http://127.0.0.1' }],
  })
  const verdicts = await runWithToken(token, () =>
    verdictsOf(() => {
      try {
        const session = http2.connect(authority as URL, options)
        session.on('error', () => undefined)
        session.request({}).on('error', () => undefined)
        session.destroy()
      } catch {
        // Node refuses some of them itself.
      }
    }),
  )
  expect([expected, []]).toContainEqual(verdicts)
  await relay.shutdown()
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: origin }, { to: secure }],
  })
})

it('the socket decides where a session leads, whatever its authority says later [F6]', async () => {
  let reads = 0
  const authority = {
    protocol: 'http:',
    hostname: '127.0.0.1',
    get port() {
      reads += 1
      return new URL(reads > 2 ? origin : elsewhere).port
    },
  }
  expect(await ask(() => http2.connect(authority as unknown as URL))).toEqual(['custom_connection'])
  expect(arrived).toEqual([[]])
})

it('more callers than the peer takes streams at once: each waits its turn, and keeps its token', async () => {
  const server = createServer({ settings: { maxConcurrentStreams: 2 } })
  const seen: string[] = []
  const blocking: http2.ServerHttp2Stream[] = []
  let [open, most] = [0, 0]
  server.on('stream', (stream, { authorization = 'nothing', ':path': path }) => {
    open += 1
    most = Math.max(most, open)
    stream.on('close', () => (open -= 1))
    if (path === '/block') blocking.push(stream)
    else seen.push(`${path} ${authorization}`)
    if (path !== '/block') stream.respond({ ':status': 200 }, { endStream: true })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const to = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  await relay.shutdown()
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: origin }, { to: secure }, { to }],
  })
  const session = http2.connect(to)
  await once(session, 'remoteSettings')
  const tokens = await Promise.all(Array.from({ length: 12 }, (_, i) => issuer.token({ sub: `user-${i}` })))
  for (let i = 0; i < 2; i += 1) session.request({ ':path': '/block' }).resume()
  await waitUntil(() => blocking.length === 2)
  const made: http2.ClientHttp2Stream[] = []
  const calls = tokens.map((each, i) =>
    runWithToken(each, async () => {
      const stream = session.request({ ':path': `/${i}` })
      made.push(stream)
      // Every third one is given up while it waits: it holds up no other.
      if (i % 3 === 2) stream.close(http2.constants.NGHTTP2_CANCEL)
      await once(stream.resume(), 'close')
    }),
  )
  await waitUntil(() => made.length === tokens.length)
  const withoutCaller = once(session.request({ ':path': '/none' }).resume(), 'close')
  for (const stream of blocking) stream.respond({ ':status': 200 }, { endStream: true })
  await Promise.all([...calls, withoutCaller])
  session.close()
  server.close()
  const lines = tokens.map((each, i) => `/${i} Bearer ${each}`)
  const expected = [...lines.filter((_, i) => i % 3 !== 2), '/none nothing']
  expect(seen.toSorted()).toEqual(expected.toSorted())
  expect(most).toBeLessThanOrEqual(2)
})

it('callers that share a session send their own tokens [F12]', async () => {
  const session = http2.connect(origin)
  const tokens = await Promise.all(Array.from({ length: 20 }, (_, i) => issuer.token({ sub: `user-${i}` })))
  await Promise.all(tokens.map((each) => runWithToken(each, () => exchange(session))))
  expect(arrived.flat().toSorted()).toEqual(tokens.map((each) => `Bearer ${each}`).toSorted())
  await exchange(session)
  expect(arrived.at(-1)).toEqual([])
  session.close()
})
