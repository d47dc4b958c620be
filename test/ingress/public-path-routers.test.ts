/** Public paths in front of routers that people use: whatever spelling passes reaches nothing but the public handler. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import http2 from 'node:http2'
import { getRequestListener, serve } from '@hono/node-server'
import { All, Controller, Module, Req } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { close, listen } from '../support/issuer.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'
import { statusOverHttp2 } from '../support/raw-http2.ts'
import { optionsFor } from '../support/relay.ts'
import { signer } from '../support/service.ts'

/** What has answered, by the name of the route. */
type Start = () => Promise<{ readonly port: number; stop(): Promise<void> }>

const started = async (server: Server) => ({ port: await listen(server), stop: () => close(server) })

const ROUTERS: Readonly<Record<string, Start>> = {
  // As lenient as it can be: the defaults, in which case and a slash at the end do not matter.
  express: () => {
    const app = express()
    app.get('/health', (_, response) => void response.end('route=health'))
    app.get('/assets/*rest', (_, response) => void response.end('route=assets'))
    // Where a slash at the end does not matter, `/assets/*` opens this one too: the page of the option says so.
    app.get('/assets', (_, response) => void response.end('route=assets root'))
    app.use((request, response) => void response.end(`route=secret ${request.path}`))
    return started(createServer(app))
  },
  fastify: async () => {
    const lenient: object = {
      ignoreTrailingSlash: true,
      ignoreDuplicateSlashes: true,
      caseSensitive: false,
      useSemicolonDelimiter: true,
    }
    const app = fastify({ routerOptions: lenient })
    app.get('/health', async () => 'route=health')
    app.get('/assets/*', async () => 'route=assets')
    app.get('/assets', async () => 'route=assets root')
    app.all('/*', async () => 'route=secret')
    app.setNotFoundHandler(async () => 'route=secret')
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as { port: number }
    return { port, stop: () => app.close() }
  },
  koa: () => {
    const app = new Koa()
    app.use((ctx) => {
      ctx.body = routeOf(ctx.path)
    })
    return started(createServer(app.callback()))
  },
  hono: async () => {
    const app = new Hono()
    app.get('/health', (c) => c.text('route=health'))
    app.get('/assets/*', (c) => c.text('route=assets'))
    app.all('*', (c) => c.text('route=secret'))
    const server = await new Promise<Server>((resolve) => {
      const made = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, () => resolve(made as Server))
    })
    const { port } = server.address() as { port: number }
    return { port, stop: () => close(server) }
  },
  nest: async () => {
    class Controller_ {
      all({ path }: { path: string }): string {
        return routeOf(path)
      }
    }
    All('*path')(Controller_.prototype, 'all', Object.getOwnPropertyDescriptor(Controller_.prototype, 'all') as never)
    Req()(Controller_.prototype, 'all', 0)
    Controller()(Controller_)
    class Root {}
    Module({ controllers: [Controller_] })(Root)
    const app = await NestFactory.create(Root, { logger: false })
    await app.listen(0, '127.0.0.1')
    const { port } = app.getHttpServer().address() as { port: number }
    return { port, stop: () => app.close() }
  },
  // Routers that clean first, each in its own way.
  'URL of Host and target': () => byHand((url, host) => new URL(`http://${host}${url}`).pathname),
  'WHATWG URL': () => byHand((url) => new URL(url, 'http://service').pathname),
  'WHATWG URL, decoded': () => byHand((url) => decodeURIComponent(new URL(url, 'http://service').pathname)),
  'decoded, then resolved': () =>
    byHand((url) => new URL(decodeURIComponent(url.split('?')[0] ?? ''), 'http://service').pathname),
  'parameters cut off': () => byHand((url) => new URL(url.replace(/;[^/?]*/g, ''), 'http://service').pathname),
}

function byHand(pathOf: (url: string, host: string) => string): ReturnType<Start> {
  return started(
    createServer(({ url = '', headers: { host = '' } }, response) => {
      try {
        response.end(routeOf(pathOf(url, host)))
      } catch {
        response.writeHead(400).end('route=none')
      }
    }),
  )
}

function routeOf(path: string): string {
  if (path === '/health') return 'route=health'
  return path.startsWith('/assets/') ? 'route=assets' : `route=secret ${path}`
}

const OPEN: Readonly<Record<string, string>> = {
  '/health': 'health',
  '/health?x=/../secret': 'health',
  '/health?x;y=%2e%2e/secret': 'health',
  '/assets/app.js': 'assets',
  '/assets/a/b.css?v=1': 'assets',
  '/assets/..a': 'assets',
  '/assets/.hidden': 'assets',
  '/assets/?v=1': 'assets',
}

