/** F6 The decision is made on where a request really goes, not on what it says. */

import { once } from 'node:events'
import type { ClientRequest, RequestOptions } from 'node:http'
import { Agent, createServer, get, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { context } from '@opentelemetry/api'
import * as undici from 'undici'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, deleteCredential, runWithToken } from '../../src/index.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, startIssuer } from '../support/issuer.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

let issuer: TestIssuer
let named: Sink
let other: Sink
let relay: TokenRelay
let token: string

beforeAll(async () => {
  issuer = await startIssuer()
  named = await startSink()
  other = await startSink('127.0.0.2')
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: named.origin }, { to: `http://localhost:${other.port}` }, { to: 'http://127.0.0.1' }],
  })
  token = await issuer.token()
})
afterAll(async () => {
  await relay.shutdown()
  await Promise.all([issuer, named, other].map((resource) => resource[Symbol.asyncDispose]()))
})
beforeEach(() => {
  named.clear()
  other.clear()
})

async function send(make: () => ClientRequest): Promise<void> {
  await runWithToken(token, async () => {
    const outgoing = make()
    outgoing.end()
    const [response] = (await once(outgoing, 'response')) as [NodeJS.ReadableStream]
    await once(response.resume(), 'end')
  })
}

const here = (): RequestOptions => ({ host: '127.0.0.1', port: named.port })
const there = (): RequestOptions => ({ host: '127.0.0.2', port: other.port })

it('hostname beats host, as in Node', async () => {
  await send(() => request({ ...here(), hostname: '127.0.0.2', port: other.port }))
  expect(other.received[0]?.authorization).toEqual([])
  await send(() => request({ ...there(), hostname: '127.0.0.1', port: named.port }))
  expect(named.received[0]?.authorization).toEqual([`Bearer ${token}`])
})

it('the agent’s options beat the request’s, as in Node', async () => {
  const misleading = { host: '127.0.0.2', port: other.port }
  const agent = new Agent(misleading as ConstructorParameters<typeof Agent>[0])
  await send(() => request({ ...here(), agent }))
  expect(other.received[0]?.authorization).toEqual([])
  agent.destroy()
})

it('a Host field names no destination [F6]', async () => {
  await send(() => request({ ...there(), headers: { host: `127.0.0.1:${named.port}` } }))
  expect(other.received[0]?.authorization).toEqual([])
})

it('an absolute-form target is for a proxy', async () => {
  await send(() => request({ ...here(), path: `http://127.0.0.2:${other.port}/` }))
  expect(named.received[0]?.authorization).toEqual([])
})

it('a lookup of the application’s own may lead anywhere in clear text [F6]', async () => {
  const lookup: RequestOptions['lookup'] = (_name, _options, callback) =>
    callback(null, [{ address: '127.0.0.2', family: 4 }])
  await send(() => request({ host: 'localhost', port: other.port, lookup }))
  expect(other.received[0]?.authorization).toEqual([])
})

it('a connection of the application’s own may lead anywhere [F6]', async () => {
  const createConnection = (): ReturnType<typeof connect> => connect(other.port, '127.0.0.2')
  await send(() => request({ ...here(), createConnection }))
  await send(() => request({ ...here(), agent: Object.assign(new Agent(), { createConnection }) }))
  expect(other.received.map(({ authorization }) => authorization)).toEqual([[], []])
})

it('a Unix socket is no named destination [F6]', async () => {
  const server = createServer((incoming, response) =>
    response.end(JSON.stringify(incoming.headers.authorization ?? null)),
  )
  const socketPath = join(tmpdir(), `otel-token-relay-${process.pid}.sock`)
  server.listen(socketPath)
  await once(server, 'listening')
  try {
    const body = await runWithToken(token, async () => {
      const [response] = await once(get({ socketPath, host: '127.0.0.1' }), 'response')
      return Buffer.concat(await response.toArray()).toString()
    })
    expect(body).toBe('null')
    const agent = new Agent()
    Object.assign(agent, { options: { ...Reflect.get(agent, 'options'), path: socketPath } })
    const hidden = await runWithToken(token, async () => {
      const [response] = await once(get({ ...here(), agent }), 'response')
      return Buffer.concat(await response.toArray()).toString()
    })
    expect(hidden).toBe('null')
  } finally {
    await close(server)
  }
})

