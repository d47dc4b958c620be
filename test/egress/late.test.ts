/** A request that has to wait is decided when it is written: by then its caller may have gone, and the token may be bad. */

import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { Agent, createServer, request } from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer as createTcpServer } from 'node:net'
import { credentials, Metadata } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential } from '../../src/index.ts'
import type { Certificates } from '../support/certificates.ts'
import { createCertificates } from '../support/certificates.ts'
import type { Echo } from '../support/grpc.ts'
import { callEcho, EchoClient, startGrpcSink } from '../support/grpc.ts'
import { NODE_MAJOR } from '../support/node.ts'
import { waitUntil } from '../support/patience.ts'
import { requestOf } from '../support/raw.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { bearer, signer, tokenOf } from '../support/service.ts'

let certificates: Certificates
beforeAll(async () => {
  certificates = await createCertificates()
})
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  vi.restoreAllMocks()
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
afterAll(() => vi.restoreAllMocks())

async function listen(server: { listen(port: number, host: string): unknown } & NodeJS.EventEmitter): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => (server as unknown as Server).close())
  return ((server as unknown as Server).address() as AddressInfo).port
}

/** A request that waits. */
interface Waiting {
  /** Lets it go, and resolves with what it brought: a token, or nothing. */
  arrive(): Promise<string | undefined>
}
/** Starts servers; then the relay is made, and `begin` is called in alice's request. */
type Transport = () => Promise<{ readonly to: string; readonly begin: () => Promise<Waiting> }>

interface Held {
  readonly port: number
  readonly release: () => void
}

/** A way to `port` on which nothing comes through before it is released. */
async function heldWay(port: number): Promise<Held> {
  const released = Promise.withResolvers<void>()
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    const onward = connect(port, '127.0.0.1')
    for (const each of [socket, onward]) sockets.add(each.on('error', () => undefined))
    void released.promise.then(() => socket.pipe(onward).pipe(socket))
  })
  cleanups.push(() => sockets.forEach((each) => void each.destroy()))
  return { port: await listen(server), release: released.resolve }
}

interface Recorder {
  readonly arrived: Promise<string | undefined>
  readonly record: (authorization: unknown) => void
}
function recorder(): Recorder {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  return { arrived: promise, record: (value) => resolve(value === undefined ? undefined : String(value)) }
}
const after = (release: () => unknown, arrived: Recorder['arrived']) => () => {
  release()
  return arrived
}
const discard = (emitter: NodeJS.EventEmitter): unknown => emitter.on('error', () => undefined)

