/** What is particular to Express: errors, order, routers, and Express without a relay. */

import { createServer } from 'node:http'
import type { ErrorRequestHandler } from 'express'
import express from 'express'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential } from '../../src/index.ts'
import { authenticate, requireRole, requireScope } from '../../src/ingress/adapters/express.ts'
import { close, listen } from '../support/issuer.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import { startSink } from '../support/sink.ts'

const signer = createSigner()
const token = (claims = {}): string => signer.token(goodClaims(ISSUER, claims))
let relay: TokenRelay
beforeAll(() => {
  relay = createTokenRelay(optionsFor([signer.jwk]))
})
afterAll(() => relay.shutdown())

async function request(app: express.Express, path: string, init: RequestInit = {}, as?: string) {
  const server = createServer(app)
  const port = await listen(server)
  try {
    const headers = { ...(init.headers as Record<string, string>), ...(as ? { authorization: `Bearer ${as}` } : {}) }
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { ...init, headers })
    return { status: response.status, headers: response.headers, text: await response.text() }
  } finally {
    await close(server)
  }
}

const subject: express.RequestHandler = (request, response) => {
  response.send(`${request.credential?.subject} ${getActiveCredential()?.subject}`)
}

it('protects an application, a router, or one route', async () => {
  const app = express()
  app.get('/open', subject)
  const router = express.Router()
  router.use(authenticate())
  router.get('/', subject)
  app.use('/router', router)
  app.get('/route', authenticate(), subject)
  expect((await request(app, '/open', {}, token())).text).toBe('undefined undefined')
  for (const path of ['/router', '/route']) {
    expect((await request(app, path)).status).toBe(401)
    expect((await request(app, path, {}, token())).text).toBe('alice alice')
  }
})

it('a body that was parsed before or is parsed after does not lose the caller', async () => {
  const app = express()
  app.post('/before', express.json(), authenticate(), subject)
  app.post('/after', authenticate(), express.json(), subject)
  const init = { method: 'POST', body: JSON.stringify({ a: 'x'.repeat(50_000) }) }
  const headers = { 'content-type': 'application/json' }
  for (const path of ['/before', '/after']) {
    expect((await request(app, path, { ...init, headers }, token())).text).toBe('alice alice')
  }
})

it('fields that middleware before it has set stay on the answer', async () => {
  const app = express()
  app.use((_, response, next) => {
    response.setHeader('access-control-allow-origin', 'https://app.example')
    next()
  })
  app.get('/', authenticate(), subject)
  const { status, headers } = await request(app, '/')
  expect([status, headers.get('access-control-allow-origin')]).toEqual([401, 'https://app.example'])
})

it('errors take the way of Express, whether the token had to be verified first or was known', async () => {
  const app = express()
  const seen: unknown[] = []
  const failure = new Error('of the application')
  app.use(authenticate())
  app.get('/throws', () => {
    throw failure
  })
  app.get('/rejects', async () => Promise.reject(failure))
  app.get('/next', (_, __, next) => next(failure))
  const onError: ErrorRequestHandler = (error, _, response, _next) => {
    seen.push([error, getActiveCredential()?.subject])
    response.status(500).send('handled')
  }
  app.use(onError)
  const known = token()
  await relay.verify(known)
  for (const path of ['/throws', '/rejects', '/next']) {
    for (const text of [known, token({ jti: path })]) {
      expect(await request(app, path, {}, text)).toMatchObject({ status: 500, text: 'handled' })
    }
  }
  expect(seen).toEqual(Array(6).fill([failure, 'alice']))
})

it('work that goes on when the request is over sends no token', async () => {
  await using sink = await startSink()
  await relay.shutdown()
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [{ to: sink.origin }] })
  const app = express()
  const later = new Promise<void>((resolve) => {
    app.get('/', authenticate(), async (_, response) => {
      await (await fetch(`${sink.origin}/during`)).text()
      response.on('close', async () => {
        await (await fetch(`${sink.origin}/after`)).text()
        resolve()
      })
      response.send('done')
    })
  })
  const text = token()
  await request(app, '/', {}, text)
  await later
  expect(sink.received.map(({ target, authorization }) => [target, ...authorization])).toEqual([
    ['/during', `Bearer ${text}`],
    ['/after'],
  ])
})

