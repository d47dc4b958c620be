/** The adapters of the packed artifact, in applications that have one framework installed and not the others. */

import { describe, expect, it } from 'vitest'
import { createStandalone } from './standalone.ts'

interface Case {
  readonly framework: string
  readonly installed: readonly string[]
  /** A program without type errors. */
  readonly right: string
  /** Lines that are errors, each for a different reason. */
  readonly wrong: readonly string[]
}

const CREDENTIAL = `import type { VerifiedCredential } from 'otel-token-relay'\n`

const CASES: readonly Case[] = [
  {
    framework: 'express',
    installed: ['express', '@types/express'],
    right: `
      import express from 'express'
      import { authenticate, requireRole, requireScope } from 'otel-token-relay/express'
      const app = express()
      app.use(authenticate())
      app.use('/a', authenticate({ mode: 'optional' }), express.Router().use(authenticate({})))
      app.get('/profiles/:id', requireScope('profiles:read', 'b'), (request, response) => {
        const credential: VerifiedCredential | undefined = request.credential
        const id: string = request.params.id
        response.json({ id, subject: credential?.subject })
      })
      app.delete('/', requireScope({ anyOf: ['a', 'b'] }, 'c'), requireRole('admin', { anyOf: ['d'] }))
      export const handler: express.RequestHandler = requireScope('a')`,
    wrong: [
      `app.get('/', (request) => void request.credential.subject)`,
      `app.get('/', (request) => void request.credential?.sub)`,
      `authenticate({ mode: 'off' })`,
      `requireScope(['a'])`,
      `requireScope({ anyOf: 'a' })`,
      `requireRole({ anyof: ['a'] })`,
    ],
  },
  {
    framework: 'fastify',
    installed: ['fastify'],
    right: `
      import Fastify from 'fastify'
      import { authenticate, fastifyTokenRelay, requireScope } from 'otel-token-relay/fastify'
      const app = Fastify()
      await app.register(fastifyTokenRelay)
      app.register(fastifyTokenRelay, { mode: 'optional', prefix: '/a' })
      app.addHook('onRequest', authenticate())
      const schema = { params: { type: 'object' } }
      app.get<{ Params: { id: string } }>(
        '/profiles/:id',
        { schema, onRequest: requireScope('profiles:read', 'b') },
        async (request) => {
          const credential: VerifiedCredential | undefined = request.credential
          const id: string = request.params.id
          return { id, subject: credential?.subject }
        },
      )
      app.route({ method: 'GET', url: '/', preHandler: [requireScope('a')], handler: () => 'a' })
      const secure = Fastify({ http2: true })
      secure.register(fastifyTokenRelay)
      secure.get('/', { onRequest: [requireScope('a')] }, () => 'a')`,
    wrong: [
      `app.get('/', (request) => request.credential.subject)`,
      `app.get('/', (request) => request.credential?.sub)`,
      `app.register(fastifyTokenRelay, { mode: 'off' })`,
      `app.get('/', { onRequest: requireScope(['a']) }, () => 'a')`,
    ],
  },
  {
    framework: 'koa',
    installed: ['koa', '@types/koa'],
    right: `
      import Koa from 'koa'
      import { authenticate, requireScope } from 'otel-token-relay/koa'
      const app = new Koa()
      app.use(authenticate())
      app.use(requireScope('profiles:read', 'b'))
      app.use(async (ctx, next) => {
        const credential: VerifiedCredential | undefined = ctx.state.credential
        ctx.body = { subject: credential?.subject, other: ctx.state.other }
        await next()
      })
      export const middleware: Koa.Middleware = authenticate({ mode: 'optional' })`,
    wrong: [
      `app.use((ctx) => void ctx.state.credential.subject)`,
      `app.use((ctx) => void ctx.state.credential?.sub)`,
      `app.use(authenticate({ mode: 'off' }))`,
      `app.use(requireScope(['a']))`,
    ],
  },
  {
    framework: 'hono',
    installed: ['hono'],
    right: `
      import { Hono, type MiddlewareHandler } from 'hono'
      import { authenticate, requireScope } from 'otel-token-relay/hono'
      const app = new Hono()
      app.use(authenticate())
      app.use('/a/*', authenticate({ mode: 'optional' }))
      app.get('/profiles/:id', requireScope('profiles:read', 'b'), (c) => {
        const credential: VerifiedCredential | undefined = c.var.credential
        const same: VerifiedCredential | undefined = c.get('credential')
        const id: string = c.req.param('id')
        return c.json({ id, subject: credential?.subject, same: same?.subject })
      })
      export const chained = new Hono<{ Variables: { other: string } }>()
        .use(authenticate())
        .get('/', requireScope('a'), (c) => c.text(c.var.other + c.var.credential?.subject))
      export const required = new Hono<{ Variables: { credential: VerifiedCredential } }>()
        .use(authenticate())
        .get('/', (c) => c.json(c.var.credential.claims))
      export const middleware: MiddlewareHandler = requireScope('a')`,
    wrong: [
      `app.get('/', (c) => c.json(c.var.credential.claims))`,
      `app.get('/', (c) => c.text(c.var.credential?.sub))`,
      `app.use(authenticate({ mode: 'off' }))`,
      `app.use(requireScope(['a']))`,
    ],
  },
]

describe.each(CASES)('otel-token-relay/$framework', ({ framework, installed, right, wrong }) => {
  it('has types that fit the framework, and needs no other framework', () => {
    using application = createStandalone(installed)
    expect(application.compile({ 'main.mts': CREDENTIAL + right })).toEqual([])
  })

  it('has types that refuse mistakes', () => {
    using application = createStandalone(installed)
    const text = `${CREDENTIAL}${right}\n${wrong.join('\n')}`
    const first = text.split('\n').length - wrong.length + 1
    const lines = application.compile({ 'main.mts': text }).map((error) => Number(/\((\d+),/.exec(error)?.[1]))
    expect([...new Set(lines)]).toEqual(wrong.map((_, i) => first + i))
  })

  it('can be loaded without any framework', () => {
    using application = createStandalone()
    const plugin = framework === 'fastify' ? ['fastifyTokenRelay'] : []
    const names = ['authenticate', ...plugin, 'requireRole', 'requireScope']
    const print = 'console.log(JSON.stringify(Object.keys(entry).sort()))'
    application.write({
      'main.cjs': `const entry = require('otel-token-relay/${framework}')\n${print}`,
      'main.mjs': `import * as entry from 'otel-token-relay/${framework}'\n${print}`,
    })
    for (const file of ['main.cjs', 'main.mjs']) expect(application.run(file)).toBe(`${JSON.stringify(names)}\n`)
  })
})

it('the main entry has no type errors without any framework', () => {
  using application = createStandalone()
  const text = `import { createTokenRelay } from 'otel-token-relay'\nexport const create = createTokenRelay`
  expect(application.compile({ 'main.mts': text })).toEqual([])
})
