/** F7 A forward proxy reads what is not encrypted to the destination, in a tunnel too: it gets no token. */

import type { Server } from 'node:http'
import { createServer, request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import { NODE_MAJOR } from '../support/node.ts'
import { startProgram } from '../support/process.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

let issuer: TestIssuer
let named: Sink
let proxy: Server
let proxyUrl: string
let seen: string

beforeAll(async () => {
  issuer = await startIssuer()
  named = await startSink()
  proxy = createServer((incoming, response) => {
    const { url = '', method, headers } = incoming
    incoming.pipe(httpRequest(url, { method, headers }, (answer) => answer.pipe(response)))
  })
  proxy.on('connect', (incoming, client) => {
    const [host = '', port] = (incoming.url ?? '').split(':')
    const upstream = connect(Number(port), host, () => client.write('HTTP/1.1 200 OK\r\n\r\n'))
    upstream.pipe(client).pipe(upstream)
    for (const socket of [client, upstream]) socket.on('error', () => undefined)
  })
  proxy.on('connection', (socket) => socket.on('data', (chunk: Buffer) => (seen += chunk.toString('latin1'))))
  proxyUrl = `http://127.0.0.1:${await listen(proxy)}`
})
afterAll(async () => {
  await Promise.all([issuer[Symbol.asyncDispose](), named[Symbol.asyncDispose](), close(proxy)])
})
beforeEach(() => {
  seen = ''
  named.clear()
})

async function callThrough(client: string, env: Readonly<Record<string, string>>): Promise<string> {
  await using program = startProgram('service.cjs', {
    preload: ['--require', 'otel-token-relay/register'],
    env: {
      TOKEN_RELAY_ISSUER: issuer.issuer,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      TOKEN_RELAY_DESTINATIONS: named.origin,
      NODE_USE_ENV_PROXY: '1',
      NO_PROXY: new URL(issuer.issuer).host,
      ...env,
    },
  })
  const token = await issuer.token()
  const url = encodeURIComponent(`${named.origin}/`)
  const port = await program.report<number>('port')
  const headers = { authorization: `Bearer ${token}` }
  const response = await fetch(`http://127.0.0.1:${port}/call?client=${client}&url=${url}`, { headers })
  expect(response.status).toBe(200)
  return token
}

it.skipIf(NODE_MAJOR < 24).each(['fetch', 'http'])('%s through HTTP_PROXY [F7]', async (client) => {
  const token = await callThrough(client, { HTTP_PROXY: proxyUrl })
  expect(seen).toContain(`${named.port}`)
  expect(seen).not.toContain(token)
  expect(named.received.map(({ authorization }) => authorization)).toEqual([[]])
})

it('fetch past the proxy, because of NO_PROXY', async () => {
  const token = await callThrough('fetch', { HTTP_PROXY: proxyUrl, NO_PROXY: '127.0.0.1,localhost' })
  expect(seen).toBe('')
  expect(named.received.map(({ authorization }) => authorization)).toEqual([[`Bearer ${token}`]])
})
