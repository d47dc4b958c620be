/** One application per framework, all with the same routes, protected by our adapters and by nothing else. */

import type { EventEmitter } from 'node:events'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { getRequestListener } from '@hono/node-server'
import type { Response as ExpressResponse, Request } from 'express'
import express from 'express'
import type { FastifyRequest } from 'fastify'
import Fastify from 'fastify'
import type { Context } from 'hono'
import { Hono } from 'hono'
import { stream } from 'hono/streaming'
import type { Context as KoaContext } from 'koa'
import Koa from 'koa'
import type { VerifiedCredential } from '../../src/index.ts'
import { getActiveCredential } from '../../src/index.ts'
import * as forExpress from '../../src/ingress/adapters/express.ts'
import * as forFastify from '../../src/ingress/adapters/fastify.ts'
import * as forHono from '../../src/ingress/adapters/hono.ts'
import * as forKoa from '../../src/ingress/adapters/koa.ts'
import { close, listen } from './issuer.ts'

/** What was handled, since it was last asked for. */
export interface Application {
  readonly port: number
  handled(): readonly string[]
  [Symbol.asyncDispose](): Promise<void>
}

export type Start = () => Promise<Application>
type Credential = VerifiedCredential | undefined

const ANY_WRITE = { anyOf: ['profiles:write', 'profiles:admin'] }
const ANY_ADMIN = { anyOf: ['admin', 'realm admin'] }

const active = (): string => getActiveCredential()?.subject ?? 'nobody'

/** Who is calling: as the framework says, at once, after promises, and after a timer. */
async function whoami(credential: Credential): Promise<object> {
  const seen = [credential?.subject ?? 'nobody', active()]
  await Promise.resolve()
  seen.push(active())
  await pause(1)
  seen.push(active())
  return { callers: [...new Set(seen)] }
}

async function bodyOf(emitter: EventEmitter): Promise<object> {
  const callers = new Set<string>()
  let length = 0
  await new Promise((resolve) => {
    emitter.on('data', (chunk: Buffer) => {
      length += chunk.length
      callers.add(active())
    })
    emitter.on('end', resolve)
  })
  callers.add(active())
  return { length, callers: [...callers] }
}

async function* chunks(): AsyncGenerator<string> {
  for (let i = 0; i < 5; i += 1) {
    await pause(1)
    yield `${active()} `
  }
}

async function call(target: string): Promise<object> {
  const url = decodeURIComponent(target.slice(target.indexOf('?') + 1))
  const response = await fetch(url)
  await response.text()
  return { status: response.status, caller: active() }
}

function boom(): never {
  throw new TypeError('of the application')
}

async function serve(listener: Parameters<typeof createServer>[1], handled: string[]): Promise<Application> {
  return applicationOf(createServer(listener), handled)
}

async function applicationOf(server: Server, handled: string[]): Promise<Application> {
  const port = await listen(server)
  return { port, handled: () => handled.splice(0), [Symbol.asyncDispose]: () => close(server) }
}

async function startExpress(): Promise<Application> {
  const { authenticate, requireRole, requireScope } = forExpress
  const handled: string[] = []
  const handle = (answer: (request: Request) => Promise<object> | object) => {
    return async (request: Request, response: ExpressResponse): Promise<void> => {
      handled.push(request.path)
      response.json(await answer(request))
    }
  }
  const me = handle((request) => whoami(request.credential))
  const app = express()
  app.get('/whoami', authenticate(), me)
  app.get('/optional', authenticate({ mode: 'optional' }), me)
  app.get('/scoped', requireScope('profiles:read'), me)
  app.get('/admin', requireScope('admin', 'profiles:read'), me)
  app.get('/any', requireScope('profiles:read', ANY_WRITE), me)
  app.get('/role', requireRole('auditor', ANY_ADMIN), me)
  app.use('/both', authenticate())
  app.get('/both', requireScope('admin'), me)
  app.post('/body', authenticate(), handle(bodyOf))
  app.get('/stream', authenticate(), (_, response) => void Readable.from(chunks()).pipe(response))
  app.get(
    '/call',
    authenticate(),
    handle(({ url }) => call(url)),
  )
  app.get('/boom', authenticate(), boom)
  const onError: express.ErrorRequestHandler = (error, _, response, _next) => {
    response.status(500).json({ error: String(error) })
  }
  app.use(onError)
  return serve(app, handled)
}

