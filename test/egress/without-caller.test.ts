/** What is started inside a request and outlives it works without a caller. */

import { fork } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer as createHttpServer, get } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { connect, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'

let issuer: TestIssuer
let relay: TokenRelay
let token: string

beforeAll(async () => {
  issuer = await startIssuer()
  relay = createTokenRelay({ issuers: [{ issuer: issuer.issuer, audience: 'user-service' }] })
  token = await issuer.token({ sub: 'alice' })
})
afterAll(async () => {
  await relay.shutdown()
  await issuer[Symbol.asyncDispose]()
})

const subject = (): string => getActiveCredential()?.subject ?? 'nobody'
/** Starts something in alice's request; wrapped, so that a promise does not carry her context out of it. */
const startAs = async <T extends object>(start: () => T): Promise<T> =>
  (await runWithToken(token, () => ({ started: start() }))).started
const portOf = ({ address }: { address: () => unknown }): number => (address() as AddressInfo).port

it('a TCP server: connections and data', async () => {
  const { promise: data, resolve } = Promise.withResolvers<string>()
  const seen: string[] = []
  const server = await startAs(() =>
    createTcpServer((socket) => {
      seen.push(subject())
      socket.once('data', () => resolve(subject()))
    }).listen(0, '127.0.0.1'),
  )
  await once(server, 'listening')
  const client = connect(portOf({ address: () => server.address() }), '127.0.0.1')
  client.end('x')
  expect([await data, ...seen]).toEqual(['nobody', 'nobody'])
  server.close()
})

it.each(['127.0.0.1', 'localhost', undefined])('an HTTP server on %s: requests without a token', async (host) => {
  const seen: string[] = []
  const server = await startAs(() =>
    createHttpServer((request, response) => {
      seen.push(subject())
      request.resume().on('end', () => response.end(subject()))
    })
      .on('connection', () => seen.push(subject()))
      .listen(0, host),
  )
  await once(server, 'listening')
  const [response] = await once(
    get({ host: '127.0.0.1', family: 4, port: portOf({ address: () => server.address() }) }),
    'response',
  )
  expect(Buffer.concat(await response.toArray()).toString()).toBe('nobody')
  expect(seen).toEqual(['nobody', 'nobody'])
  server.close()
})

it('an HTTP/2 server', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  const server = await startAs(() =>
    createHttp2Server()
      .on('stream', () => resolve(subject()))
      .listen(0, '127.0.0.1'),
  )
  await once(server, 'listening')
  const session = connectHttp2(`http://127.0.0.1:${portOf({ address: () => server.address() })}`)
  session.on('error', () => undefined)
  session.request().on('error', () => undefined)
  expect(await promise).toBe('nobody')
  session.destroy()
  server.close()
})

it('a datagram socket', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  const socket = await startAs(() => createSocket('udp4', () => resolve(subject())).bind(0, '127.0.0.1'))
  await once(socket, 'listening')
  socket.send('x', socket.address().port, '127.0.0.1')
  expect(await promise).toBe('nobody')
  socket.close()
})

it('a worker', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  const code =
    "const { parentPort } = require('node:worker_threads'); parentPort.on('message', (m) => parentPort.postMessage(m))"
  const worker = await startAs(() => new Worker(code, { eval: true }).on('message', () => resolve(subject())))
  worker.postMessage('x')
  expect(await promise).toBe('nobody')
  await worker.terminate()
})

it('a child process', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  const file = join(tmpdir(), `otel-token-relay-echo-${process.pid}.cjs`)
  writeFileSync(file, "process.on('message', (m) => process.send(m))")
  const child = await startAs(() => fork(file, { execArgv: [] }).on('message', () => resolve(subject())))
  child.send('x')
  expect(await promise).toBe('nobody')
  child.kill()
  await once(child, 'exit')
})

it('a socket: its listeners run without a caller, promises keep their caller', async () => {
  const server = createTcpServer((socket) => socket.end('x')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const seen: Record<string, string> = {}
  await runWithToken(token, async () => {
    const socket = connect(portOf({ address: () => server.address() }), '127.0.0.1', () => {
      seen['callback'] = subject()
    })
    socket.on('data', () => {
      seen['data'] = subject()
    })
    await once(socket, 'close')
    seen['after'] = subject()
  })
  expect(seen).toEqual({ callback: 'nobody', data: 'nobody', after: 'alice' })
  server.close()
})
