/** The gRPC adapter: no handler runs for a call that was refused, and every handler runs as its caller. */

import { once } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:http2'
import type { ServerInterceptor } from '@grpc/grpc-js'
import { credentials, Metadata, ServerInterceptingCall, status } from '@grpc/grpc-js'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential } from '../../src/index.ts'
import { authenticate, requireRole, requireScope } from '../../src/ingress/adapters/grpc.ts'
import type { Echo, GrpcSink } from '../support/grpc.ts'
import { callEcho, ECHO, EchoClient, startGrpcSink } from '../support/grpc.ts'
import { NODE_MAJOR } from '../support/node.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const KINDS = Object.keys(ECHO) as (keyof typeof ECHO)[]
const signer = createSigner()
const good = signer.token(goodClaims(ISSUER, { scope: 'echo:read', roles: ['reader'] }))
const bad = signer.token(goodClaims(ISSUER, { aud: 'another' }))

/** A token whose issuer is searched for until {@link decide} is called, and then not accepted. */
const slow = (): string => signer.token(goodClaims(`https://${crypto.randomUUID()}.example`))

let verifications = 0
let decide: (() => void) | undefined
let relay: TokenRelay
function createRelay(mode: 'require' | 'off'): void {
  relay = createTokenRelay({
    ingress: { mode },
    ...optionsFor([signer.jwk], {
      claimRules: [
        () => {
          verifications += 1
          return true
        },
      ],
    }),
    cache: { maxEntries: 0 },
    resolveIssuer: () =>
      new Promise((resolve) => {
        decide = () => resolve(undefined)
      }),
  })
}
beforeAll(() => createRelay('off'))
beforeEach(() => {
  verifications = 0
  decide = undefined
})
afterAll(() => relay.shutdown())

const look = (): string => getActiveCredential()?.subject ?? 'nobody'

async function withServer<T>(
  interceptors: ServerInterceptor[],
  use: (client: Echo, server: GrpcSink) => Promise<T>,
): Promise<T> {
  await using server = await startGrpcSink({ interceptors, look })
  const client = new EchoClient(`127.0.0.1:${server.port}`, credentials.createInsecure()) as unknown as Echo
  try {
    return await use(client, server)
  } finally {
    client.close()
  }
}

function metadataOf(token: string | undefined): Metadata {
  const metadata = new Metadata()
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`)
  return metadata
}

/** The code of the status with which a call ends, and what else it says. */
async function refusalOf(client: Echo, metadata: Metadata, kind: keyof typeof ECHO = 'unary'): Promise<unknown> {
  const error = await callEcho(client, kind, metadata).then(
    () => undefined,
    (thrown: { code: number; details: string; metadata: Metadata }) => thrown,
  )
  return error && [error.code, error.details, error.metadata.get('www-authenticate')[0]]
}

/** Makes a unary call by hand, with what no client of gRPC would send, and returns its `grpc-status`. */
async function rawStatus(port: number, authorization: readonly string[]): Promise<unknown> {
  const session = connect(`http://127.0.0.1:${port}`, { strictSingleValueFields: false } as object)
  const fields = { ':path': '/test.Echo/Unary', ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' }
  const stream = session.request({ ...fields, authorization: authorization as unknown as string })
  let code: unknown
  for (const event of ['response', 'trailers']) {
    stream.on(event, (headers: IncomingHttpHeaders) => {
      code = headers['grpc-status'] ?? code
    })
  }
  const message = Buffer.from('"hello"')
  stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]))
  stream.resume()
  await once(stream, 'close')
  session.close()
  return code
}

const UNAUTHENTICATED = [status.UNAUTHENTICATED, 'Unauthorized', 'Bearer error="invalid_token"']
const MALFORMED = [status.UNAUTHENTICATED, 'Bad Request', 'Bearer error="invalid_request"']
const MISSING = [status.UNAUTHENTICATED, 'Unauthorized', 'Bearer']

