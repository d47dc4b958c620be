/** gRPC clients: what leaves with a call, decided on the channel's effective target. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChannelOptions } from '@grpc/grpc-js'
import {
  type ChannelCredentials,
  CallCredentials as Credentials,
  credentials,
  Metadata,
  ServerCredentials,
} from '@grpc/grpc-js'
import type { Span } from '@opentelemetry/api'
import { context, createContextKey, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken, setDestination } from '../../src/index.ts'
import type { Certificates } from '../support/certificates.ts'
import { createCertificates } from '../support/certificates.ts'
import type { Echo, GrpcSink } from '../support/grpc.ts'
import { callEcho, ECHO, EchoClient, startGrpcSink } from '../support/grpc.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const alice = signer.token(goodClaims(ISSUER))
const folder = mkdtempSync(join(tmpdir(), 'grpc-'))
const KINDS = Object.keys(ECHO) as (keyof typeof ECHO)[]

let certificates: Certificates
let sink: GrpcSink
let secureSink: GrpcSink
let unixSink: GrpcSink
let relay: TokenRelay
let ca: ChannelCredentials
const clients: Echo[] = []

beforeAll(async () => {
  certificates = await createCertificates()
  const pair = { private_key: Buffer.from(certificates.key), cert_chain: Buffer.from(certificates.cert) }
  ca = credentials.createSsl(Buffer.from(certificates.ca))
  sink = await startGrpcSink()
  secureSink = await startGrpcSink({ credentials: ServerCredentials.createSsl(null, [pair]) })
  unixSink = await startGrpcSink({ address: `unix:${folder}/socket` })
})
beforeEach(() => {
  const hosts = ['localhost', '127.0.0.1']
  const to = hosts.flatMap((host) => [`grpc://${host}:${sink.port}`, `grpcs://${host}:${secureSink.port}`])
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: to.map((each) => ({ to: each })) })
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  for (const each of [sink, secureSink, unixSink]) each.received.length = 0
  await relay.shutdown()
})
afterAll(async () => {
  await Promise.all([sink, secureSink, unixSink].map((each) => each[Symbol.asyncDispose]()))
  rmSync(folder, { recursive: true })
})

function clientOf(target: string, channel = credentials.createInsecure(), options: ChannelOptions = {}): Echo {
  const client = new EchoClient(target, channel, options) as unknown as Echo
  clients.push(client)
  return client
}

/** Calls as alice under a span of the caller's; resolves with the reason for which her token was withheld, if it was. */
async function reasonOf(client: Echo, ...args: unknown[]): Promise<unknown> {
  const events: { name: string; attributes: Record<string, unknown> }[] = []
  const span = {
    isRecording: () => true,
    addEvent: (name: string, attributes: Record<string, unknown>) => events.push({ name, attributes }),
  } as unknown as Span
  const deadline = args.some((arg) => typeof arg === 'object' && arg !== null && !(arg instanceof Metadata))
  const options = deadline ? [] : [{ deadline: Date.now() + 10_000 }]
  await runWithToken(alice, () =>
    context.with(trace.setSpan(context.active(), span), () =>
      callEcho(client, 'unary', ...args, ...options).catch(() => undefined),
    ),
  )
  expect(events).toHaveLength(1)
  return events[0]?.name === 'auth.token.forwarded' ? 'forwarded' : events[0]?.attributes['auth.decision.reason']
}

