/** What is particular to Fastify: encapsulation, hooks, and requests that are injected without a server. */

import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import Fastify from 'fastify'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import { authenticate, fastifyTokenRelay, requireScope } from '../../src/ingress/adapters/fastify.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const bearer = (claims = {}): string => `Bearer ${signer.token(goodClaims(ISSUER, claims))}`
let relay: TokenRelay
let app: FastifyInstance
beforeAll(() => {
  relay = createTokenRelay(optionsFor([signer.jwk]))
  // In front of servers only: for what is injected there is nothing but the adapter.
  relay.instrumentation.enable()
})
afterEach(() => app.close())
afterAll(() => relay.shutdown())

const subject = async (request: FastifyRequest): Promise<string> =>
  `${request.credential?.subject} ${getActiveCredential()?.subject}`

async function get(url: string, authorization?: string | readonly string[]) {
  const headers = authorization === undefined ? {} : { authorization: authorization as string }
  const { statusCode, body, headers: fields } = await app.inject({ url, headers })
  return { status: statusCode, body, fields }
}

describe('app.inject', () => {
  it('no handler runs without a valid token', async () => {
    app = Fastify()
    await app.register(fastifyTokenRelay)
    app.get('/', subject)
    expect(await get('/')).toMatchObject({ status: 401, fields: { 'www-authenticate': 'Bearer' } })
    expect(await get('/', bearer({ aud: 'another' }))).toMatchObject({
      status: 401,
      fields: {
        'www-authenticate': 'Bearer error="invalid_token"',
        'content-type': 'application/problem+json',
        'cache-control': 'no-store',
      },
    })
    expect(await get('/', bearer())).toMatchObject({ status: 200, body: 'alice alice' })
  })

  it('two Authorization values are no token [E1]', async () => {
    app = Fastify()
    await app.register(fastifyTokenRelay, { mode: 'optional' })
    app.get('/', subject)
    expect((await get('/', [bearer(), bearer()])).status).toBe(400)
    expect((await get('/', [bearer(), 'Basic eDp5'])).status).toBe(400)
    expect((await get('/', `${bearer()}, ${bearer()}`)).status).toBe(400)
  })

  it('a request inside of another one has its own caller, or none [G1]', async () => {
    app = Fastify()
    app.register(async (scope) => {
      scope.register(fastifyTokenRelay, { mode: 'optional' })
      scope.get('/optional', subject)
    })
    app.get('/scoped', { onRequest: requireScope('profiles:read') }, subject)
    const outer = signer.token(goodClaims(ISSUER, { scope: 'profiles:read' }))
    await runWithToken(outer, async () => {
      expect(await get('/optional')).toMatchObject({ body: 'undefined undefined' })
      expect(await get('/optional', bearer({ sub: 'bob' }))).toMatchObject({ body: 'bob bob' })
      expect(await get('/scoped')).toMatchObject({ status: 401 })
      expect(await get('/scoped', bearer({ sub: 'bob' }))).toMatchObject({ status: 403 })
      expect(getActiveCredential()?.subject).toBe('alice')
    })
  })

  it('a body and a stream have a caller', async () => {
    app = Fastify()
    await app.register(fastifyTokenRelay)
    app.post('/', async (request) => ({ body: request.body, text: await subject(request) }))
    app.get('/stream', () =>
      Readable.from(
        (async function* () {
          await Promise.resolve()
          yield getActiveCredential()?.subject
        })(),
      ),
    )
    const headers = { authorization: bearer() }
    const { body } = await app.inject({ method: 'POST', url: '/', headers, payload: { a: 1 } })
    expect(JSON.parse(body)).toEqual({ body: { a: 1 }, text: 'alice alice' })
    expect(await get('/stream', bearer())).toMatchObject({ body: 'alice' })
  })
})

