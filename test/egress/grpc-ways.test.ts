/** gRPC through proxies, and from a second copy of grpc-js: the same decisions. */

import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { join } from 'node:path'
import { credentials, ServerCredentials } from '@grpc/grpc-js'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import { ROOT } from '../docs/markdown.ts'
import type { Certificates } from '../support/certificates.ts'
import { createCertificates } from '../support/certificates.ts'
import type { Echo, GrpcSink } from '../support/grpc.ts'
import { callEcho, ECHO, EchoClient, startGrpcSink } from '../support/grpc.ts'
import { close, listen } from '../support/issuer.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const alice = signer.token(goodClaims(ISSUER))

let certificates: Certificates
let sink: GrpcSink
let secureSink: GrpcSink
let relay: TokenRelay
beforeAll(async () => {
  certificates = await createCertificates()
  const pair = { private_key: Buffer.from(certificates.key), cert_chain: Buffer.from(certificates.cert) }
  sink = await startGrpcSink()
  secureSink = await startGrpcSink({ credentials: ServerCredentials.createSsl(null, [pair]) })
  const destinations = [{ to: `grpc://localhost:${sink.port}` }, { to: `grpcs://localhost:${secureSink.port}` }]
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations })
})
beforeEach(() => {
  sink.received.length = 0
  secureSink.received.length = 0
})
afterAll(async () => {
  await relay.shutdown()
  await Promise.all([sink, secureSink].map((each) => each[Symbol.asyncDispose]()))
})

async function callAsAlice(client: Echo): Promise<void> {
  await runWithToken(alice, () => callEcho(client, 'unary'))
  client.close()
}

describe('through a proxy that the environment names [F7]', () => {
  let proxy: Server
  let proxyPort: number
  let seen: string
  beforeAll(async () => {
    proxy = createServer()
    proxy.on('connect', (incoming, client) => {
      seen += `${incoming.method} ${incoming.url} ${incoming.rawHeaders.join(' ')}\n`
      const [host = '', port] = (incoming.url ?? '').split(':')
      const upstream = connect(Number(port), host, () => client.write('HTTP/1.1 200 OK\r\n\r\n'))
      upstream.pipe(client).pipe(upstream)
      for (const socket of [client, upstream]) socket.on('error', () => undefined)
    })
    proxyPort = await listen(proxy)
    vi.stubEnv('grpc_proxy', `http://127.0.0.1:${proxyPort}`)
  })
  beforeEach(() => {
    seen = ''
  })
  afterAll(async () => {
    vi.unstubAllEnvs()
    await close(proxy)
  })

  it('a call in clear text carries no token', async () => {
    await callAsAlice(new EchoClient(`localhost:${sink.port}`, credentials.createInsecure()) as unknown as Echo)
    expect(seen).toContain(`CONNECT localhost:${sink.port}`)
    expect(sink.received.map(({ authorization }) => authorization)).toEqual([[]])
  })

  it('a call over TLS carries it to its destination, and the proxy sees nothing of it', async () => {
    const ca = credentials.createSsl(Buffer.from(certificates.ca))
    await callAsAlice(new EchoClient(`localhost:${secureSink.port}`, ca) as unknown as Echo)
    expect(seen).toContain(`CONNECT localhost:${secureSink.port}`)
    expect(seen).not.toMatch(/bearer/i)
    expect(secureSink.received.map(({ authorization }) => authorization)).toEqual([[`Bearer ${alice}`]])
  })

  it('a tunnel that the application digs by itself carries none: the call says another authority', async () => {
    const ca = credentials.createSsl(Buffer.from(certificates.ca))
    const options = { 'grpc.http_connect_target': `dns:localhost:${secureSink.port}`, 'grpc.enable_http_proxy': 0 }
    await callAsAlice(new EchoClient(`127.0.0.1:${proxyPort}`, ca, options) as unknown as Echo)
    expect(secureSink.received.map(({ authorization }) => authorization)).toEqual([[]])
  })
})

describe('a second copy of grpc-js, loaded later,', () => {
  let folder: string
  let copy: typeof import('@grpc/grpc-js')
  beforeAll(() => {
    mkdirSync(join(ROOT, 'node_modules', '.cache'), { recursive: true })
    folder = mkdtempSync(join(ROOT, 'node_modules', '.cache', 'grpc-js-'))
    cpSync(join(ROOT, 'node_modules', '@grpc', 'grpc-js'), folder, { recursive: true })
    copy = createRequire(import.meta.url)(folder) as typeof copy
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('is found, and has the relay’s decisions until it is shut down', async () => {
    expect(copy.Channel).not.toBe((await import('@grpc/grpc-js')).Channel)
    const Copy = copy.makeClientConstructor(ECHO, 'Echo')
    const clientOf = (host: string): Echo =>
      new Copy(`${host}:${sink.port}`, copy.credentials.createInsecure()) as unknown as Echo
    await callAsAlice(clientOf('localhost'))
    await callAsAlice(clientOf('127.0.0.1'))
    await relay.shutdown()
    relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [] })
    await callAsAlice(clientOf('localhost'))
    expect(sink.received.map(({ authorization }) => authorization)).toEqual([[`Bearer ${alice}`], [], []])
  })
})
