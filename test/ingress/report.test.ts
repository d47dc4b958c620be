/** `ingress.mode: report` in front of every kind of server: no request is refused, and no bad token makes a caller. */

import { createServer } from 'node:http'
import { connect as http2Connect } from 'node:http2'
import { credentials, Metadata } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential } from '../../src/index.ts'
import { authenticate, requireScope } from '../../src/ingress/adapters/express.ts'
import { authenticate as authenticateGrpc } from '../../src/ingress/adapters/grpc.ts'
import type { Echo } from '../support/grpc.ts'
import { callEcho, ECHO, EchoClient, startGrpcSink } from '../support/grpc.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import type { Program } from '../support/process.ts'
import { OTEL_LINES, startProgram } from '../support/process.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'
import { optionsFor } from '../support/relay.ts'
import { bearer, signer, tokenOf } from '../support/service.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

const GRPC_CALLS: readonly (readonly [() => readonly string[], string])[] = [
  [() => [], 'nobody'],
  [() => ['Bearer garbage'], 'nobody'],
  [() => [`Bearer ${tokenOf({ aud: 'another' })}`], 'nobody'],
  [() => [`Bearer ${tokenOf()}`], 'alice'],
]
const UPGRADE = ['Connection: Upgrade', 'Upgrade: test']

describe.each(OTEL_LINES)('programs on %s [E18]', (line) => {
  let issuer: TestIssuer
  let sink: Sink
  let program: Program
  /** Fields of requests that `require` would refuse. */
  let bad: Readonly<Record<string, readonly string[]>>
  let good: string

  beforeAll(async () => {
    issuer = await startIssuer()
    sink = await startSink()
    program = startProgram('servers.cjs', {
      line,
      preload: ['--require', 'otel-token-relay/register'],
      env: {
        TOKEN_RELAY_ISSUER: issuer.issuer,
        TOKEN_RELAY_AUDIENCE: 'user-service',
        TOKEN_RELAY_INGRESS_MODE: 'report',
        TOKEN_RELAY_DESTINATIONS: sink.origin,
      },
    })
    await program.report('ready')
    good = await issuer.token()
    bad = {
      'no token': [],
      'a token for another audience': [bearer(await issuer.token({ aud: 'another' }))],
      'an expired token': [bearer(await issuer.token({ exp: 1_000_000, iat: 999_000 }))],
      'what is no token': [bearer('garbage')],
      'two tokens': [bearer(good), bearer(good)],
      'a list': [bearer(`${good}, ${good}`)],
    }
  })
  afterAll(async () => {
    await program[Symbol.asyncDispose]()
    await sink[Symbol.asyncDispose]()
    await issuer[Symbol.asyncDispose]()
  })

  async function send(name: string, message: string, until = (_response: string) => false): Promise<string> {
    return exchange(await program.report<number>(name), message, until)
  }

  it.each([
    'http',
    'rewired',
    'upgrade',
    'continuing',
  ])('%s: every request passes, a bad one without a caller', async (name) => {
    for (const [what, fields] of Object.entries(bad)) {
      expect(await send(name, requestOf('/whoami', fields)), what).toContain('"subject":null')
    }
    expect(await send(name, requestOf('/whoami', [bearer(good)]))).toContain('"subject":"alice"')
  })

  it('an upgrade passes, and its socket has no caller', async () => {
    for (const [what, fields] of Object.entries(bad)) {
      const response = await send('upgrade', requestOf('/ws', [...fields, ...UPGRADE]), (text) =>
        text.includes('head='),
      )
      expect(response, what).toMatch(/101 Switching[\s\S]*(undefined|null) head=/)
    }
    const upgraded = requestOf('/ws', [bearer(good), ...UPGRADE])
    expect(await send('upgrade', upgraded, (text) => text.includes('head='))).toContain('alice head=')
  })

  it('listeners of the body have no caller', async () => {
    const fields = bad['a token for another audience'] ?? []
    const answer = await send('http', requestOf('/body', fields, { method: 'POST', body: 'abc' }))
    expect(answer).toContain('{"length":3,"subjects":[null]}')
  })

  it.each([
    'http2',
    'http2core',
    'http2session',
  ])('%s: every stream passes, a bad one without a caller', async (name) => {
    const session = http2Connect(`http://127.0.0.1:${await program.report<number>(name)}`)
    const request = (authorization: string | undefined): Promise<string> =>
      new Promise((resolve, reject) => {
        const fields = authorization === undefined ? {} : { authorization }
        const stream = session.request({ ':path': '/whoami', ...fields }, { endStream: true })
        let text = ''
        stream.on('data', (chunk) => {
          text += chunk
        })
        stream.on('end', () => resolve(text))
        stream.on('error', reject)
      })
    try {
      for (const authorization of [undefined, 'Bearer garbage', `Bearer ${await issuer.token({ aud: 'x' })}`]) {
        expect(await request(authorization)).toMatch(/"subject":null|^null /)
      }
      expect(await request(`Bearer ${good}`)).toContain('alice')
    } finally {
      session.close()
    }
  })

  it.each(['fetch', 'undici', 'http'])('nothing is forwarded for a bad one through %s', async (client) => {
    const target = `/call?client=${client}&url=${encodeURIComponent(`${sink.origin}/${client}`)}`
    sink.clear()
    for (const fields of Object.values(bad)) {
      expect(statuses(await send('http', requestOf(target, fields)))).toEqual([200])
    }
    expect(sink.received.flatMap(({ authorization }) => authorization)).toEqual([])
    expect(sink.received).toHaveLength(Object.keys(bad).length)
    expect(statuses(await send('http', requestOf(target, [bearer(good)])))).toEqual([200])
    expect(sink.received.at(-1)?.authorization).toEqual([`Bearer ${good}`])
  })

  it('the log says what would be refused, and nothing of a token', () => {
    expect(program.stderr()).toMatch(/would be 401 ERR_TOKEN_MISSING: /)
    expect(program.stderr()).toMatch(/would be 401 ERR_TOKEN_AUDIENCE: /)
    expect(program.stderr()).not.toContain(good.slice(-12))
  })
})