const UP = [
  '..',
  '.',
  '%2e%2e',
  '%2E.',
  '.%2e',
  '..;',
  '..;x=y',
  '%2e%2e;',
  '..%00',
  '..%2f',
  '..%5c',
  '..\\',
  '%252e%252e',
  '...',
  '..#',
  '. .',
  '%c0%ae%c0%ae',
  '．．',
  ';',
  '?',
  '#',
]
const BEFORE = [
  '/assets/',
  '/assets/x/',
  '/health/',
  '/health',
  '//assets/',
  '/assets//',
  '/ASSETS/',
  '/%61ssets/',
  '/./assets/',
  '\\assets\\',
  '/assets;/',
  'assets/',
]
const AFTER = [
  '/secret',
  '',
  '/../secret',
  '\\secret',
  '%2fsecret',
  ';/secret',
  '/%2e%2e/secret',
  '//secret',
  '/.',
  '?/secret',
  '#/secret',
]
const TARGETS = [
  ...BEFORE.flatMap((before) => UP.flatMap((up) => AFTER.map((after) => before + up + after))),
  ...[
    '*',
    '/',
    '//',
    '/*',
    'http://service/health',
    'http://service/assets/../secret',
    'HTTP://service/assets/x',
    '//service/health',
    'service:80',
    '/health:80',
    '/health@secret',
    '/secret?/health',
    '/secret#/health',
    '/secret;/health',
    '/assets',
    '/Assets/x',
    '/health/',
    '/health.',
    '/health%20',
    '/health%00',
    '/health%0a',
    '/assets/%',
    '/assets/\u00e4',
    '/assets/x\u0000',
    '/assets/\t../secret',
    '/assets/x?../../secret',
  ],
]

let relay: TokenRelay
beforeAll(() => {
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), ingress: { publicPaths: ['/health', '/assets/*'] } })
  relay.instrumentation.enable()
})
afterAll(() => relay.shutdown())

/** The answer to each target, sent one after the other on as few connections as the server allows. */
async function answers(port: number, targets: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const known = new Map<string, string>()
  const workers = Array.from({ length: 8 }, async (_, worker) => {
    for (let i = worker; i < targets.length; i += 8) {
      const target = targets[i] ?? ''
      known.set(target, await exchange(port, requestOf(target), () => false).catch(() => 'reset'))
    }
  })
  await Promise.all(workers)
  return known
}

const PLAIN_HOSTS = ['service', 'service:8080', 'a-b.example_c', '10.0.0.1:1', '[::1]', '[::1]:8080', 'xn--a-9ga']
/** What is put before the target by routers that match the path of `http://` + Host + target. */
const HOSTS = [
  ...PLAIN_HOSTS,
  // As long as what becomes of them: one letter outside of ASCII makes seven more, which a path may be.
  ...Array.from({ length: 96 }, (_, i) => `${String.fromCharCode(0xa0 + i)}a/secret?`),
  ...['/secret?', '/secret#', 'a/secret?', 'a/secret#', 'a?', 'a#', 'a\\secret?', 'a/secret/..', 'a/../secret?x='],
  ...[
    'user@a',
    'a:b@c/secret?',
    '@/secret?',
    'a%2fsecret%3f',
    'a%3f',
    '%61',
    'a b',
    'a\tb',
    'a,b',
    "a'b",
    'a"b',
    'a;b',
  ],
  ...['[::1', '::1', '[::1]/secret?', '[a/secret?]', '[::1]secret', '[::1%25lo]', 'a:', 'a:b', 'a:80:80', ':80', ''],
  ...[
    'a:999999',
    'http://a/secret?',
    '//secret',
    '*',
    '.../secret?',
    'a\u00ad/secret?',
    '\u00df/secret?',
    'a\u00b2/secret?',
  ],
]

