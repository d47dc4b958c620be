/** Agents that share or open connections in their own way: where they lead cannot be known, so they carry no token. */

import { once } from 'node:events'
import type http from 'node:http'
import type { ClientRequest, RequestOptions } from 'node:http'
import { Agent, createServer, request } from 'node:http'
import https from 'node:https'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { Callers } from '../support/callers.ts'
import { startCallers } from '../support/callers.ts'
import type { Certificates } from '../support/certificates.ts'
import { createCertificates } from '../support/certificates.ts'
import type { Verdicts } from '../support/decisions.ts'
import { verdictsOf } from '../support/decisions.ts'
import { close, listen } from '../support/issuer.ts'

let callers: Callers
let certificates: Certificates
/** What has arrived at each server: a token or nothing, for each request. */
let arrived: string[] = []
const servers: http.Server[] = []
let [named, twin, secure] = [0, 0, 0]

function serve(name: string, server: http.Server): http.Server {
  servers.push(server)
  return server.on('request', (incoming, response) => {
    arrived.push(`${name}: ${incoming.headers.authorization === undefined ? 'nothing' : 'a token'}`)
    response.end()
  })
}

beforeAll(async () => {
  certificates = await createCertificates()
  named = await listen(serve('named', createServer()), '127.0.0.1')
  // The same port on another address, so that a name may mean either of them.
  twin = await listen(serve('twin', createServer()), '127.0.0.2', named)
  secure = await listen(serve('secure', https.createServer(certificates)))
  callers = await startCallers({
    destinations: [
      { to: `http://localhost:${named}` },
      { to: `http://127.0.0.1:${named}` },
      { to: `http://127.0.0.1:${secure}` },
      { to: `https://127.0.0.1:${named}` },
      { to: `https://localhost:${secure}` },
    ],
  })
})
afterAll(async () => {
  await callers[Symbol.asyncDispose]()
  await Promise.all(servers.map(close))
})
beforeEach(() => {
  arrived = []
})

async function finish(outgoing: ClientRequest): Promise<void> {
  const [response] = (await once(outgoing.end(), 'response')) as [NodeJS.ReadableStream]
  await once(response.resume(), 'end')
}

async function send(options: RequestOptions, make = request): Promise<Verdicts> {
  return callers.as('alice', () => verdictsOf(() => finish(make(options))))
}

it('plain agents carry it: the control', async () => {
  const agent = new Agent({ keepAlive: true })
  expect(await send({ host: '127.0.0.1', port: named, agent })).toEqual(['forwarded'])
  expect(await send({ host: 'localhost', family: 4, port: named, agent })).toEqual(['forwarded'])
  expect(arrived).toEqual(['named: a token', 'named: a token'])
  agent.destroy()
})

it('a connection that a lookup of the application’s own has opened is not used again for a token [F6]', async () => {
  const lookup: RequestOptions['lookup'] = (_name, _options, callback) =>
    callback(null, [{ address: '127.0.0.2', family: 4 }])
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const options = { host: 'localhost', port: named, agent }
  expect(await send({ ...options, lookup })).toEqual(['custom_connection'])
  expect(await send(options)).toEqual(['custom_connection'])
  expect(twin).toBe(named)
  expect(arrived).toEqual(['twin: nothing', 'twin: nothing'])
  agent.destroy()
})

it('an agent that names its connections itself may hand out that of another host [F6]', async () => {
  const agent = Object.assign(new Agent({ keepAlive: true, maxSockets: 1 }), { getName: () => 'one for all' })
  await send({ host: '127.0.0.2', port: named, agent })
  expect(await send({ host: '127.0.0.1', port: named, agent })).toEqual(['custom_connection'])
  expect(arrived).toEqual(['twin: nothing', 'twin: nothing'])
  agent.destroy()
})

it.each([
  ['of the object', (): Agent => Object.assign(new Agent(), { createSocket: elsewhere })],
  [
    'of a class',
    (): Agent =>
      new (class extends Agent {
        createSocket = elsewhere
      })(),
  ],
])('an agent with a createSocket %s may open any connection', async (_, create) => {
  expect(await send({ host: '127.0.0.1', port: named, agent: create() })).toEqual(['custom_connection'])
  expect(arrived).toEqual(['twin: nothing'])
})
function elsewhere(_request: unknown, _options: unknown, callback: (error: null, socket: unknown) => void): void {
  callback(null, connect(named, '127.0.0.2'))
}

it('what an agent says of its protocol is not believed: TLS for http, clear text for https [F3]', async () => {
  const { Agent: SecureAgent } = https
  const encrypted = Object.assign(new SecureAgent({ ca: certificates.ca } as object), { protocol: 'http:' })
  const verdicts = await send({ host: '127.0.0.1', port: secure, agent: encrypted })
  const clear = Object.assign(new Agent(), { protocol: 'https:', defaultPort: 443 })
  const more = await send({ host: '127.0.0.1', port: named, agent: clear }, https.request as typeof request)
  expect([verdicts, more]).toEqual([['unknown_destination'], ['unknown_destination']])
  expect(arrived).toEqual(['secure: nothing', 'named: nothing'])
})

it('https carries the token over its own connections, and not over one that the application opens', async () => {
  const options = { host: 'localhost', family: 4, port: secure, ca: certificates.ca }
  expect(await send({ ...options, agent: new https.Agent() }, https.request as typeof request)).toEqual(['forwarded'])
  const createConnection = (): ReturnType<typeof connectTls> =>
    connectTls({ host: '127.0.0.1', port: secure, servername: 'localhost', ca: certificates.ca })
  const agent = Object.assign(new https.Agent(), { createConnection })
  expect(await send({ ...options, agent }, https.request as typeof request)).toEqual(['custom_connection'])
  expect(arrived).toEqual(['secure: a token', 'secure: nothing'])
})