describe('in this process', () => {
  let relay: TokenRelay
  const start = (): void => {
    relay = createTokenRelay({ ...optionsFor([signer.jwk]), ingress: { mode: 'report' } })
  }
  afterEach(() => relay.shutdown())
  const look = (): string => getActiveCredential()?.subject ?? 'nobody'

  it('an issuer that is down refuses no request', async () => {
    relay = createTokenRelay({
      issuers: [{ issuer: 'http://127.0.0.1:9', audience: 'a' }],
      ingress: { mode: 'report' },
    })
    const token = signer.token({ iss: 'http://127.0.0.1:9', sub: 'alice', aud: 'a', iat: 1, exp: 2e9 })
    const server = createServer((_, response) => void response.end(look()))
    expect(await exchange(await listen(server), requestOf('/', [bearer(token)]), () => false)).toMatch(
      /200 OK[\s\S]*nobody$/,
    )
    await close(server)
  })

  it('a relay that is shut down refuses no request', async () => {
    start()
    const server = createServer((_, response) => void response.end(look()))
    const port = await listen(server)
    await relay.shutdown()
    expect(await exchange(port, requestOf('/', [bearer(tokenOf())]), () => false)).toMatch(/200 OK[\s\S]*nobody$/)
    await close(server)
  })

  it('an adapter reports, too, unless it asks for a token by itself', async () => {
    const { default: express } = await import('express')
    start()
    const app = express()
    app.get('/reports', authenticate(), (_, response) => void response.end(look()))
    app.get('/requires', authenticate({ mode: 'require' }), (_, response) => void response.end(look()))
    app.get('/optional', authenticate({ mode: 'optional' }), (_, response) => void response.end(look()))
    app.get('/scope', requireScope('use'), (_, response) => void response.end(look()))
    const server = createServer(app)
    const port = await listen(server)
    const statusOf = async (target: string, ...fields: string[]): Promise<unknown> =>
      statuses(await exchange(port, requestOf(target, fields), () => false))[0]
    const garbage = bearer('garbage')
    expect([await statusOf('/reports'), await statusOf('/reports', garbage)]).toEqual([200, 200])
    expect([await statusOf('/requires'), await statusOf('/requires', garbage)]).toEqual([401, 401])
    expect([await statusOf('/optional'), await statusOf('/optional', garbage)]).toEqual([200, 401])
    expect([await statusOf('/scope'), await statusOf('/scope', garbage)]).toEqual([401, 401])
    expect(await statusOf('/scope', bearer(tokenOf({ scope: 'use' })))).toBe(200)
    await close(server)
  })

  it('a word that is no mode asks for a token', async () => {
    start()
    const headers = { authorization: 'Bearer garbage' }
    expect((await relay.admit({ headers })).admitted).toBe(true)
    for (const mode of ['off', 'reports', '', null]) {
      expect((await relay.admit({ headers: { ...headers } }, { mode: mode as never })).admitted).toBe(false)
    }
    expect(() => authenticate({ mode: 'off' as never })).toThrow('mode: expected require, optional or report')
  })

  it('calls of gRPC pass, behind the gate and with the interceptor', async () => {
    start()
    for (const interceptors of [[], [authenticateGrpc()]]) {
      await using server = await startGrpcSink({ interceptors, look })
      const client = new EchoClient(`127.0.0.1:${server.port}`, credentials.createInsecure()) as unknown as Echo
      for (const kind of Object.keys(ECHO) as (keyof typeof ECHO)[]) {
        for (const [authorization, caller] of GRPC_CALLS) {
          const metadata = new Metadata()
          for (const value of authorization()) metadata.add('authorization', value)
          expect(await callEcho(client, kind, metadata)).toContain(caller)
        }
      }
      client.close()
    }
  })
})