describe.each([
  ['without the gate', false],
  ['behind the gate', true],
])('%s', (_, gated) => {
  const restart = async (mode: 'require' | 'off'): Promise<void> => {
    await relay.shutdown()
    createRelay(mode)
  }
  beforeAll(() => restart(gated ? 'require' : 'off'))
  afterAll(() => restart('off'))
  /** The gate answers without a text. */
  const refusal = ([code, details, challenge]: readonly unknown[]): unknown[] => [code, gated ? '' : details, challenge]

  it.each(KINDS)('a call of kind %s needs a valid token, and runs as its caller', async (kind) => {
    await withServer([authenticate()], async (client, server) => {
      expect(await refusalOf(client, metadataOf(undefined), kind)).toEqual(refusal(MISSING))
      expect(await refusalOf(client, metadataOf(bad), kind)).toEqual(refusal(UNAUTHENTICATED))
      expect(await refusalOf(client, metadataOf('garbage'), kind)).toEqual(refusal(UNAUTHENTICATED))
      expect(server.received).toEqual([])
      expect(new Set(await callEcho(client, kind, metadataOf(good)))).toEqual(new Set(['alice']))
    })
  })

  it('verifies once, however many interceptors ask', async () => {
    await withServer([authenticate(), requireScope('echo:read'), authenticate()], async (client) => {
      expect(await callEcho(client, 'unary', metadataOf(good))).toEqual(['alice'])
      expect(verifications).toBe(1)
    })
  })

  it('refuses what is not exactly one token [E9]', async () => {
    await withServer([authenticate()], async (client, server) => {
      const list = metadataOf(`${good}, Bearer ${good}`)
      expect(await refusalOf(client, list)).toEqual(refusal(MALFORMED))
      const binary = new Metadata()
      binary.set('authorization-bin', Buffer.from(`Bearer ${good}`))
      expect(await refusalOf(client, binary)).toEqual(refusal(MISSING))
      expect(await refusalOf(client, metadataOf('x'.repeat(10_000)))).toEqual(refusal(UNAUTHENTICATED))
      expect(server.received).toEqual([])
    })
  })

  // The client of Node 22 refuses to send a second one.
  it.skipIf(NODE_MAJOR < 24).each([
    ['one good token', () => [`Bearer ${good}`], '0'],
    ['a good and a bad one', () => [`Bearer ${good}`, `Bearer ${bad}`], '16'],
    ['two good ones', () => [`Bearer ${good}`, `Bearer ${good}`], '16'],
    ['a token and another scheme', () => ['Basic YTpi', `Bearer ${good}`], '16'],
  ])('authorization fields as HTTP/2 has them: %s [E9]', async (_, fields, code) => {
    await withServer([authenticate()], async (_client, server) => {
      expect(await rawStatus(server.port, fields())).toBe(code)
      expect(server.received).toHaveLength(code === '0' ? 1 : 0)
    })
  })

  it('requires scopes by method, and leaves other methods alone', async () => {
    const scopes = requireScope({ '/test.Echo/Unary': ['echo:write'], '/test.Echo/Download': ['echo:read'] })
    await withServer([authenticate(), scopes], async (client, server) => {
      const expected = [status.PERMISSION_DENIED, 'Forbidden', 'Bearer error="insufficient_scope", scope="echo:write"']
      expect(await refusalOf(client, metadataOf(good))).toEqual(expected)
      expect(server.received).toEqual([])
      expect(await callEcho(client, 'download', metadataOf(good))).toEqual(['alice', 'alice', 'alice'])
      expect(await callEcho(client, 'talk', metadataOf(good))).toEqual(['alice'])
    })
  })
})

