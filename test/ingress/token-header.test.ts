/** `ingress.header`: the token comes bare, in one named field, and then nowhere else. */

import type { Server } from 'node:http'
import http2 from 'node:http2'
import { credentials, Metadata, status } from '@grpc/grpc-js'
import { context, trace } from '@opentelemetry/api'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential } from '../../src/index.ts'
import { authenticate } from '../../src/ingress/adapters/grpc.ts'
import { createHono, FRAMEWORKS } from '../support/frameworks.ts'
import type { Echo } from '../support/grpc.ts'
import { callEcho, EchoClient, startGrpcSink } from '../support/grpc.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { listen, startIssuer } from '../support/issuer.ts'
import type { Program } from '../support/process.ts'
import { OTEL_LINES, startProgram } from '../support/process.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'
import { optionsFor } from '../support/relay.ts'
import type { Service } from '../support/service.ts'
import { bearer, signer, startService, tokenOf } from '../support/service.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

const NAME = 'cf-access-jwt-assertion'
const HEADER = 'Cf-Access-Jwt-Assertion'
const bare = (token: string): string => `${HEADER}: ${token}`
const bad = (): string => tokenOf({ aud: 'another' })

describe('the gate', () => {
  let service: Service
  let handled: { readonly subject: string | undefined; readonly authorization: string | undefined }[]
  beforeEach(async () => {
    handled = []
    service = await startService({
      options: { ingress: { header: HEADER } },
      handler: async ({ headers }, response) => {
        handled.push({ subject: getActiveCredential()?.subject, authorization: headers.authorization })
        await (await fetch(`${service.sink.origin}/sink/x`)).text()
        response.end('handled')
      },
    })
  })
  afterEach(() => service[Symbol.asyncDispose]())

  it('takes the token of the field, and forwards it in Authorization', async () => {
    const token = tokenOf()
    expect(statuses(await service.send([bare(token)]))).toEqual([200])
    expect(handled).toEqual([{ subject: 'alice', authorization: undefined }])
    expect(service.sink.received.flatMap(({ authorization }) => authorization)).toEqual([`Bearer ${token}`])
    expect(service.sink.received[0]?.rawHeaders.map((text) => text.toLowerCase())).not.toContain(NAME)
  })

  it('recognizes a token that comes again', async () => {
    const token = tokenOf()
    for (let i = 0; i < 3; i += 1) expect(statuses(await service.send([bare(token)]))).toEqual([200])
    expect(handled.map(({ subject }) => subject)).toEqual(['alice', 'alice', 'alice'])
  })

  it('leaves Authorization to the application, whatever it holds [E20]', async () => {
    for (const value of ['Bearer garbage', `Bearer ${bad()}`, 'Basic eDp5']) {
      handled = []
      expect(statuses(await service.send([`Authorization: ${value}`, bare(tokenOf())]))).toEqual([200])
      expect(handled).toEqual([{ subject: 'alice', authorization: value }])
    }
  })

  it.each<readonly [string, (token: string) => readonly string[], number]>([
    ['a good token in Authorization alone [E4]', (token) => [bearer(token)], 401],
    ['a good token in Authorization beside a bad one in the field [E4]', (token) => [bearer(token), bare(bad())], 401],
    ['no field', () => [], 401],
    ['a bad token', () => [bare(bad())], 401],
    ['two lines [E1]', (token) => [bare(token), bare(token)], 400],
    ['a good line and a bad one [E1]', (token) => [bare(token), bare(bad())], 400],
    ['two lines of different case [E1]', (token) => [bare(token), `${HEADER.toUpperCase()}: ${token}`], 400],
    ['a list [E2]', (token) => [bare(`${token}, ${token}`)], 400],
    ['a list of one [E2]', (token) => [bare(`${token},`)], 400],
    ['the word Bearer before it [E3]', (token) => [bare(`Bearer ${token}`)], 400],
    ['quotes [E2]', (token) => [bare(`"${token}"`)], 400],
    ['an empty field [E2]', () => [`${HEADER}:`], 400],
    ['two words [E2]', (token) => [bare(`${token} ${token}`)], 400],
    ['latin-1 [E2]', (token) => [bare(`${token}\u00ff`)], 400],
    ['a name with underscores [E4]', (token) => [`${HEADER.replaceAll('-', '_')}: ${token}`], 401],
    ['a longer name [E4]', (token) => [`${HEADER}-2: ${token}`], 401],
    ['a token that is too long', () => [bare('a'.repeat(8_193))], 401],
  ])('refuses %s [E20]', async (_, fieldsOf, expected) => {
    const token = tokenOf()
    const answer = await service.send(fieldsOf(token))
    expect(statuses(answer)).toEqual([expected])
    expect(answer).not.toContain(token.slice(-12))
    expect(handled).toEqual([])
  })

  it('does so for upgrades and for streams of HTTP/2', async () => {
    service.server.on('upgrade', (_, socket) => socket.end(`subject=${getActiveCredential()?.subject}`))
    const upgrade = ['Connection: Upgrade', 'Upgrade: test']
    expect(await service.send([bare(tokenOf()), ...upgrade])).toBe('subject=alice')
    expect(statuses(await service.send([bearer(tokenOf()), ...upgrade]))).toEqual([401])

    const server = http2.createServer((_, response) => void response.end('handled'))
    const session = http2.connect(`http://127.0.0.1:${await listen(server as unknown as Server)}`)
    const statusOf = (fields: http2.OutgoingHttpHeaders): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const stream = session.request(fields, { endStream: true })
        stream.on('response', (headers) => resolve(headers[':status']))
        stream.on('error', reject)
        stream.resume()
      })
    expect(await statusOf({ [NAME]: tokenOf() })).toBe(200)
    expect(await statusOf({ [NAME]: [tokenOf(), tokenOf()] })).toBe(400)
    expect(await statusOf({ authorization: `Bearer ${tokenOf()}` })).toBe(401)
    session.close()
    server.close()
  })
})

