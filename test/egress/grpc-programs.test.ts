/** gRPC programs that know nothing of tokens, in every way to load things, with OpenTelemetry's instrumentation or not. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client, GrpcObject, Metadata, ServiceClientConstructor } from '@grpc/grpc-js'
import {
  credentials,
  Metadata as GrpcMetadata,
  loadPackageDefinition,
  Server,
  ServerCredentials,
  status,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startOtlpReceiver } from '../../examples/demo/stage/otlp-receiver.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { OtelLine, Program } from '../support/process.ts'
import { complaintsIn, OTEL_LINES, startProgram } from '../support/process.ts'

const REGISTER = 'otel-token-relay/register'
const AUTO = '@opentelemetry/auto-instrumentations-node/register'
const WAYS: readonly (readonly [string, string, readonly string[]])[] = [
  ['CommonJS', 'grpc/server.cjs', ['--require', REGISTER]],
  ['an ES module', 'grpc/server.mjs', ['--import', REGISTER]],
  ['grpc-js loaded before us', 'grpc/server.cjs', ['--require', '@grpc/grpc-js', '--require', REGISTER]],
  ['auto-instrumentations after us', 'grpc/server.cjs', ['--require', REGISTER, '--require', AUTO]],
  ['auto-instrumentations before us', 'grpc/server.cjs', ['--require', AUTO, '--require', REGISTER]],
]

interface Leaf {
  readonly target: string
  readonly received: string[][]
  close(): void
}

const GREET = '/greeter.Greeter/Greet'
const raw = (bytes: Buffer): Buffer => bytes
const codec = { requestSerialize: raw, requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw }

/** A greeter that nobody protects, and that says nothing: an empty message is a greeting, too. */
async function startLeaf(): Promise<Leaf> {
  const received: string[][] = []
  const server = new Server()
  const greet = { path: GREET, requestStream: false, responseStream: false, ...codec } as const
  server.addService(
    { greet },
    {
      greet(call: { metadata: Metadata }, callback: (error: null, answer: Buffer) => void) {
        received.push(call.metadata.get('authorization').map(String))
        callback(null, Buffer.alloc(0))
      },
    },
  )
  const port = await new Promise<number>((resolve) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_error, bound) => resolve(bound))
  })
  return { target: `127.0.0.1:${port}`, received, close: () => server.forceShutdown() }
}

const proto = loadSync(join(import.meta.dirname, '..', 'programs', 'grpc', 'greeter.proto'))
const { Greeter, Tour } = loadPackageDefinition(proto)['greeter'] as GrpcObject as Record<
  'Greeter' | 'Tour',
  ServiceClientConstructor
>
type Kind = 'greet' | 'list' | 'record' | 'chat'
const KINDS: readonly Kind[] = ['greet', 'list', 'record', 'chat']

/** Calls the program in one of the four ways; resolves with the text of its first answer. */
function call(port: number, kind: Kind, name: string, token: string | undefined): Promise<unknown> {
  const Service = kind === 'greet' ? Greeter : Tour
  const client = new Service(`127.0.0.1:${port}`, credentials.createInsecure()) as unknown as Client &
    Record<Kind, CallableFunction>
  const metadata = new GrpcMetadata()
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`)
  return new Promise((resolve, reject) => {
    const finish = (error: unknown, answer?: { text: string }): void =>
      error ? reject((error as { code: unknown }).code) : resolve(answer?.text)
    const streams = kind === 'record' || kind === 'chat'
    const answersOnce = kind === 'greet' || kind === 'record'
    const made = client[kind](...(streams ? [] : [{ name }]), metadata, ...(answersOnce ? [finish] : []))
    if (streams) {
      made.write({ name })
      made.end()
    }
    if (!answersOnce) made.on('data', (answer: { text: string }) => resolve(answer.text)).on('error', finish)
  }).finally(() => client.close())
}

const folder = mkdtempSync(join(tmpdir(), 'grpc-'))
let issuer: TestIssuer
let named: Leaf
let other: Leaf
beforeAll(async () => {
  issuer = await startIssuer()
  named = await startLeaf()
  other = await startLeaf()
})
beforeEach(() => {
  named.received.length = 0
  other.received.length = 0
})
afterAll(async () => {
  named.close()
  other.close()
  await issuer[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

function start(program: string, line: OtelLine, preload: readonly string[], env: Record<string, string> = {}): Program {
  return startProgram(program, {
    line,
    preload,
    env: {
      TOKEN_RELAY_ISSUER: issuer.issuer,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      TOKEN_RELAY_DESTINATIONS: `grpc://${named.target}`,
      ...env,
    },
  })
}

