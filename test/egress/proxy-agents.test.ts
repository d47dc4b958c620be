/** F7 A proxy sees the token of nobody, by whatever agent a request gets to it; through a tunnel, TLS hides it. */

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import http, { createServer } from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import * as undici8 from 'undici'
import * as undici5 from 'undici-5'
import * as undici6 from 'undici-6'
import * as undici7 from 'undici-7'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import { createCertificates } from '../support/certificates.ts'
import type { Verdicts } from '../support/decisions.ts'
import { verdictsOf } from '../support/decisions.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import { NODE_MAJOR } from '../support/node.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

type Undici = typeof undici8
const COPIES: readonly [string, Undici][] = [
  ['5', undici5 as unknown as Undici],
  ['6', undici6 as unknown as Undici],
  ['7', undici7 as unknown as Undici],
  ['8', undici8],
]

let issuer: TestIssuer
let named: Sink
let proxy: http.Server
let proxyUrl: string
let secure: https.Server
let secureOrigin: string
let ca: string
let relay: TokenRelay
let token: string
let atProxy = ''
let requests = 0
const sockets = new Set<Socket>()
let arrived: (string | undefined)[] = []

beforeAll(async () => {
  issuer = await startIssuer()
  named = await startSink()
  const certificates = await createCertificates()
  ca = certificates.ca
  secure = https.createServer(certificates, (request, response) => {
    arrived.push(request.headers.authorization)
    response.end('{}')
  })
  secureOrigin = `https://localhost:${await listen(secure)}`
  proxy = createServer((incoming, response) => {
    const { url = '', method, headers } = incoming
    incoming.pipe(http.request(url, { method, headers }, (answer) => answer.pipe(response)))
  })
  proxy.on('connect', (incoming: IncomingMessage, client) => {
    const [, port] = (incoming.url ?? '').split(':')
    const upstream = connect(Number(port), '127.0.0.1', () => client.write('HTTP/1.1 200 OK\r\n\r\n'))
    upstream.pipe(client).pipe(upstream)
    for (const socket of [client, upstream]) socket.on('error', () => undefined)
  })
  proxy.on('connection', (socket) => {
    requests += 1
    sockets.add(socket)
    socket.on('data', (chunk: Buffer) => (atProxy += chunk.toString('latin1')))
  })
  proxyUrl = `http://127.0.0.1:${await listen(proxy)}`
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    // Not even a rule for the proxy itself makes it a destination of what it passes on.
    destinations: [{ to: named.origin }, { to: secureOrigin }, { to: proxyUrl }],
  })
  token = await issuer.token()
})
afterAll(async () => {
  await relay.shutdown()
  await Promise.all([issuer, named].map((resource) => resource[Symbol.asyncDispose]()))
  // A server does not know its tunnels any more.
  for (const socket of sockets) socket.destroy()
  await Promise.all([proxy, secure].map(close))
})
beforeEach(() => {
  atProxy = ''
  requests = 0
  arrived = []
  named.clear()
})

/** The last verdict is that of the request itself; a `CONNECT` may have had one before. */
async function verdictOf(send: () => Promise<unknown>): Promise<string | undefined> {
  const verdicts: Verdicts = await runWithToken(token, () => verdictsOf(send))
  expect(requests).toBeGreaterThan(0)
  expect(atProxy).not.toContain(token.slice(0, 12))
  return verdicts.at(-1)
}

const viaNode = async (module: typeof http | typeof https, url: string, agent: http.Agent): Promise<void> => {
  const outgoing = module.request(url, { agent })
  outgoing.end()
  const [response] = (await once(outgoing, 'response')) as [NodeJS.ReadableStream]
  await once(response.resume(), 'end')
  agent.destroy()
}

describe.skipIf(NODE_MAJOR < 24)('proxyEnv of Node’s own agents', () => {
  const proxied = (): object => ({ proxyEnv: { HTTP_PROXY: proxyUrl, HTTPS_PROXY: proxyUrl } })

  it('http: the proxy would read it', async () => {
    expect(await verdictOf(() => viaNode(http, named.origin, new http.Agent(proxied())))).toBe('proxied')
    expect(named.received.map(({ authorization }) => authorization)).toEqual([[]])
  })

  it('https: the tunnel hides it', async () => {
    const agent = new https.Agent({ ...proxied(), ca })
    expect(await verdictOf(() => viaNode(https, secureOrigin, agent))).toBe('forwarded')
    expect(arrived).toEqual([`Bearer ${token}`])
  })
})

describe.each(COPIES)('undici %s', (_version, undici) => {
  const send = async (url: string, dispatcher: undici8.Dispatcher): Promise<void> => {
    const { body } = await undici.request(url, { dispatcher })
    await body.text()
    await dispatcher.destroy()
  }
  class Renamed extends undici.ProxyAgent {}
  const agents: readonly [string, () => undici8.Dispatcher][] = [
    ['ProxyAgent', () => new undici.ProxyAgent({ uri: proxyUrl, requestTls: { ca } })],
    ['a class that extends ProxyAgent', () => new Renamed({ uri: proxyUrl, requestTls: { ca } })],
    ['ProxyAgent with a tunnel', () => new undici.ProxyAgent({ uri: proxyUrl, proxyTunnel: true, requestTls: { ca } })],
    ['ProxyAgent without', () => new undici.ProxyAgent({ uri: proxyUrl, proxyTunnel: false, requestTls: { ca } })],
    ...(undici.EnvHttpProxyAgent === undefined
      ? []
      : [
          [
            'EnvHttpProxyAgent',
            () =>
              new undici.EnvHttpProxyAgent({
                httpProxy: proxyUrl,
                httpsProxy: proxyUrl,
                noProxy: '',
                requestTls: { ca },
              }),
          ] as [string, () => undici8.Dispatcher],
        ]),
  ]

  it.each(agents)('%s to an http destination: the proxy would read it [F7]', async (_, create) => {
    expect(['proxied', 'custom_connection']).toContain(await verdictOf(() => send(named.origin, create())))
    expect(named.received.map(({ authorization }) => authorization)).toEqual([[]])
  })

  it.each(agents)('%s to an https destination: the tunnel hides it', async (_, create) => {
    expect(await verdictOf(() => send(secureOrigin, create()))).toBe('forwarded')
    expect(arrived).toEqual([`Bearer ${token}`])
  })
})