it('without the option, a token in another field is none [E4]', async () => {
  await using service = await startService()
  expect(statuses(await service.send([bare(tokenOf())]))).toEqual([401])
  expect(statuses(await service.send([bearer(tokenOf())]))).toEqual([200])
})

it('authorization as the name is the default', async () => {
  await using service = await startService({ options: { ingress: { header: 'Authorization' } } })
  expect(statuses(await service.send([bearer(tokenOf())]))).toEqual([200])
  expect(statuses(await service.send([`Authorization: ${tokenOf()}`]))).toEqual([401])
})

describe('the metadata of the service', () => {
  it.each([
    [undefined, ['header']],
    [HEADER, undefined],
  ])('with %s names the methods %s', async (header, methods) => {
    const protectedResource = { resource: 'https://user.example' }
    await using service = await startService({
      options: { ingress: { protectedResource, ...(header === undefined ? {} : { header }) } },
    })
    const answer = await service.send([], '/.well-known/oauth-protected-resource')
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')['bearer_methods_supported']).toEqual(methods)
  })
})

describe.each(FRAMEWORKS)('%s, without the gate', (_name, start) => {
  let relay: TokenRelay
  beforeAll(() => {
    relay = createTokenRelay({ ...optionsFor([signer.jwk]), ingress: { mode: 'off', header: HEADER } })
  })
  afterAll(() => relay.shutdown())

  it('reads the token of the field only [E20]', async () => {
    await using app = await start()
    const send = async (...fields: string[]): Promise<readonly [unknown, string]> => {
      const answer = await exchange(app.port, requestOf('/whoami', fields), () => false)
      return [statuses(answer)[0], answer]
    }
    const [good, answer] = await send(bare(tokenOf()), 'Authorization: Basic eDp5')
    expect([good, answer.includes('{"callers":["alice"]}')]).toEqual([200, true])
    expect((await send(bearer(tokenOf())))[0]).toBe(401)
    expect((await send(bare(tokenOf()), bare(tokenOf())))[0]).toBe(400)
    expect((await send(bare(bad()), bearer(tokenOf())))[0]).toBe(401)
  })
})

describe('without a server', () => {
  let relay: TokenRelay
  beforeAll(() => {
    relay = createTokenRelay({ ...optionsFor([signer.jwk]), ingress: { mode: 'off', header: HEADER } })
  })
  afterAll(() => relay.shutdown())

  it('Hono reads the field of the request', async () => {
    const app = createHono()
    const statusOf = async (headers: Record<string, string>): Promise<number> =>
      (await app.request('/whoami', { headers })).status
    expect(await statusOf({ [HEADER]: tokenOf() })).toBe(200)
    expect(await statusOf({ authorization: `Bearer ${tokenOf()}` })).toBe(401)
  })

  it('relay.admit reads the field of the request', async () => {
    const admits = async (headers: Record<string, string>): Promise<boolean> =>
      (await relay.admit({ headers })).admitted
    expect(await admits({ [NAME]: tokenOf() })).toBe(true)
    expect(await admits({ authorization: `Bearer ${tokenOf()}` })).toBe(false)
  })

  it('relay.verify takes a token as ever', async () => {
    expect((await relay.verify(tokenOf())).subject).toBe('alice')
  })

  it('calls of gRPC bring it in their metadata', async () => {
    await using server = await startGrpcSink({
      interceptors: [authenticate()],
      look: () => getActiveCredential()?.subject ?? 'nobody',
    })
    const client = new EchoClient(`127.0.0.1:${server.port}`, credentials.createInsecure()) as unknown as Echo
    const call = async (name: string, ...values: string[]): Promise<unknown> => {
      const metadata = new Metadata()
      for (const value of values) metadata.add(name, value)
      return callEcho(client, 'unary', metadata).catch(({ code }: { code: number }) => code)
    }
    expect(await call(NAME, tokenOf())).toEqual(['alice'])
    expect(await call('authorization', `Bearer ${tokenOf()}`)).toBe(status.UNAUTHENTICATED)
    expect(await call(NAME, tokenOf(), tokenOf())).toBe(status.UNAUTHENTICATED)
    client.close()
  })
})