describe.each(OTEL_LINES)('on %s', (line) => {
  it.each(
    WAYS,
  )('%s: refuses calls without a valid token, and forwards to named destinations', async (_, program, preload) => {
    await using service = start(program, line, preload)
    const port = await service.report<number>('port')
    const bad = await issuer.token({ aud: 'another' })
    for (const kind of KINDS) {
      for (const token of [undefined, bad]) {
        await expect(call(port, kind, named.target, token)).rejects.toBe(status.UNAUTHENTICATED)
      }
      expect(named.received).toEqual([])
      const good = await issuer.token()
      expect(await call(port, kind, named.target, good)).toBe(`asked ${named.target}`)
      expect(await call(port, kind, other.target, good)).toBe(`asked ${other.target}`)
      expect(named.received.splice(0)).toEqual([[`Bearer ${good}`]])
      expect(other.received.splice(0)).toEqual([[]])
    }
    expect(complaintsIn(service.stderr())).toEqual([])
  })

  it('interleaved callers, through one client of the service [F12]', async () => {
    await using service = start('grpc/server.cjs', line, ['--require', REGISTER, '--require', AUTO])
    const port = await service.report<number>('port')
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, i) => issuer.token({ sub: `user-${i}` })))
    await Promise.all(tokens.flatMap((token) => KINDS.map((kind) => call(port, kind, named.target, token))))
    const expected = tokens.flatMap((token) => KINDS.map(() => `Bearer ${token}`))
    expect(named.received.flat().toSorted()).toEqual(expected.toSorted())
  })

  it('tells the decision on the client span of OpenTelemetry’s instrumentation', async () => {
    await using receiver = await startOtlpReceiver()
    await using service = start('grpc/server.cjs', line, ['--require', REGISTER, '--require', AUTO], {
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
    })
    const port = await service.report<number>('port')
    const good = await issuer.token()
    await call(port, 'greet', named.target, good)
    await call(port, 'greet', other.target, good)
    const clientSpans = () =>
      receiver.spans().filter(({ kind, attributes }) => kind === 'client' && attributes['rpc.system'] === 'grpc')
    await receiver.waitFor(() => clientSpans().length >= 2, 20_000)
    const told = clientSpans().map(({ events }) => events.map(({ name, attributes }) => [name, attributes]))
    expect(told).toEqual([
      [['auth.token.forwarded', expect.objectContaining({ 'auth.decision.destination': `grpc://${named.target}` })]],
      [
        [
          'auth.token.withheld',
          expect.objectContaining({
            'auth.decision.reason': 'not_named',
            'auth.decision.destination': `grpc://${other.target}`,
          }),
        ],
      ],
    ])
  })

  it('exporters that speak gRPC never carry the token, not even to a named destination [F11]', async () => {
    const received: (readonly string[])[] = []
    const collector = createServer()
    collector.on('stream', (stream, headers) => {
      const { ':path': path = '', authorization } = headers
      received.push([path, ...(authorization === undefined ? [] : [authorization])])
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0' }, { endStream: true })
    })
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
    const collectorPort = (collector.address() as AddressInfo).port
    // Exported in the background, after the request: nothing but the suppressed context keeps the token back.
    const options = {
      issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
      destinations: [{ to: `grpc://127.0.0.1:${collectorPort}`, detached: 'allow' }],
    }
    writeFileSync(join(folder, 'relay.json'), JSON.stringify(options))
    await using service = startProgram('grpc/server.cjs', {
      line,
      preload: ['--require', REGISTER, '--require', AUTO],
      env: {
        TOKEN_RELAY_CONFIG_FILE: join(folder, 'relay.json'),
        OTEL_TRACES_EXPORTER: 'otlp',
        OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collectorPort}`,
      },
    })
    await call(await service.report<number>('port'), 'greet', named.target, await issuer.token())
    await expect.poll(() => received.length).toBeGreaterThan(0)
    collector.close()
    expect(new Set(received.flat())).toEqual(new Set(['/opentelemetry.proto.collector.trace.v1.TraceService/Export']))
  })
})

it('works without an SDK', async () => {
  await using service = start('grpc/server.cjs', 'otel-3', ['--require', REGISTER], { OTEL_SDK_DISABLED: 'true' })
  const good = await issuer.token()
  await call(await service.report<number>('port'), 'greet', named.target, good)
  expect(named.received).toEqual([[`Bearer ${good}`]])
})
