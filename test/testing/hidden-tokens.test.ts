/** Tokens that are not where they are expected are found: encoded, in pieces, and in what is no whole request. */

import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import http2 from 'node:http2'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TestIssuer, TestServer, TokenWatch } from '../../src/testing/index.ts'
import {
  createTestDestination,
  createTestIssuer,
  expectNoToken,
  expectTokenAt,
  watchTokens,
} from '../../src/testing/index.ts'

let issuer: TestIssuer
let sink: TestServer
let watch: TokenWatch
let token: string

beforeEach(async () => {
  issuer = await createTestIssuer()
  sink = await createTestDestination()
  token = issuer.token()
  watch = watchTokens()
})
afterEach(async () => {
  watch.stop()
  await sink[Symbol.asyncDispose]()
  await issuer.close()
})

async function send(path: string, init: RequestInit = {}): Promise<void> {
  await (await fetch(`${sink.origin}${path}`, init)).text()
}

/** Sends pieces over one connection, and waits until the sink has them. */
async function sendRaw(...pieces: readonly string[]): Promise<{ end(): Promise<unknown> }> {
  const socket = connect(Number(new URL(sink.origin).port), '127.0.0.1').on('error', () => undefined)
  for (const piece of pieces) {
    const before = sink.bytes().length
    socket.write(piece)
    await expect.poll(() => sink.bytes().length).toBe(before + piece.length)
  }
  return {
    end() {
      const closed = once(socket, 'close')
      socket.destroy()
      return closed
    },
  }
}

function expectSeen(message = 'expected no token at'): void {
  expect(() => expectNoToken(sink)).toThrow(message)
  expect(() => watch.expectNone()).toThrow('tokens reached a host')
}

describe('a token is found by the destination and by the watch', () => {
  it.each<[string, () => Promise<void>]>([
    ['in Basic', () => send('/', { headers: { authorization: `Basic ${btoa(`user:${token}`)}` } })],
    ['in a body of base64', () => send('/', { method: 'POST', body: btoa(JSON.stringify({ token })) })],
    ['percent-encoded', () => send(`/?t=${token.replaceAll('.', '%2E')}`)],
    ['before more parts', () => send(`/files/${token}.tar.gz`)],
    ['after what begins as one', () => send(`/keyJwt-${token}`)],
    ['with white space in its header', () => send(`/${issuer.sign({ sub: 'alice' }, '{ "alg":"ES256" }')}`)],
    ['after Bearer in any field', () => send('/', { headers: { 'x-original': `Bearer ${issuer.opaqueToken()}` } })],
  ])('%s', async (_, act) => {
    await act()
    expectSeen()
    expect(JSON.stringify(sink.received)).not.toContain(token)
  })

  it('in a compressed body, by the destination', async () => {
    await send('/', { method: 'POST', headers: { 'content-encoding': 'gzip' }, body: gzipSync(token) })
    expectTokenAt(sink, { subject: 'alice' })
  })

  it('in a trailer', async () => {
    const request = httpRequest(sink.origin, { method: 'POST', headers: { trailer: 'x-t' } })
    request.write('a')
    request.addTrailers({ 'x-t': token })
    request.end()
    const [response] = await once(request, 'response')
    await once(response.resume(), 'end')
    expectSeen()
  })

  it('in a trailer over HTTP/2, by the destination', async () => {
    await using h2 = await createTestDestination({ protocol: 'grpc' })
    const session = http2.connect(`http://${h2.address}`)
    const stream = session.request({ ':path': '/', ':method': 'POST' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-t': token })).end('a')
    await once(stream.resume(), 'close')
    session.close()
    expectTokenAt(h2, { subject: 'alice' })
  })

  it('in the second request of a connection, after a body that ends like a token', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (const headers of [{}, { authorization: `Bearer ${issuer.opaqueToken()}` }]) {
      const [response] = await once(httpRequest(sink.origin, { method: 'POST', agent, headers }).end('abc'), 'response')
      await once(response.resume(), 'end')
    }
    agent.destroy()
    expectSeen()
  })
})

describe('a token in what is no whole request counts', () => {
  const head = (): string => `POST / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${token}\r\ncontent-length: 9\r\n\r\n`

  it('before the end of the body, and if the client goes away', async () => {
    const socket = await sendRaw(head(), 'ab')
    expectSeen('in no whole request')
    await socket.end()
    await expect.poll(() => sink.received.length).toBe(1)
    expectSeen('POST / with a token')
  })

  it.each([
    ['another protocol', () => `HELLO ${token}\r\n\r\n`],
    ['a field that is malformed', () => `GET / HTTP/1.1\r\nauthorization : Bearer ${issuer.opaqueToken()}\r\n\r\n`],
  ])('%s', async (_, text) => {
    await (await sendRaw(text())).end()
    expectSeen('in no whole request')
  })
})

it('no failure prints a query, which can hold an opaque token', async () => {
  const opaque = issuer.opaqueToken()
  await send(`/?access_token=${opaque}`, { headers: { authorization: `Bearer ${token}` } })
  for (const assertion of [() => expectNoToken(sink), () => watch.expectNone()]) {
    expect(assertion).toThrow(/^(?:(?!access_token)[\s\S])*$/)
  }
})

it('a scope that is expected twice does not stand for another', async () => {
  await send('/', { headers: { authorization: `Bearer ${issuer.token({ scopes: ['a', 'b'] })}` } })
  expect(() => expectTokenAt(sink, { subject: 'alice', scopes: ['a', 'a'] })).toThrow('expected a token')
  expectTokenAt(sink, { subject: 'alice', scopes: ['b', 'a'] })
})

it('a host without a scheme is refused', () => {
  for (const host of ['localhost:3000', '127.0.0.1:3000', 'orders']) {
    expect(() => watch.expectNone({ allow: [host] })).toThrow('hosts: expected origins')
  }
})

it.each(['http', 'https', 'h2'] as const)('%s ends although a connection says nothing', async (protocol) => {
  const destination = await createTestDestination({ protocol })
  const socket = connect(Number(destination.address.split(':')[1]), '127.0.0.1').on('error', () => undefined)
  await once(socket, 'connect')
  const closed = once(socket, 'close')
  await destination[Symbol.asyncDispose]()
  await closed
})