describe('without the gate', () => {
  it('requires one of several scopes or roles, of all methods or of one', async () => {
    const pass = [requireScope('echo:read', { anyOf: ['x', 'echo:read'] }), requireRole({ anyOf: ['reader', 'x'] })]
    const methods = requireRole({ '/test.Echo/Unary': [{ anyOf: ['writer', 'admin'] }] })
    await withServer([...pass, methods], async (client, server) => {
      expect(await callEcho(client, 'download', metadataOf(good))).toEqual(['alice', 'alice', 'alice'])
      const expected = [status.PERMISSION_DENIED, 'Forbidden', 'Bearer error="insufficient_scope"']
      expect(await refusalOf(client, metadataOf(good))).toEqual(expected)
      expect(server.received).toHaveLength(1)
    })
    await withServer([requireScope({ anyOf: ['x', 'y'] })], async (client) => {
      const expected = [status.PERMISSION_DENIED, 'Forbidden', 'Bearer error="insufficient_scope", scope="x y"']
      expect(await refusalOf(client, metadataOf(good))).toEqual(expected)
    })
  })

  it('`requireScope` authenticates by itself', async () => {
    await withServer([requireScope('echo:read')], async (client) => {
      expect(await refusalOf(client, metadataOf(undefined))).toEqual(MISSING)
      expect(await callEcho(client, 'unary', metadataOf(good))).toEqual(['alice'])
    })
  })

  it('`optional` lets a call without a token pass without a caller, and refuses a bad one', async () => {
    await withServer([authenticate({ mode: 'optional' })], async (client) => {
      expect(await callEcho(client, 'unary')).toEqual(['nobody'])
      expect(await callEcho(client, 'unary', metadataOf(good))).toEqual(['alice'])
      expect(await refusalOf(client, metadataOf(bad))).toEqual(UNAUTHENTICATED)
    })
  })

  it('a message that comes before the decision does not run a handler', async () => {
    let ended = 0
    // It reads on its own account, so that message and end are there before the token is decided.
    const eager: ServerInterceptor = (_method, call) =>
      new ServerInterceptingCall(call, {
        start: (next) =>
          next({
            onReceiveMetadata(metadata, pass) {
              pass(metadata)
              call.startRead()
            },
            onReceiveMessage(message, pass) {
              pass(message)
              call.startRead()
            },
            onReceiveHalfClose(pass) {
              pass()
              ended += 1
            },
          }),
      })
    await withServer([eager, authenticate()], async (client, server) => {
      for (const [i, kind] of (['unary', 'download'] as const).entries()) {
        const refused = refusalOf(client, metadataOf(slow()), kind)
        await expect.poll(() => ended).toBe(i + 1)
        await expect.poll(() => decide).toBeDefined()
        expect(server.received).toEqual([])
        decide?.()
        decide = undefined
        expect(await refused).toEqual(UNAUTHENTICATED)
      }
      expect(server.received).toEqual([])
    })
  })

  it('a call that is cancelled while its token is verified reaches no handler', async () => {
    await withServer([authenticate()], async (client, server) => {
      const call = client.unary('a', metadataOf(slow()), () => undefined)
      const ended = new Promise((resolve) => call.on('status', resolve))
      await expect.poll(() => decide).toBeDefined()
      call.cancel()
      await ended
      decide?.()
      expect(await callEcho(client, 'unary', metadataOf(good))).toEqual(['alice'])
      expect(server.received).toHaveLength(1)
    })
  })

  it('interleaved callers are not mixed up', async () => {
    const users = Array.from({ length: 30 }, (_, i) => `user-${i}`)
    await withServer([authenticate()], async (client) => {
      const calls = users.flatMap((sub) =>
        KINDS.map(async (kind) => {
          const answers = await callEcho(client, kind, metadataOf(signer.token(goodClaims(ISSUER, { sub }))))
          return answers.every((answer) => answer === sub)
        }),
      )
      expect(new Set(await Promise.all(calls))).toEqual(new Set([true]))
    })
  })

  it('no call passes if no relay is active', async () => {
    await withServer([authenticate({ mode: 'optional' })], async (client, server) => {
      await relay.shutdown()
      const unavailable = [status.UNAVAILABLE, 'Service Unavailable', undefined]
      expect(await refusalOf(client, metadataOf(good))).toEqual(unavailable)
      expect(await refusalOf(client, metadataOf(undefined))).toEqual(unavailable)
      expect(server.received).toEqual([])
    })
  })
})

describe('refuses at start', () => {
  it.each<readonly [string, () => unknown]>([
    ['another mode', () => authenticate({ mode: 'maybe' as 'optional' })],
    ['no scope', () => requireScope()],
    ['a scope that is none', () => requireScope('a b')],
    ['no method', () => requireScope({})],
    ['a method without a scope', () => requireScope({ '/a.B/C': [] })],
    ['a method without its slash', () => requireScope({ 'a.B/C': ['a'] })],
    ['no alternative', () => requireScope({ anyOf: [] })],
    ['methods beside scopes', () => requireScope({ '/a.B/C': ['a'] } as never, 'a')],
    ['no role', () => requireRole()],
    ['a method without a role', () => requireRole({ '/a.B/C': [] })],
    ['a method with an empty role', () => requireRole({ '/a.B/C': [''] })],
  ])('%s', (_, make) => {
    expect(make).toThrow(TypeError)
  })
})