describe('the caller’s token leaves with', () => {
  it.each(KINDS)('a call of kind %s, and what comes back is the caller’s', async (kind) => {
    const client = clientOf(`127.0.0.1:${sink.port}`)
    const subjects = await runWithToken(alice, async () => {
      const seen: unknown[] = []
      const look = (): unknown => seen.push(getActiveCredential()?.subject)
      const call = kind === 'download' ? client.download('a') : undefined
      call?.on('data', look).on('metadata', look).on('status', look)
      await callEcho(client, kind)
      look()
      return seen
    })
    expect(new Set(subjects)).toEqual(new Set(['alice']))
    expect(sink.received.at(-1)).toMatchObject({ method: kind, authorization: [`Bearer ${alice}`] })
  })

  it.each(KINDS)('a call of kind %s over TLS', async (kind) => {
    await runWithToken(alice, () => callEcho(clientOf(`localhost:${secureSink.port}`, ca), kind))
    expect(secureSink.received.at(-1)?.authorization).toEqual([`Bearer ${alice}`])
  })

  it.each([
    'dns:///localhost:PORT',
    'dns:localhost:PORT',
    'LOCALHOST:PORT',
    'ipv4:127.0.0.1:PORT',
    'dns:127.0.0.1:PORT',
  ])('a target spelled %s [F13]', async (target) => {
    expect(await reasonOf(clientOf(target.replace('PORT', String(sink.port))))).toBe('forwarded')
    expect(sink.received[0]?.authorization).toEqual([`Bearer ${alice}`])
  })

  it('a retry that grpc-js makes, the same one [F12]', async () => {
    await using flaky = await startGrpcSink({ failures: 2 })
    await relay.shutdown()
    const destinations = [{ to: `grpc://127.0.0.1:${flaky.port}` }]
    relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations })
    const retryPolicy = {
      maxAttempts: 4,
      initialBackoff: '0.01s',
      maxBackoff: '0.02s',
      backoffMultiplier: 1,
      retryableStatusCodes: ['UNAVAILABLE'],
    }
    const config = { methodConfig: [{ name: [{}], retryPolicy }], loadBalancingConfig: [] }
    const client = clientOf(`127.0.0.1:${flaky.port}`, undefined, { 'grpc.service_config': JSON.stringify(config) })
    await runWithToken(alice, () => callEcho(client, 'unary'))
    expect(flaky.received.map(({ authorization }) => authorization)).toEqual(Array(3).fill([`Bearer ${alice}`]))
  })
})

describe('the caller’s token is withheld', () => {
  it.each([
    ['unix: [F13]', () => `unix:${folder}/socket`, 'unix_socket'],
    ['unix-abstract: [F13]', () => 'unix-abstract:socket', 'unknown_destination'],
    ['xds: [F13]', () => `xds:///localhost:${sink.port}`, 'unknown_destination'],
    ['several addresses [F13]', () => `ipv4:127.0.0.1:${sink.port},127.0.0.1:${sink.port}`, 'unknown_destination'],
    ['a DNS server that the target names [F13]', () => `dns://127.0.0.1/localhost:${sink.port}`, 'custom_connection'],
    ['another port [F13]', () => '127.0.0.1:1', 'not_named'],
    ['no port [F13]', () => '127.0.0.1', 'not_named'],
    ['userinfo [F4]', () => `alice@127.0.0.1:${sink.port}`, 'unknown_destination'],
    ['an escape [F4]', () => `127.0.0.1%2f:${sink.port}`, 'unknown_destination'],
    ['a trailing dot [F4]', () => `localhost.:${sink.port}`, 'not_named'],
    ['an IPv4-mapped address [F4]', () => `[::ffff:127.0.0.1]:${sink.port}`, 'not_named'],
  ])('from %s', async (_, target, reason) => {
    expect(await reasonOf(clientOf(target()), { deadline: Date.now() + 300 })).toBe(reason)
    expect([...sink.received, ...unixSink.received].flatMap(({ authorization }) => authorization)).toEqual([])
  })

  it('from a channel in clear text where the rule wants TLS, and the other way round [F13]', async () => {
    expect(await reasonOf(clientOf(`localhost:${secureSink.port}`))).toBe('not_named')
    expect(await reasonOf(clientOf(`localhost:${sink.port}`, ca), { deadline: Date.now() + 300 })).toBe('not_named')
  })

  it.each<readonly [string, ChannelOptions, string]>([
    ['grpc.default_authority', { 'grpc.default_authority': 'elsewhere.example' }, 'custom_connection'],
    ['grpc.ssl_target_name_override', { 'grpc.ssl_target_name_override': 'localhost' }, 'custom_connection'],
  ])('with %s [F13]', async (_, options, reason) => {
    expect(await reasonOf(clientOf(`localhost:${secureSink.port}`, ca, options))).toBe(reason)
    expect(secureSink.received.map(({ authorization }) => authorization)).toEqual([[]])
  })

  it('with a host of the call’s own [F13]', async () => {
    expect(await reasonOf(clientOf(`localhost:${sink.port}`), { host: 'elsewhere.example' })).toBe('custom_connection')
    expect(sink.received.map(({ authorization }) => authorization)).toEqual([[]])
  })

  it('from channel credentials of an unknown kind', async () => {
    const Secure = ca.constructor as new (...args: unknown[]) => object
    class OwnCredentials extends Secure {}
    const own = new OwnCredentials(Reflect.get(ca, 'secureContext'), {}) as ChannelCredentials
    expect(await reasonOf(clientOf(`localhost:${secureSink.port}`, own))).toBe('custom_connection')
  })

  it('if tracing is suppressed, or there is no caller', async () => {
    const client = clientOf(`127.0.0.1:${sink.port}`)
    const suppress = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING')
    await runWithToken(alice, () =>
      context.with(context.active().setValue(suppress, true), () => callEcho(client, 'unary')),
    )
    await callEcho(client, 'unary')
    expect(sink.received.map(({ authorization }) => authorization)).toEqual([[], []])
  })

  it('after shutdown, from calls of clients made before it', async () => {
    const client = clientOf(`127.0.0.1:${sink.port}`)
    await runWithToken(alice, async () => {
      await relay.shutdown()
      await callEcho(client, 'unary')
    })
    expect(sink.received.map(({ authorization }) => authorization)).toEqual([[]])
  })

  it('if it would make the header section too large', async () => {
    const metadata = new Metadata()
    metadata.set('x-large', 'x'.repeat(17_000))
    expect(await reasonOf(clientOf(`127.0.0.1:${sink.port}`), metadata)).toBe('header_too_large')
  })
})