describe('the plugin', () => {
  it('protects its instance and those inside of it, not those beside it', async () => {
    app = Fastify()
    app.register(async (scope) => {
      scope.register(fastifyTokenRelay)
      scope.get('/inside', subject)
      scope.register(async (deeper) => void deeper.get('/deeper', subject))
    })
    app.get('/beside', subject)
    for (const url of ['/inside', '/deeper']) {
      expect((await get(url)).status).toBe(401)
      expect((await get(url, bearer())).body).toBe('alice alice')
    }
    expect((await get('/beside', bearer())).body).toBe('undefined undefined')
  })

  it('answers before other hooks, parsers and the handler of unknown paths see anything', async () => {
    app = Fastify()
    const seen: string[] = []
    await app.register(fastifyTokenRelay)
    app.addHook('preParsing', async (_request, _reply, payload) => {
      seen.push('preParsing')
      return payload
    })
    app.setNotFoundHandler((_, reply) => {
      seen.push('not found')
      reply.code(404).send()
    })
    app.post('/', subject)
    expect((await app.inject({ method: 'POST', url: '/', payload: { a: 1 } })).statusCode).toBe(401)
    expect((await get('/unknown')).status).toBe(401)
    expect(seen).toEqual([])
    expect((await get('/unknown', bearer())).status).toBe(404)
  })

  it('has a name, and is for Fastify 5', async () => {
    app = Fastify()
    await app.register(fastifyTokenRelay)
    expect(app.hasPlugin('otel-token-relay')).toBe(true)
    expect(Reflect.get(fastifyTokenRelay, Symbol.for('plugin-meta'))).toMatchObject({ fastify: '5.x' })
  })

  it('does not load with a mode that is none', async () => {
    app = Fastify()
    app.register(fastifyTokenRelay, { mode: 'off' as never })
    await expect(app.ready()).rejects.toThrow(new TypeError('mode: expected require, optional or report'))
  })
})

describe('hooks', () => {
  it('authenticate() protects one route', async () => {
    app = Fastify()
    app.get('/', { onRequest: authenticate() }, subject)
    expect((await get('/')).status).toBe(401)
    expect((await get('/', bearer())).body).toBe('alice alice')
  })

  it('requireScope() works at every later stage, too', async () => {
    app = Fastify()
    await app.register(fastifyTokenRelay)
    app.get('/a', { preHandler: [requireScope('profiles:read')] }, subject)
    app.get('/b', { preValidation: requireScope('admin') }, subject)
    expect((await get('/a', bearer({ scope: 'profiles:read' }))).body).toBe('alice alice')
    expect((await get('/b', bearer({ scope: 'profiles:read' }))).status).toBe(403)
  })

  it('errors of the application take the way of Fastify', async () => {
    app = Fastify()
    const failure = new Error('of the application')
    const seen: unknown[] = []
    await app.register(fastifyTokenRelay)
    app.get('/sync', () => {
      throw failure
    })
    app.get('/async', async () => Promise.reject(failure))
    app.setErrorHandler((error, _, reply) => {
      seen.push([error, getActiveCredential()?.subject])
      reply.code(500).send('handled')
    })
    for (const url of ['/sync', '/async']) expect((await get(url, bearer({ jti: url }))).body).toBe('handled')
    expect(seen).toEqual(Array(2).fill([failure, 'alice']))
  })

  it('another hook may answer while a token is verified, and its answer stays', async () => {
    const lines: string[] = []
    app = Fastify({ logger: { level: 'warn', stream: { write: (line: string) => void lines.push(line) } } })
    app.addHook('onRequest', (_request, reply, done) => {
      done()
      reply.code(418).send('first')
    })
    await app.register(fastifyTokenRelay)
    app.get('/', subject)
    const forged = createSigner('ES256', 'ES256-1').token(goodClaims(ISSUER))
    expect(await get('/', `Bearer ${forged}`)).toMatchObject({ status: 418, body: 'first' })
    // By then the first verification is over, too.
    await relay.verify(forged).catch(() => undefined)
    await new Promise((resolve) => setImmediate(resolve))
    expect(lines).toEqual([])
  })

  it('without an active relay no request passes', async () => {
    await relay.shutdown()
    app = Fastify()
    app.register(async (scope) => {
      scope.register(fastifyTokenRelay, { mode: 'optional' })
      scope.get('/', subject)
    })
    app.get('/scoped', { onRequest: requireScope('profiles:read') }, subject)
    try {
      for (const url of ['/', '/scoped']) {
        expect(await get(url, bearer())).toMatchObject({ status: 500, body: expect.stringContaining('no token relay') })
      }
    } finally {
      relay = createTokenRelay(optionsFor([signer.jwk]))
    }
  })
})