describe('a captured header is concealed [G4]', () => {
  const exporter = new InMemorySpanExporter()
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })

  it.each([
    'http.request.header.cf-access-jwt-assertion',
    'http.request.header.cf_access_jwt_assertion',
    'http.request.header.authorization',
  ])('%s', async (attribute) => {
    const relay = createTokenRelay({ ...optionsFor([signer.jwk]), ingress: { mode: 'off', header: HEADER } })
    for (const token of [tokenOf(), bad()]) {
      exporter.reset()
      const span = provider.getTracer('server').startSpan('GET')
      span.setAttribute(attribute, [token])
      await context.with(trace.setSpan(context.active(), span), () => relay.admit({ headers: { [NAME]: token } }))
      span.end()
      expect(exporter.getFinishedSpans()[0]?.attributes[attribute]).toEqual(['[redacted]'])
    }
    await relay.shutdown()
  })

  it('and another one is not, nor that of a relay before', async () => {
    await createTokenRelay({ ...optionsFor([signer.jwk]), ingress: { mode: 'off', header: HEADER } }).shutdown()
    const relay = createTokenRelay({ ...optionsFor([signer.jwk]), ingress: { mode: 'off' } })
    exporter.reset()
    const span = provider.getTracer('server').startSpan('GET')
    span.setAttribute(`http.request.header.${NAME}`, ['x'])
    const headers = { authorization: `Bearer ${tokenOf()}` }
    await context.with(trace.setSpan(context.active(), span), () => relay.admit({ headers }))
    span.end()
    expect(exporter.getFinishedSpans()[0]?.attributes[`http.request.header.${NAME}`]).toEqual(['x'])
    await relay.shutdown()
  })
})

describe.each(OTEL_LINES)('a program on %s', (line) => {
  let issuer: TestIssuer
  let sink: Sink
  let program: Program
  beforeAll(async () => {
    issuer = await startIssuer()
    sink = await startSink()
    program = startProgram('service.cjs', {
      line,
      preload: ['--require', 'otel-token-relay/register'],
      env: {
        TOKEN_RELAY_ISSUER: issuer.issuer,
        TOKEN_RELAY_AUDIENCE: 'user-service',
        TOKEN_RELAY_INGRESS_HEADER: 'X-Goog-IAP-JWT-Assertion',
        TOKEN_RELAY_DESTINATIONS: sink.origin,
      },
    })
    await program.report('port')
  })
  afterAll(async () => {
    await program[Symbol.asyncDispose]()
    await sink[Symbol.asyncDispose]()
    await issuer[Symbol.asyncDispose]()
  })
  const send = async (target: string, ...fields: string[]): Promise<string> =>
    exchange(await program.report<number>('port'), requestOf(target, fields), () => false)

  it('has the caller of the field, and sends the token on in Authorization', async () => {
    const token = await issuer.token()
    const field = `X-Goog-IAP-JWT-Assertion: ${token}`
    expect(await send('/whoami', field)).toContain('"subject":"alice"')
    expect(statuses(await send('/whoami', bearer(token)))).toEqual([401])
    for (const client of ['fetch', 'undici', 'http']) {
      sink.clear()
      const target = `/call?client=${client}&url=${encodeURIComponent(`${sink.origin}/${client}`)}`
      expect(statuses(await send(target, field))).toEqual([200])
      expect(sink.received.map(({ authorization }) => authorization)).toEqual([[`Bearer ${token}`]])
    }
  })

  it('listeners of the body run as the caller', async () => {
    const field = `X-Goog-IAP-JWT-Assertion: ${await issuer.token()}`
    const message = requestOf('/body', [field], { method: 'POST', body: 'abc' })
    const answer = await exchange(await program.report<number>('port'), message, () => false)
    expect(answer).toContain('{"length":3,"subjects":["alice"]}')
  })
})
