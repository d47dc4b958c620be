/** What is particular to Hono: requests of the web, which need no server and so pass no gate. */

import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { context, trace } from '@opentelemetry/api'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import { authenticate, requireScope } from '../../src/ingress/adapters/hono.ts'
import { createHono } from '../support/frameworks.ts'
import { close, listen } from '../support/issuer.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const token = (claims = {}): string => signer.token(goodClaims(ISSUER, { scope: 'profiles:read', ...claims }))
const bearer = (claims = {}) => ({ headers: { authorization: `Bearer ${token(claims)}` } })
const caller = (): string => getActiveCredential()?.subject ?? 'nobody'
let relay: TokenRelay
beforeAll(() => {
  relay = createTokenRelay(optionsFor([signer.jwk]))
  // In front of servers only: for what comes without one there is nothing but the adapter.
  relay.instrumentation.enable()
})
afterAll(() => relay.shutdown())

describe('app.request and app.fetch', () => {
  const handled: string[] = []
  const app = createHono(handled)

  it('no handler runs without a valid token', async () => {
    for (const target of ['/whoami', '/scoped', '/admin', '/both', '/stream', '/boom']) {
      for (const init of [{}, bearer({ aud: 'another' }), { headers: { authorization: 'Basic eDp5' } }]) {
        const response = await app.request(target, init)
        expect(response.status).toBe(401)
        expect(response.headers.get('www-authenticate')).toMatch(/^Bearer( error="invalid_token")?$/)
        expect(await response.json()).toEqual({ type: 'about:blank', title: 'Unauthorized', status: 401 })
      }
    }
    expect(handled).toEqual([])
    expect((await app.request('/admin', bearer())).status).toBe(403)
    expect((await app.request('/whoami', { method: 'HEAD' })).status).toBe(401)
  })

  it('two Authorization values are no token, in any mode [E1, E2]', async () => {
    const headers = new Headers(bearer().headers)
    headers.append('authorization', `Bearer ${token()}`)
    const mixed = new Headers({ authorization: 'Basic eDp5' })
    mixed.append('authorization', `Bearer ${token()}`)
    for (const fields of [headers, mixed]) {
      for (const target of ['/whoami', '/optional', '/scoped']) {
        expect((await app.fetch(new Request(`http://service${target}`, { headers: fields }))).status).toBe(400)
      }
    }
    expect(handled).toEqual([])
  })

  it('the caller is known to the handler, to its body and to its stream', async () => {
    expect(await (await app.request('/whoami', bearer({ sub: 'bob' }))).json()).toEqual({ callers: ['bob'] })
    expect(await (await app.request('/optional')).json()).toEqual({ callers: ['nobody'] })
    const body = { ...bearer(), method: 'POST', body: 'x'.repeat(100_000) }
    expect(await (await app.request('/body', body)).json()).toEqual({ length: 100_000, callers: ['alice'] })
    expect(await (await app.request('/stream', bearer())).text()).toBe('alice '.repeat(5))
  })

  it('a request inside of another one has its own caller, or none [G1]', async () => {
    await runWithToken(token(), async () => {
      expect(await (await app.request('/optional')).json()).toEqual({ callers: ['nobody'] })
      expect(await (await app.request('/whoami', bearer({ sub: 'bob' }))).json()).toEqual({ callers: ['bob'] })
      expect((await app.request('/scoped')).status).toBe(401)
      expect((await app.request('/scoped', bearer({ scope: 'none' }))).status).toBe(403)
      expect(caller()).toBe('alice')
    })
  })

  it('one verification and one set of events, however many ask', async () => {
    const told: string[] = []
    const span = trace.wrapSpanContext({ traceId: '1'.repeat(32), spanId: '1'.repeat(16), traceFlags: 1 })
    const recording = Object.assign(Object.create(span), {
      isRecording: () => true,
      addEvent: (name: string) => told.push(name),
    })
    await context.with(trace.setSpan(context.active(), recording), async () => {
      expect((await app.request('/both', bearer({ scope: 'admin' }))).status).toBe(200)
    })
    expect(told).toEqual(['auth.token.verified'])
  })

  it('an environment that looks like a server’s is not believed', async () => {
    const { IncomingMessage, ServerResponse } = await import('node:http')
    const incoming = new IncomingMessage(null as never)
    incoming.headers = bearer().headers
    const environment = { incoming, outgoing: new ServerResponse(incoming) }
    expect((await app.request('/whoami', {}, environment)).status).toBe(401)
    expect((await app.request('/whoami', {}, { incoming: { headers: bearer().headers } })).status).toBe(401)
    expect((await app.request('/whoami', {}, null as never)).status).toBe(401)
    expect((await app.request('/whoami', bearer(), environment)).status).toBe(200)
  })

  it('what the application throws arrives as it was thrown', async () => {
    const failure = new TypeError('of the application')
    const throwing = new Hono()
    throwing.use(authenticate())
    throwing.get('/', () => {
      throw failure
    })
    const seen: unknown[] = []
    throwing.onError((error, c) => {
      seen.push(error)
      return c.text('handled', 500)
    })
    expect(await (await throwing.request('/', bearer())).text()).toBe('handled')
    expect(seen).toEqual([failure])
  })

  it('without an active relay no request passes', async () => {
    await relay.shutdown()
    try {
      handled.length = 0
      const response = await app.request('/optional', bearer())
      expect([response.status, handled]).toEqual([500, []])
      expect(await response.json()).toEqual({ error: 'Error: no token relay is active in this thread' })
    } finally {
      relay = createTokenRelay(optionsFor([signer.jwk]))
      relay.instrumentation.enable()
    }
  })
})

it('a request that is made with the environment of another one keeps its own token', async () => {
  const app = new Hono()
  app.get('/inner', authenticate({ mode: 'optional' }), (c) => c.text(`${c.var.credential?.subject} ${caller()}`))
  app.get('/outer', authenticate(), async (c) => {
    const inner = async (init: RequestInit) => (await app.request('/inner', init, c.env)).text()
    return c.json([await inner({}), await inner(bearer({ sub: 'bob' })), caller()])
  })
  const server = createServer(getRequestListener(app.fetch))
  const port = await listen(server)
  try {
    const response = await fetch(`http://127.0.0.1:${port}/outer`, bearer())
    expect(await response.json()).toEqual(['undefined nobody', 'bob bob', 'alice'])
  } finally {
    await close(server)
  }
})

it('fields that middleware before it has set stay on the answer', async () => {
  const app = new Hono()
  app.use(cors({ origin: 'https://app.example' }))
  app.get('/', requireScope('admin'), (c) => c.text(''))
  const fields = { ...bearer().headers, origin: 'https://app.example' }
  const { status, headers } = await app.request('/', { headers: fields })
  expect([status, headers.get('access-control-allow-origin')]).toEqual([403, 'https://app.example'])
  expect(headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope", scope="admin"')
})