it('another middleware may answer while a token is verified, and its answer stays', async () => {
  const app = express()
  const seen: unknown[] = []
  app.use((_, response, next) => {
    next()
    response.status(418).send('first')
  })
  app.get('/', authenticate(), subject)
  app.use(((error, _request, _response, _next) => void seen.push(error)) satisfies ErrorRequestHandler)
  const forged = createSigner('ES256', 'ES256-1').token(goodClaims(ISSUER))
  expect(await request(app, '/', {}, forged)).toMatchObject({ status: 418, text: 'first' })
  // By then the first verification is over, too.
  await relay.verify(forged).catch(() => undefined)
  await new Promise((resolve) => setImmediate(resolve))
  expect(seen).toEqual([])
})

it('without Express, what `next` throws goes to the code that has called the middleware', async () => {
  const failure = new Error('of the application')
  const seen: unknown[] = []
  const server = createServer(async (message, response) => {
    try {
      await authenticate()(message, response, () => {
        throw failure
      })
    } catch (error) {
      seen.push(error)
    }
    response.end()
  })
  const port = await listen(server)
  const text = token()
  // The second time it is known, and nothing is waited for.
  for (const headers of [{ authorization: `Bearer ${text}` }, { authorization: `Bearer ${text}` }]) {
    await fetch(`http://127.0.0.1:${port}/`, { headers })
  }
  await close(server)
  expect(seen).toEqual([failure, failure])
})

it('without an active relay no request passes', async () => {
  await relay.shutdown()
  const app = express()
  app.get('/', authenticate({ mode: 'optional' }), subject)
  app.get('/scoped', requireScope('profiles:read'), subject)
  app.use(((error, _, response, _next) => void response.status(500).send(error.message)) satisfies ErrorRequestHandler)
  try {
    for (const path of ['/', '/scoped']) {
      expect(await request(app, path)).toMatchObject({ status: 500, text: 'no token relay is active in this thread' })
    }
  } finally {
    relay = createTokenRelay(optionsFor([signer.jwk]))
  }
})

it('alternatives that are changed later change nothing', async () => {
  const anyOf = ['profiles:write']
  const app = express()
  app.get('/', requireScope({ anyOf }), subject)
  anyOf.push('profiles:read')
  expect(
    (await request(app, '/', { headers: { authorization: `Bearer ${token({ scope: 'profiles:read' })}` } })).status,
  ).toBe(403)
  expect(
    (await request(app, '/', { headers: { authorization: `Bearer ${token({ scope: 'profiles:write' })}` } })).status,
  ).toBe(200)
})

it('a mode, scope or role that is none is refused when it is written', () => {
  for (const mode of ['off', 'Optional', 'required', true, 0] as never[]) {
    expect(() => authenticate({ mode })).toThrow(new TypeError('mode: expected require, optional or report'))
  }
  const noNames = [[], [''], [undefined], [['a']], [{}], [{ anyOf: [] }], [{ anyOf: 'a' }], [{ anyof: ['a'] }]]
  const noAlternatives = [[{ anyOf: ['a', ''] }], [{ anyOf: ['a'], allOf: ['b'] }], ['a', null], [{ anyOf: [['a']] }]]
  for (const names of [...noNames, ...noAlternatives] as string[][]) {
    expect(() => requireScope(...names)).toThrow(new TypeError('scopes: expected one or more scopes'))
    expect(() => requireRole(...names)).toThrow(new TypeError('roles: expected one or more roles'))
  }
  for (const scope of ['a b', 'a"', 'a\\', 'a\r\nx: y', 'ü']) {
    expect(() => requireScope(scope)).toThrow(new TypeError('scopes: expected one or more scopes'))
    expect(() => requireScope({ anyOf: ['a', scope] })).toThrow(new TypeError('scopes: expected one or more scopes'))
  }
})