const TRANSPORTS: Readonly<Record<string, Transport>> = {
  async 'http, in the queue of its agent'() {
    const { arrived, record } = recorder()
    const first = Promise.withResolvers<ServerResponse>()
    const server = createServer((incoming, response) => {
      if (incoming.url === '/first') return first.resolve(response)
      record(incoming.headers.authorization)
      response.end()
    })
    const to = `http://127.0.0.1:${await listen(server)}`
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    cleanups.push(() => agent.destroy())
    return {
      to,
      async begin() {
        request(`${to}/first`, { agent })
          .end()
          .on('response', (response) => response.resume())
        discard(request(`${to}/second`, { agent }).end())
        const blocking = await first.promise
        return { arrive: after(() => blocking.end(), arrived) }
      },
    }
  },
  async 'https, while TLS is negotiated'() {
    const { arrived, record } = recorder()
    const server = https.createServer(certificates, (incoming, response) => {
      record(incoming.headers.authorization)
      response.end()
    })
    const { port, release } = await heldWay(await listen(server))
    return {
      to: `https://localhost:${port}`,
      async begin() {
        const outgoing = https.request(`https://localhost:${port}`, {
          ca: certificates.ca,
          agent: new https.Agent(),
          family: 4,
        })
        discard(outgoing.end())
        const [socket] = (await once(outgoing, 'socket')) as [Socket]
        await once(socket, 'connect')
        return { arrive: after(release, arrived) }
      },
    }
  },
  async 'https, a body that is written while TLS is negotiated'() {
    const { arrived, record } = recorder()
    const server = https.createServer(certificates, async (incoming, response) => {
      const body = Buffer.concat(await incoming.toArray()).toString()
      record(body === 'early late' ? incoming.headers.authorization : `another body: ${body}`)
      response.end()
    })
    const { port, release } = await heldWay(await listen(server))
    return {
      to: `https://localhost:${port}`,
      async begin() {
        const outgoing = https.request(`https://localhost:${port}`, { ca: certificates.ca, method: 'POST', family: 4 })
        discard(outgoing)
        const [socket] = (await once(outgoing, 'socket')) as [Socket]
        await once(socket, 'connect')
        outgoing.write(Buffer.from('early'))
        outgoing.write(' ')
        outgoing.end('late')
        return { arrive: after(release, arrived) }
      },
    }
  },
  async 'http2, before its session is connected'() {
    const { arrived, record } = recorder()
    const server = http2.createSecureServer(certificates).on('stream', (stream, { authorization }) => {
      record(authorization)
      stream.respond({}, { endStream: true })
    })
    const { port, release } = await heldWay(await listen(server))
    return {
      to: `https://localhost:${port}`,
      async begin() {
        const session = http2.connect(`https://localhost:${port}`, { ca: certificates.ca, family: 4 } as object)
        cleanups.push(() => session.destroy())
        discard(session)
        discard(session.request({ ':path': '/' }).resume())
        return { arrive: after(release, arrived) }
      },
    }
  },
  async 'http2, behind the streams that its peer takes at once'() {
    const { arrived, record } = recorder()
    const first = Promise.withResolvers<http2.ServerHttp2Stream>()
    const server = http2.createServer({ settings: { maxConcurrentStreams: 1 } }).on('stream', (stream, fields) => {
      if (fields[':path'] === '/first') return first.resolve(stream)
      record(fields.authorization)
      stream.respond({}, { endStream: true })
    })
    const to = `http://127.0.0.1:${await listen(server)}`
    return {
      to,
      async begin() {
        const session = http2.connect(to)
        cleanups.push(() => session.destroy())
        discard(session)
        await once(session, 'remoteSettings')
        session.request({ ':path': '/first' }).resume()
        const fields = { ':path': '/second', ':method': 'POST' }
        const second = session.request(NODE_MAJOR < 24 ? fields : (Object.entries(fields).flat() as never)).resume()
        second.end('x')
        const blocking = await first.promise
        return { arrive: after(() => blocking.respond({}, { endStream: true }), arrived) }
      },
    }
  },
  async 'gRPC, waiting for its server'() {
    const placeholder = await startGrpcSink()
    const { port } = placeholder
    await placeholder[Symbol.asyncDispose]()
    return {
      to: `grpc://127.0.0.1:${port}`,
      async begin() {
        const client = new EchoClient(`127.0.0.1:${port}`, credentials.createInsecure()) as unknown as Echo
        cleanups.push(() => client.close())
        const called = callEcho(client, 'unary', new Metadata({ waitForReady: true }))
        await waitUntil(() => client.getChannel().getConnectivityState(false) === 3)
        return {
          async arrive() {
            const sink = await startGrpcSink({ address: `127.0.0.1:${port}` })
            cleanups.push(() => sink[Symbol.asyncDispose]())
            await called
            return sink.received[0]?.authorization[0]
          },
        }
      },
    }
  },
}

type Ending = (rig: { relay: TokenRelay; response: ServerResponse; client: Socket }) => unknown
const ENDINGS: Readonly<Record<string, Ending>> = {
  'was answered': ({ response }) => void response.end(),
  'has gone': async ({ response, client }) => {
    client.destroy()
    await once(response, 'close')
  },
  'has a token that was revoked': ({ relay }) => {
    const { tokenId = '', expiresAtMillis = 0 } = getActiveCredential() ?? {}
    return relay.revoke({ issuer: ISSUER, tokenId, expiresAtMillis })
  },
  'has a token that has expired': () => {
    const now = Date.now()
    vi.spyOn(Date, 'now').mockReturnValue(now + 3_600_000)
  },
}