describe('a credential of the application stays, alone, [F10]', () => {
  const basic = (): Metadata => {
    const metadata = new Metadata()
    metadata.set('authorization', 'Basic YTpi')
    return metadata
  }
  const generated = Credentials.createFromMetadataGenerator((_, callback) => callback(null, basic()))

  it('in metadata', async () => {
    expect(await reasonOf(clientOf(`127.0.0.1:${sink.port}`), basic())).toBe('own_credential')
    expect(sink.received.map(({ authorization }) => authorization)).toEqual([['Basic YTpi']])
  })

  it.each([
    ['of the call', () => [ca, { credentials: generated }] as const],
    ['of the channel', () => [credentials.combineChannelCredentials(ca, generated), {}] as const],
  ])('in call credentials %s', async (_, make) => {
    const [channel, options] = make()
    expect(await reasonOf(clientOf(`localhost:${secureSink.port}`, channel), options)).toBe('own_credential')
    expect(secureSink.received.map(({ authorization }) => authorization)).toEqual([['Basic YTpi']])
  })
})

describe('metadata that the application uses again [F4]', () => {
  it('is never written to', async () => {
    const client = clientOf(`127.0.0.1:${sink.port}`)
    const metadata = new Metadata()
    await runWithToken(alice, () => callEcho(client, 'unary', metadata))
    await callEcho(client, 'unary', metadata)
    expect(metadata.get('authorization')).toEqual([])
    expect(sink.received.map(({ authorization }) => authorization)).toEqual([[`Bearer ${alice}`], []])
  })

  it('does not keep what `inject` wrote for an announced destination: the channel decides', async () => {
    const metadata = new Metadata()
    const setter = { set: (carrier: Metadata, key: string, value: string) => carrier.set(key, value) }
    await runWithToken(alice, async () => {
      const announced = setDestination(context.active(), `grpc://127.0.0.1:${sink.port}`)
      relay.propagator.inject(announced, metadata, setter)
      expect(metadata.get('authorization')).toEqual([`Bearer ${alice}`])
      await callEcho(clientOf(`localhost.:${sink.port}`), 'unary', metadata).catch(() => undefined)
    })
    await callEcho(clientOf(`127.0.0.1:${sink.port}`), 'unary', metadata)
    expect(sink.received.flatMap(({ authorization }) => authorization)).toEqual([])
    relay.propagator.inject(ROOT_CONTEXT, metadata, setter)
    expect(metadata.get('authorization')).toEqual([])
  })
})
