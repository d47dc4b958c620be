/** What is particular to Koa: `ctx.body` is read when all middleware has returned. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import { Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import Koa from 'koa'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential } from '../../src/index.ts'
import { authenticate, requireScope } from '../../src/ingress/adapters/koa.ts'
import { close, listen } from '../support/issuer.ts'
import { statusOverHttp2 } from '../support/raw-http2.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const token = (claims = {}): string => signer.token(goodClaims(ISSUER, claims))
let relay: TokenRelay
beforeAll(() => {
  relay = createTokenRelay(optionsFor([signer.jwk]))
})
afterAll(() => relay.shutdown())

interface Answered {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

async function serve<T>(app: Koa, use: (get: (as?: string) => Promise<Answered>) => Promise<T>): Promise<T> {
  const server = createServer(app.callback())
  const port = await listen(server)
  try {
    return await use(async (as) => {
      const headers: Record<string, string> = as === undefined ? {} : { authorization: `Bearer ${as}` }
      const response = await fetch(`http://127.0.0.1:${port}/`, { headers })
      return { status: response.status, headers: response.headers, text: await response.text() }
    })
  } finally {
    await close(server)
  }
}

function answering(body: (ctx: Koa.Context) => unknown): Koa {
  const app = new Koa()
  app.silent = true
  app.use(authenticate())
  app.use((ctx) => {
    ctx.body = body(ctx)
  })
  return app
}

const caller = (): string => getActiveCredential()?.subject ?? 'nobody'
async function* callers(): AsyncGenerator<string> {
  yield caller()
  await new Promise((resolve) => setImmediate(resolve))
  yield ` ${caller()}`
}

it.each<[string, () => unknown]>([
  ['a readable of Node', () => Readable.from(callers())],
  ['a readable of the web', () => ReadableStream.from(callers())],
  [
    'a readable of the web that is pulled',
    () => {
      let pulls = 0
      return new ReadableStream(
        {
          pull(controller) {
            controller.enqueue(Buffer.from(pulls === 0 ? caller() : ` ${caller()}`))
            pulls += 1
            if (pulls === 2) controller.close()
          },
        },
        { highWaterMark: 0 },
      )
    },
  ],
])('%s is produced as the caller', async (_, body) => {
  await serve(answering(body), async (get) => {
    const answers = await Promise.all(['bob', 'carol', 'dave'].map((sub) => get(token({ sub }))))
    expect(answers.map(({ text }) => text)).toEqual(['bob bob', 'carol carol', 'dave dave'])
  })
})

it('one stream for two callers has none [G1]', async () => {
  const seen: string[] = []
  let pending = 2
  const shared = new Readable({
    read() {
      seen.push(caller())
      this.push(null)
    },
  })
  const app = answering(() => {
    pending -= 1
    return shared
  })
  const held: (() => void)[] = []
  app.middleware.unshift(async (_ctx, next) => {
    await next()
    // Both have set their body before one of them is read.
    if (pending > 0) await new Promise<void>((resolve) => held.push(resolve))
    for (const release of held) release()
  })
  await serve(app, async (get) => {
    await Promise.all([get(token({ sub: 'bob' })), get(token({ sub: 'carol' }))])
    expect(seen).toEqual(['nobody'])
  })
})

it('an error of a stream is that of the application', async () => {
  const failure = new Error('of the application')
  const body = () =>
    new ReadableStream({
      pull() {
        throw failure
      },
    })
  const app = answering(body)
  const seen = new Promise((resolve) => app.on('error', resolve))
  await serve(app, async (get) => {
    await get(token()).catch(() => undefined)
    expect(await seen).toBe(failure)
  })
})

it('texts, buffers, objects, null and nothing are sent as Koa sends them', async () => {
  for (const body of ['text', Buffer.from('bytes'), { a: 1 }, null, undefined]) {
    const plain = new Koa()
    plain.use((ctx) => {
      ctx.body = body
    })
    const look = async (app: Koa) => {
      const { status, text, headers } = await serve(app, (get) => get(token()))
      return [status, text, headers.get('content-type')]
    }
    expect(await look(answering(() => body))).toEqual(await look(plain))
  }
  const unanswered = new Koa()
  unanswered.use(authenticate())
  expect(await serve(unanswered, (get) => get(token()))).toMatchObject({ status: 404, text: 'Not Found' })
})

it('HTTP/2: two Authorization lines are no token [E1]', async () => {
  const server = createHttp2Server(answering(caller).callback())
  const port = await listen(server as unknown as Server)
  const line = () => ['authorization', `Bearer ${token()}`] as const
  try {
    expect(await statusOverHttp2(port, [line()])).toBe(200)
    expect(await statusOverHttp2(port, [line(), line()])).toBe(400)
    expect(await statusOverHttp2(port, [line(), ['authorization', 'Basic eDp5']])).toBe(400)
  } finally {
    server.close()
  }
})

it('middleware before it may look at the answer, and add to it', async () => {
  const app = new Koa()
  app.use(async (ctx, next) => {
    await next()
    ctx.set('x-status', String(ctx.status))
  })
  app.use(requireScope('admin'))
  await serve(app, async (get) => {
    const { status, headers } = await get(token({ scope: 'profiles:read' }))
    expect([status, headers.get('x-status')]).toEqual([403, '403'])
    expect(headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope", scope="admin"')
  })
})

it('errors of the application take the way of Koa', async () => {
  const failure = new Error('of the application')
  const app = answering(() => {
    throw failure
  })
  const seen = new Promise((resolve) => app.on('error', resolve))
  await serve(app, async (get) => {
    expect((await get(token())).status).toBe(500)
    expect(await seen).toBe(failure)
  })
})

it('without an active relay no request passes', async () => {
  await relay.shutdown()
  try {
    await serve(answering(caller), async (get) => {
      expect(await get(token())).toMatchObject({ status: 500, text: 'Internal Server Error' })
    })
  } finally {
    relay = createTokenRelay(optionsFor([signer.jwk]))
  }
})