async function decideLate(transport: Transport, end?: Ending): Promise<{ sent: string | undefined; token: string }> {
  const { to, begin } = await transport()
  const relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [{ to }] })
  cleanups.push(() => relay.shutdown())
  const token = tokenOf({ jti: crypto.randomUUID() })
  const { promise: sent, resolve, reject } = Promise.withResolvers<string | undefined>()
  const server = createServer((incoming: IncomingMessage, response) => {
    const work = async (): Promise<void> => {
      const waiting = await begin()
      await end?.({ relay, response, client })
      resolve(await waiting.arrive())
      response.end()
    }
    const { headers, rawHeaders } = incoming
    Promise.resolve(relay.admit({ headers, rawHeaders, emitters: [incoming, response], lifetime: response }))
      .then((admission) => (admission.admitted ? admission.run(work) : undefined))
      .catch(reject)
  })
  const client = connect(await listen(server), '127.0.0.1')
  discard(client.resume())
  client.write(requestOf('/', [bearer(token)]))
  const value = await sent
  client.destroy()
  return { sent: value?.replace('Bearer ', ''), token }
}

const CASES = Object.entries(TRANSPORTS)

it.each(CASES)('%s: the token arrives, if the request of its caller is open', async (_, transport) => {
  const { sent, token } = await decideLate(transport)
  expect(sent).toBe(token)
})

it.each(
  CASES.flatMap(([name, transport]) =>
    Object.entries(ENDINGS).map(([how, end]) => [name, how, { transport, end }] as const),
  ),
)('%s: no token leaves, if the caller meanwhile %s [F23]', async (_, _how, { transport, end }) => {
  expect((await decideLate(transport, end)).sent).toBeUndefined()
})

it('http: no token leaves over a connection that is being opened, if the request is answered meanwhile [F23]', async () => {
  const { arrived, record } = recorder()
  const server = createServer((incoming, response) => {
    record(incoming.headers.authorization)
    response.end()
  })
  const to = `http://127.0.0.1:${await listen(server)}`
  const begin = async (): Promise<Waiting> => {
    discard(request(to).end())
    return { arrive: () => arrived }
  }
  const { sent } = await decideLate(
    async () => ({ to, begin }),
    ({ response }) => void response.end(),
  )
  expect(sent).toBeUndefined()
})

it('gRPC: an attempt that grpc-js makes again by itself is decided again', async () => {
  let onFirst = (): unknown => undefined
  const sink = await startGrpcSink({ failures: 1, look: () => onFirst() })
  cleanups.push(() => sink[Symbol.asyncDispose]())
  const retryPolicy = {
    maxAttempts: 3,
    initialBackoff: '0.01s',
    maxBackoff: '0.01s',
    backoffMultiplier: 1,
    retryableStatusCodes: ['UNAVAILABLE'],
  }
  const serviceConfig = JSON.stringify({ methodConfig: [{ name: [{ service: 'test.Echo' }], retryPolicy }] })
  const to = `grpc://127.0.0.1:${sink.port}`
  const begin = async (): Promise<Waiting> => ({
    async arrive() {
      const options = { 'grpc.service_config': serviceConfig }
      const client = new EchoClient(`127.0.0.1:${sink.port}`, credentials.createInsecure(), options) as unknown as Echo
      cleanups.push(() => client.close())
      await callEcho(client, 'unary', new Metadata())
      return sink.received.at(-1)?.authorization[0]
    },
  })
  const { sent, token } = await decideLate(
    async () => ({ to, begin }),
    ({ response }) => {
      onFirst = () => {
        onFirst = () => 'ok'
        response.end()
        return 'ok'
      }
    },
  )
  expect(sink.received.map(({ authorization }) => authorization)).toEqual([[`Bearer ${token}`], []])
  expect(sent).toBeUndefined()
})