/** The answer to `/health` with each `Host`. */
async function hostAnswers(port: number, hosts: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const known = new Map<string, string>()
  const workers = Array.from({ length: 8 }, async (_, worker) => {
    for (let i = worker; i < hosts.length; i += 8) {
      const host = hosts[i] ?? ''
      const message = `GET /health HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
      known.set(host, await exchange(port, message, () => false).catch(() => 'reset'))
    }
  })
  await Promise.all(workers)
  return known
}

describe.each(Object.keys(ROUTERS))('%s', (name) => {
  let server: Awaited<ReturnType<Start>>
  beforeAll(async () => {
    server = await (ROUTERS[name] as Start)()
  })
  afterAll(() => server.stop())

  it('the public paths are open', async () => {
    for (const [target, answer] of await answers(server.port, Object.keys(OPEN))) {
      expect(answer.slice(answer.indexOf('route='))).toMatch(new RegExp(`^route=${OPEN[target]}`))
    }
  })

  it(`no spelling of ${TARGETS.length} opens anything else`, async () => {
    const opened: string[] = []
    let refused = 0
    for (const [target, answer] of await answers(server.port, TARGETS)) {
      const handled = /route=(\w+)/.exec(answer)?.[1]
      if (handled === undefined) refused += statuses(answer).some((status) => status === 401 || status === 400) ? 1 : 0
      else if (handled !== 'health' && handled !== 'assets') opened.push(target)
    }
    expect(opened).toEqual([])
    // What was not handled was refused, by the gate or by the parser of Node.js.
    expect(refused).toBeGreaterThan(2_000)
  })

  it(`no Host of ${HOSTS.length} opens anything else`, async () => {
    const opened: string[] = []
    const refused: string[] = []
    for (const [host, answer] of await hostAnswers(server.port, HOSTS)) {
      const handled = /route=(\w+)/.exec(answer)?.[1]
      if (handled === undefined) refused.push(host)
      else if (handled !== 'health') opened.push(host)
    }
    expect(opened).toEqual([])
    // Nothing but one plain authority is public, also if the router does not look at it.
    expect(refused.length).toBeGreaterThan(HOSTS.length - PLAIN_HOSTS.length - 1)
    for (const host of PLAIN_HOSTS) expect(refused, host).not.toContain(host)
  })

  it('a tunnel whose target looks like a public path stays shut', async () => {
    for (const target of ['/health', 'health:80', '/assets/x', '*']) {
      const answer = await exchange(server.port, requestOf(target, [], { method: 'CONNECT' }), () => false)
      expect(answer).not.toContain('route=')
      expect(statuses(answer)).not.toContain(200)
    }
  })
})

it('two Host lines, none, and a target that brings its own host are not public [E14]', async () => {
  const server = await (ROUTERS['express'] as Start)()
  try {
    for (const lines of ['Host: a\r\nHost: a\r\n', 'Host: a\r\nHost: b\r\n', 'HOST: a\r\nhost: a/secret?\r\n']) {
      const answer = await exchange(
        server.port,
        `GET /health HTTP/1.1\r\n${lines}Connection: close\r\n\r\n`,
        () => false,
      )
      expect(statuses(answer)[0]).toBeGreaterThanOrEqual(400)
    }
    expect(await exchange(server.port, 'GET /health HTTP/1.0\r\n\r\n', () => false)).toMatch(/^HTTP\/1.1 401/)
    expect(await exchange(server.port, requestOf('http://service/health'), () => false)).toMatch(/^HTTP\/1.1 401/)
  } finally {
    await server.stop()
  }
})

describe('HTTP/2', () => {
  const handled: string[] = []
  const server = http2.createServer(
    getRequestListener(
      new Hono()
        .get('/health', (c) => c.text('health'))
        .all('*', (c) => {
          handled.push(c.req.path)
          return c.text('secret')
        }).fetch,
    ),
  )
  let port: number
  beforeAll(async () => {
    port = await listen(server as never)
  })
  afterAll(() => new Promise((resolve) => void server.close(resolve)))

  const get = (authority: string, more: readonly (readonly [string, string])[] = []): Promise<number | undefined> =>
    statusOverHttp2(port, more, { path: '/health', authority }).catch(() => undefined)

  it('one plain authority is public, also as Host beside it', async () => {
    for (const host of PLAIN_HOSTS) expect(await get(host), host).toBe(200)
    expect(await get('service', [['host', 'service']])).toBe(200)
  })

  it('no other one opens anything', async () => {
    for (const host of HOSTS.slice(PLAIN_HOSTS.length)) expect(await get(host), host).not.toBe(200)
    // nghttp2 drops this one: nothing but the authority is left.
    await get('service', [['host', 'a/secret?']])
    expect(await get('service', [['host', 'another']])).not.toBe(200)
    expect(handled).toEqual([])
  })
})

it('the corpus would find a gate that cleans paths before it compares', async () => {
  const cleaned = TARGETS.filter((target) => {
    const path = URL.canParse(target, 'http://service') ? new URL(target, 'http://service').pathname : ''
    return path.startsWith('/assets/') && routeOf(target.split('?')[0] ?? '').startsWith('route=secret')
  })
  expect(cleaned.length).toBeGreaterThan(20)
})