async function startFastify(): Promise<Application> {
  const { fastifyTokenRelay, requireRole, requireScope } = forFastify
  const handled: string[] = []
  const handle = (answer: (request: FastifyRequest) => Promise<object> | object) => {
    return async (request: FastifyRequest): Promise<object> => {
      handled.push(request.url.replace(/\?.*/, ''))
      return answer(request)
    }
  }
  const me = handle((request) => whoami(request.credential))
  const app = Fastify()
  app.addContentTypeParser('*', (_request, payload, done) => {
    bodyOf(payload).then((body) => done(null, body), done)
  })
  app.get('/scoped', { onRequest: requireScope('profiles:read') }, me)
  app.get('/admin', { onRequest: requireScope('admin', 'profiles:read') }, me)
  app.get('/any', { onRequest: requireScope('profiles:read', ANY_WRITE) }, me)
  app.get('/role', { onRequest: requireRole('auditor', ANY_ADMIN) }, me)
  app.register(async (scope) => {
    await scope.register(fastifyTokenRelay, { mode: 'optional' })
    scope.get('/optional', me)
  })
  app.register(async (scope) => {
    scope.register(fastifyTokenRelay)
    scope.get('/whoami', me)
    scope.get('/both', { onRequest: requireScope('admin') }, me)
    scope.post(
      '/body',
      handle(({ body }) => body as object),
    )
    scope.get('/stream', () => Readable.from(chunks()))
    scope.get(
      '/call',
      handle(({ url }) => call(url)),
    )
    scope.get('/boom', boom)
  })
  app.setErrorHandler((error, _, reply) => reply.code(500).send({ error: String(error) }))
  await app.ready()
  return applicationOf(app.server, handled)
}

async function startKoa(): Promise<Application> {
  const { authenticate, requireRole, requireScope } = forKoa
  const handled: string[] = []
  const routes = new Map<string, readonly Koa.Middleware[]>()
  const handle = (answer: (ctx: KoaContext) => Promise<object> | object) => {
    return async (ctx: KoaContext): Promise<void> => {
      handled.push(ctx.path)
      ctx.body = await answer(ctx)
    }
  }
  const me = handle((ctx) => whoami(ctx.state.credential))
  routes.set('/whoami', [authenticate(), me])
  routes.set('/optional', [authenticate({ mode: 'optional' }), me])
  routes.set('/scoped', [requireScope('profiles:read'), me])
  routes.set('/admin', [requireScope('admin', 'profiles:read'), me])
  routes.set('/any', [requireScope('profiles:read', ANY_WRITE), me])
  routes.set('/role', [requireRole('auditor', ANY_ADMIN), me])
  routes.set('/both', [authenticate(), requireScope('admin'), me])
  routes.set('/body', [authenticate(), handle(({ req }) => bodyOf(req))])
  routes.set('/stream', [
    authenticate(),
    (ctx) => {
      ctx.body = Readable.from(chunks())
    },
  ])
  routes.set('/call', [authenticate(), handle(({ url }) => call(url))])
  routes.set('/boom', [authenticate(), boom])
  const app = new Koa()
  app.use(async (ctx, next) => {
    await next().catch((error: unknown) => {
      ctx.status = 500
      ctx.body = { error: String(error) }
    })
  })
  app.use((ctx, next) => {
    const run = (i: number): Promise<unknown> =>
      Promise.resolve(routes.get(ctx.path)?.[i]?.(ctx as Koa.ParameterizedContext, () => run(i + 1)) ?? next())
    return run(0)
  })
  return serve(app.callback(), handled)
}

/** The application alone, for requests without a server. */
export function createHono(handled: string[] = []): Hono {
  const { authenticate, requireRole, requireScope } = forHono
  const handle = (answer: (c: Context) => Promise<object> | object) => {
    return async (c: Context): Promise<Response> => {
      handled.push(c.req.path)
      return c.json(await answer(c))
    }
  }
  const me = handle((c) => whoami(c.var.credential))
  const app = new Hono()
  app.get('/whoami', authenticate(), me)
  app.get('/optional', authenticate({ mode: 'optional' }), me)
  app.get('/scoped', requireScope('profiles:read'), me)
  app.get('/admin', requireScope('admin', 'profiles:read'), me)
  app.get('/any', requireScope('profiles:read', ANY_WRITE), me)
  app.get('/role', requireRole('auditor', ANY_ADMIN), me)
  app.use('/both', authenticate())
  app.get('/both', requireScope('admin'), me)
  app.post(
    '/body',
    authenticate(),
    handle(({ req }) => bodyOf(Readable.fromWeb(req.raw.body as never))),
  )
  app.get('/stream', authenticate(), (c) =>
    stream(c, async (out) => {
      for await (const chunk of chunks()) await out.write(chunk)
    }),
  )
  app.get(
    '/call',
    authenticate(),
    handle(({ req }) => call(req.url)),
  )
  app.get('/boom', authenticate(), boom)
  app.onError((error, c) => c.json({ error: String(error) }, 500))
  return app
}

async function startHono(): Promise<Application> {
  const handled: string[] = []
  return serve(getRequestListener(createHono(handled).fetch), handled)
}

export const FRAMEWORKS: readonly (readonly [string, Start])[] = [
  ['Express', startExpress],
  ['Fastify', startFastify],
  ['Koa', startKoa],
  ['Hono', startHono],
]
