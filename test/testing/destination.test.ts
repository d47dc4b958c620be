/** A test destination keeps what it receives over every protocol, and says whose tokens these are. */

import { once } from 'node:events'
import http2 from 'node:http2'
import { request as httpsRequest } from 'node:https'
import { Client, credentials } from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTokenRelay, getActiveCredential, getActiveRelay } from '../../src/index.ts'
import { consume, produce } from '../../src/messaging/index.ts'
import type { TestRelay } from '../../src/testing/index.ts'
import {
  asCaller,
  createTestDestination,
  createTestIssuer,
  createTestRelay,
  expectNoToken,
  expectTokenAt,
} from '../../src/testing/index.ts'

const alice = { subject: 'alice', scopes: ['orders:read'] }

let kit: TestRelay | undefined
afterEach(async () => {
  await kit?.[Symbol.asyncDispose]()
  kit = undefined
})

describe('a test destination', () => {
  it('of https has a certificate that can be trusted', async () => {
    await using orders = await createTestDestination({ protocol: 'https', answer: { status: 201, body: 'made' } })
    kit = await createTestRelay({ destinations: [orders] })
    const status = await asCaller(alice, async () => {
      const request = httpsRequest(`${orders.origin}/a`, { ca: orders.ca, method: 'POST' }).end('a body')
      const [response] = await once(request, 'response')
      response.resume()
      return response.statusCode as number
    })
    expect(status).toBe(201)
    expect(orders.received[0]).toMatchObject({ method: 'POST', path: '/a', body: 'a body' })
    expect(orders.bytes().toString()).toMatch(/^POST \/a HTTP\/1\.1\r\n/)
    expectTokenAt(orders, alice)
  })

  it('of h2 and of gRPC gets the token, with the gate of a relay in the same process', async () => {
    await using orders = await createTestDestination({ protocol: 'h2' })
    await using ledger = await createTestDestination({ protocol: 'grpc' })
    kit = await createTestRelay({ destinations: [orders, ledger] })
    const session = http2.connect(orders.origin, { ca: orders.ca })
    const client = new Client(ledger.address, credentials.createInsecure())
    await asCaller(alice, async () => {
      const stream = session.request({ ':path': '/a' })
      await once(stream.resume(), 'close')
      await new Promise<void>((resolve, reject) => {
        const bytes = (value: Buffer): Buffer => value
        client.makeUnaryRequest('/a.Ledger/Add', bytes, bytes, Buffer.from('b'), (error) =>
          error === null ? resolve() : reject(error),
        )
      })
    })
    session.close()
    client.close()
    expectTokenAt(orders, alice)
    expectTokenAt(ledger, alice)
    expect(ledger.received[0]?.path).toBe('/a.Ledger/Add')
  })

  it('stands outside of the gate, so that a call without a token gets there', async () => {
    await using orders = await createTestDestination({ protocol: 'h2' })
    await using others = await createTestDestination()
    kit = await createTestRelay()
    const session = http2.connect(orders.origin, { ca: orders.ca })
    const stream = session.request({ ':path': '/a' })
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
    session.destroy()
    expect([headers[':status'], (await fetch(others.origin)).status]).toEqual([200, 200])
    expect([orders, others].map(({ received }) => received.length)).toEqual([1, 1])
  })

  it('of a queue says whose the sealed tokens are', async () => {
    await using queue = await createTestDestination({ protocol: 'queue', name: 'kafka:orders' })
    kit = await createTestRelay({ destinations: [queue] })
    const message = queue.take()
    await asCaller(alice, () => produce(queue.name, (headers) => queue.publish('an order', headers)))
    expectTokenAt(queue, alice)
    expect(queue.received[0]?.tokens[0]).toMatchObject({ isSealed: true, subject: 'alice' })
    const { headers } = await message
    const consumed = await consume({ source: queue.name, headers }, () => getActiveCredential()?.subject)
    expect(consumed).toMatchObject({ verdict: 'handled', result: 'alice' })
  })

  it('refuses another protocol', async () => {
    await expect(createTestDestination({ protocol: 'ftp' as never })).rejects.toThrow('protocol: expected')
  })
})

describe('the assertions say what was received instead', () => {
  it.each([
    ['another subject', { subject: 'bob' }, "expected a token of 'bob' at"],
    ['other scopes', { subject: 'alice', scopes: ['a'] }, "expected a token of 'alice' with the scopes a at"],
    ['another audience', { subject: 'alice', audience: 'x' }, "expected a token of 'alice' for x at"],
  ])('%s', async (_, expected, message) => {
    await using orders = await createTestDestination()
    kit = await createTestRelay({ destinations: [orders] })
    expect(() => expectTokenAt(orders, expected)).toThrow('which has received nothing')
    await asCaller(alice, () => fetch(`${orders.origin}/a`))
    const received = "GET /a with a token of 'alice' with the scopes orders:read in the field authorization"
    for (const text of [message, received]) expect(() => expectTokenAt(orders, expected)).toThrow(text)
    expect(() => expectNoToken(orders)).toThrow(received)
  })
})

describe('a test relay', () => {
  const bob = { subject: 'bob' }
  let port: number
  let origin: string
  beforeEach(async () => {
    const { createServer } = await import('node:http')
    const server = createServer((_, response) => void response.end(getActiveCredential()?.subject ?? 'no caller'))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    port = (server.address() as { port: number }).port
    origin = `http://127.0.0.1:${port}`
    return async () => {
      server.closeAllConnections()
      server.close()
    }
  })

  it('stands before servers, accepts its issuer and its callers, and leaves nothing behind', async () => {
    const before = await fetch(origin)
    expect(await before.text()).toBe('no caller')
    {
      await using own = await createTestRelay()
      expect(getActiveRelay()).toBe(own.relay)
      expect((await fetch(origin)).status).toBe(401)
      const headers = { authorization: `Bearer ${own.issuer.token(bob)}` }
      expect(await (await fetch(origin, { headers })).text()).toBe('bob')
      await asCaller(bob, async (caller) => {
        expect(await (await fetch(origin, { headers: caller.headers })).text()).toBe('bob')
        expect((await own.relay.verify(caller.credential.reveal())).subject).toBe('bob')
      })
      await expect(createTestRelay()).rejects.toMatchObject({ code: 'ERR_RELAY_ACTIVE' })
    }
    expect(getActiveRelay()).toBeUndefined()
    expect(await (await fetch(origin)).text()).toBe('no caller')
    expect(await asCaller(bob, ({ credential }) => credential.issuer)).toBe('https://as-caller.invalid')
  })

  it('leaves an issuer that it was given, and a wrong option leaves no issuer', async () => {
    await using issuer = await createTestIssuer()
    await expect(createTestRelay({ issuer, ingress: { mode: 'maybe' as never } })).rejects.toThrow('ingress.mode')
    {
      await using own = await createTestRelay({ issuer })
      expect(own.issuer).toBe(issuer)
    }
    const relay = createTokenRelay({ issuers: [issuer.configuration], ingress: { mode: 'off' } })
    const subject = await asCaller({ ...bob, issuer }, ({ credential }) => credential.subject)
    expect(subject).toBe('bob')
    await relay.shutdown()
  })
})