it('headers that are rendered already stay as they are', async () => {
  await send(() => request({ ...here(), headers: ['host', 'x'] }))
  expect(named.received[0]?.authorization).toEqual([])
})

it('an undici client is where it is connected, whatever origin a request names', async () => {
  const client = new undici.Client(other.origin)
  await runWithToken(token, async () => {
    const response = await client.request({ origin: named.origin, path: '/', method: 'GET' })
    await response.body.dump()
  })
  expect(other.received[0]?.authorization).toEqual([])
  await client.close()
})

it('undici’s redirect interceptor: each hop is decided on its own [F1]', async () => {
  const agent = new undici.Agent().compose(undici.interceptors.redirect({ maxRedirections: 2 }))
  const path = `/redirect/307?${encodeURIComponent(`${other.origin}/out`)}`
  await runWithToken(token, async () => {
    const response = await undici.request(`${named.origin}${path}`, { dispatcher: agent })
    await response.body.dump()
  })
  expect(named.received.map(({ authorization }) => authorization)).toEqual([[`Bearer ${token}`]])
  expect(other.received.map(({ authorization }) => authorization)).toEqual([[]])
  await agent.close()
})

it('a handler of the application carries no token, whichever callers share it [F20]', async () => {
  const client = new undici.Client(named.origin, { pipelining: 1 })
  const tokens = [token, await issuer.token({ sub: 'bob' })]
  let open = 3
  const { promise, resolve } = Promise.withResolvers<void>()
  const shared: undici.Dispatcher.DispatchHandler = {
    onRequestStart: () => undefined,
    onResponseStart: () => undefined,
    onResponseData: () => undefined,
    onResponseEnd: () => {
      open -= 1
      if (open === 0) resolve()
    },
    onResponseError: () => resolve(),
  }
  for (const each of [...tokens, tokens[0]]) {
    await runWithToken(each ?? '', () => client.dispatch({ path: '/', method: 'GET' }, shared))
  }
  await promise
  expect(named.received.map(({ authorization }) => authorization)).toEqual([[], [], []])
  await client.close()
})

it('a handler that callers share over two clients carries no token', async () => {
  const clients = [named.origin, named.origin].map((origin) => new undici.Client(origin))
  const { promise, resolve } = Promise.withResolvers<void>()
  let open = clients.length
  const shared: undici.Dispatcher.DispatchHandler = {
    onRequestStart: () => undefined,
    onResponseStart: () => undefined,
    onResponseData: () => undefined,
    onResponseEnd: () => {
      open -= 1
      if (open === 0) resolve()
    },
    onResponseError: () => resolve(),
  }
  const tokens = [token, await issuer.token({ sub: 'bob' })]
  for (const [i, client] of clients.entries()) {
    await runWithToken(tokens[i] ?? '', () => client.dispatch({ path: `/${i}`, method: 'GET' }, shared))
  }
  await promise
  const received = Object.fromEntries(named.received.map(({ target, authorization }) => [target, authorization]))
  expect(received).toEqual({ '/0': [], '/1': [] })
  await Promise.all(clients.map((client) => client.close()))
})

it('a request under a context without credential carries none', async () => {
  await runWithToken(token, () =>
    context.with(deleteCredential(context.active()), async () => (await fetch(named.origin)).text()),
  )
  expect(named.received[0]?.authorization).toEqual([])
})

it('a request that asks for another protocol version of the same origin is the same destination', async () => {
  await send(() => request({ ...here(), headers: { connection: 'Upgrade', upgrade: 'nothing' } }))
  expect(named.received[0]?.authorization).toEqual([`Bearer ${token}`])
})
