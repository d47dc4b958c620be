/** Servers whose `emit` is not the one that the gate has put on the prototypes: their own, a subclass's, a patch. */

import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import http, { createServer, Server } from 'node:http'
import http2 from 'node:http2'
import type { Duplex } from 'node:stream'
import { context, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { afterEach, describe, expect, it } from 'vitest'
import { getActiveCredential } from '../../src/index.ts'
import { close, listen } from '../support/issuer.ts'
import { exchange, requestOf } from '../support/raw.ts'
import type { Service } from '../support/service.ts'
import { bearer, startService, tokenOf } from '../support/service.ts'

type Emit = (this: EventEmitter, event: string, ...args: unknown[]) => boolean

const baseEmit = EventEmitter.prototype.emit as Emit
const caller = (): string => getActiveCredential()?.subject ?? 'no caller'

let service: Service | undefined
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  await service?.[Symbol.asyncDispose]()
  service = undefined
})

const handled: string[] = []
function answer(request: IncomingMessage, response: ServerResponse): void {
  handled.push(`${request.url} ${caller()}`)
  response.end(caller())
}

class Overriding extends Server {
  override emit(event: string, ...args: unknown[]): boolean {
    return super.emit(event, ...args)
  }
}
class Bypassing extends Server {
  override emit(event: string, ...args: unknown[]): boolean {
    return baseEmit.call(this, event, ...args)
  }
}

/** What is done to a server, by what it is. */
const OWN: Readonly<Record<string, (server: Server) => void>> = {
  'its own function that calls the one before': (server) => {
    const previous = server.emit as Emit
    server.emit = function (event: string, ...args: unknown[]) {
      return previous.call(this, event, ...args)
    }
  },
  'its own function that calls EventEmitter’s': (server) => {
    server.emit = (event: string, ...args: unknown[]) => baseEmit.call(server, event, ...args)
  },
  'a Proxy, as Sentry makes it': (server) => {
    server.emit = new Proxy(server.emit, { apply: (target, self, args) => Reflect.apply(target, self, args) })
  },
  'a Proxy around EventEmitter’s': (server) => {
    server.emit = new Proxy(EventEmitter.prototype.emit, {})
  },
  'an accessor': (server) => {
    Object.defineProperty(server, 'emit', { get: () => baseEmit, configurable: true })
  },
  'one that emits later': (server) => {
    server.emit = (event: string, ...args: unknown[]) => {
      if (event !== 'request') return baseEmit.call(server, event, ...args)
      setImmediate(() => baseEmit.call(server, event, ...args))
      return true
    }
  },
  'one that goes its own way for some requests only': (server) => {
    const previous = server.emit as Emit
    server.emit = (event: string, ...args: unknown[]) => {
      const own = (args[0] as { url?: string } | undefined)?.url !== '/usual'
      return own ? baseEmit.call(server, event, ...args) : previous.call(server, event, ...args)
    }
  },
  'one that says to wrap the gate’s, and does not': (server) => {
    const previous = server.emit
    const emit: Emit = (event, ...args) => baseEmit.call(server, event, ...args)
    server.emit = Object.assign(emit, { __original: previous, __wrapped: true, __unwrap: () => undefined }) as never
  },
  'one that calls the handler itself': (server) => {
    const previous = server.emit as Emit
    server.emit = function (event: string, ...args: unknown[]) {
      if (event !== 'request') return previous.call(this, event, ...args)
      Reflect.apply(answer, this, args)
      return true
    }
  },
  'one that adds its listener for each request': (server) => {
    server.removeAllListeners('request')
    const previous = server.emit as Emit
    server.emit = function (event: string, ...args: unknown[]) {
      if (event === 'request') this.once('request', answer)
      return baseEmit.call(this, event, ...args) || previous.call(this, event, ...args)
    }
  },
  'one that calls its listeners by itself': (server) => {
    server.emit = (event: string, ...args: unknown[]) => {
      const listeners = server.listeners(event)
      for (const listener of listeners) Reflect.apply(listener, server, args)
      return listeners.length > 0
    }
  },
  'one that emits elsewhere, under another name': (server) => {
    const other = new EventEmitter().on('request of another', answer)
    const previous = server.emit as Emit
    server.emit = function (event: string, ...args: unknown[]) {
      const isRequest = event === 'request'
      return isRequest ? other.emit('request of another', ...args) : previous.call(this, event, ...args)
    }
  },
  'that of a prototype put between': (server) => {
    Object.setPrototypeOf(server, Object.create(Server.prototype, { emit: { value: baseEmit } }))
  },
}

async function verdicts(port: number): Promise<void> {
  handled.length = 0
  for (const target of ['/usual', '/other']) {
    expect(await exchange(port, requestOf(target), () => false)).toMatch(/^HTTP\/1.1 401/)
    expect(await exchange(port, requestOf(target, [bearer('garbage')]), () => false)).toMatch(/^HTTP\/1.1 401/)
  }
  expect(handled).toEqual([])
  expect(await exchange(port, requestOf('/', [bearer(tokenOf())]), () => false)).toMatch(/200 OK[\s\S]*alice$/)
  expect(handled).toEqual(['/ alice'])
}

async function start(server: Server): Promise<number> {
  cleanups.push(() => close(server))
  return listen(server)
}

describe.each(Object.entries(OWN))('%s', (_, change) => {
  it('from before there was a relay: no handler runs for a bad token', async () => {
    const server = createServer(answer)
    change(server)
    const port = await start(server)
    service = await startService()
    await verdicts(port)
  })

  it('from after that: the same', async () => {
    service = await startService()
    const server = createServer(answer)
    change(server)
    await verdicts(await start(server))
  })

  it('from between two requests of one connection: the same', async () => {
    service = await startService()
    const server = createServer(answer)
    const port = await start(server)
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    cleanups.push(() => agent.destroy())
    const status = (headers: object): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        http
          .get({ port, agent, headers: { ...headers } }, (response) => {
            response.resume().on('end', () => resolve(response.statusCode))
          })
          .on('error', reject)
      })
    expect(await status({ authorization: `Bearer ${tokenOf()}` })).toBe(200)
    change(server)
    expect(await status({})).toBe(401)
    await verdicts(port)
  })

  it.each([
    ['upgrade', 'GET', ['Connection: Upgrade', 'Upgrade: test']],
    ['connect', 'CONNECT', []],
  ] as const)('%s: the same, as the first request of all', async (event, method, fields) => {
    const server = createServer()
    server.on(event, (_request: IncomingMessage, socket: Duplex) => {
      handled.push(event)
      socket.end(`HTTP/1.1 200 OK\r\n\r\n${caller()}`)
    })
    change(server)
    const port = await start(server)
    service = await startService()
    handled.length = 0
    const send = (more: readonly string[]): Promise<string> =>
      exchange(port, requestOf('/x', [...fields, ...more], { method }), () => false)
    expect(await send([])).toMatch(/^HTTP\/1.1 401/)
    expect(await send([bearer('garbage')])).toMatch(/^HTTP\/1.1 401/)
    expect(handled).toEqual([])
    expect(await send([bearer(tokenOf())])).toMatch(/200 OK[\s\S]*alice$/)
  })
})

it.each([
  ['calls super', Overriding],
  ['calls EventEmitter’s', Bypassing],
])('a subclass whose emit %s is gated [E12]', async (_, Class) => {
  const server = new Class()
  server.on('request', answer)
  const port = await start(server)
  service = await startService()
  await verdicts(port)
})

it.each([
  [
    'patched',
    (emit: Emit): Emit =>
      function (...args) {
        return emit.call(this, ...args)
      },
  ],
  [
    'patched with one that knows nothing of the gate',
    (): Emit =>
      function (...args) {
        return baseEmit.call(this, ...args)
      },
  ],
])('a prototype whose emit is %s later is gated [E12]', async (_, patch) => {
  service = await startService()
  const previous = Server.prototype.emit as Emit
  Server.prototype.emit = patch(previous) as never
  cleanups.push(() => {
    Server.prototype.emit = previous as never
  })
  await verdicts(await start(createServer(answer)))
})

const respond = (stream: http2.ServerHttp2Stream): void => {
  handled.push('stream')
  stream.respond({ ':status': 200 })
  stream.end(caller())
}

it.each<readonly [string, (emit: Emit) => Emit]>([
  [
    'that knows no prototype',
    () =>
      function (...args) {
        return baseEmit.call(this, ...args)
      },
  ],
  [
    'that calls the handler',
    (emit) =>
      function (event, ...args) {
        if (event !== 'stream') return emit.call(this, event, ...args)
        respond(args[0] as http2.ServerHttp2Stream)
        return true
      },
  ],
])('HTTP/2 servers and sessions with an emit of their own %s are gated [E12]', async (_, replaced) => {
  const server = http2.createServer()
  const bypass = (emitter: EventEmitter): void => {
    const emit = replaced(emitter.emit as Emit)
    emitter.emit = (event: string | symbol, ...args: unknown[]) => emit.call(emitter, event as string, ...args)
  }
  bypass(server)
  server.on('stream', respond)
  server.on('session', (session) => bypass(session))
  cleanups.push(() => new Promise((resolve) => server.close(resolve)))
  const port = await listen(server as never)
  service = await startService()
  handled.length = 0
  const session = http2.connect(`http://127.0.0.1:${port}`)
  cleanups.push(() => session.destroy())
  const status = (headers: http2.OutgoingHttpHeaders): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':path': '/', ...headers })
      stream
        .on('response', (fields) => resolve(fields[':status']))
        .on('error', reject)
        .resume()
    })
  expect(await status({})).toBe(401)
  expect(await status({ authorization: 'Bearer garbage' })).toBe(401)
  expect(handled).toEqual([])
  expect(await status({ authorization: `Bearer ${tokenOf()}` })).toBe(200)
})

it('a tracer behind the server’s own emit keeps the caller, and its span names it', async () => {
  const exporter = new InMemorySpanExporter()
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
  const previous = Server.prototype.emit as Emit
  Server.prototype.emit = function (this: Server, event: string, ...args: unknown[]) {
    if (event !== 'request') return previous.call(this, event, ...args)
    const span = provider.getTracer('test').startSpan('request')
    // As instrumentations do: nothing of what was active before.
    const result = context.with(trace.setSpan(ROOT_CONTEXT, span), () => previous.call(this, event, ...args))
    span.end()
    return result
  } as never
  cleanups.push(() => {
    Server.prototype.emit = previous as never
  })
  const server = createServer(answer)
  const prototypes = server.emit
  server.emit = new Proxy(prototypes, {})
  service = await startService()
  await verdicts(await start(server))
  const events = exporter.getFinishedSpans().map((span) => span.events.map(({ name }) => name))
  expect(events.filter((names) => names.length > 0)).toEqual([['auth.token.verified']])
})

it('an emit that is put in front again and again is gated each time, and called once [E12]', async () => {
  service = await startService()
  const server = createServer(answer)
  const port = await start(server)
  let calls = 0
  for (let i = 0; i < 3; i += 1) {
    const before = server.emit as Emit
    server.emit = function (event: string, ...args: unknown[]) {
      if (event === 'request') calls += 1
      return before.call(this, event, ...args)
    }
    expect(await exchange(port, requestOf('/'), () => false)).toMatch(/^HTTP\/1.1 401/)
  }
  expect(calls).toBe(0)
  expect(await exchange(port, requestOf('/', [bearer(tokenOf())]), () => false)).toMatch(/200 OK[\s\S]*alice$/)
  expect(calls).toBe(3)
})

describe('listeners of a server with its own emit', () => {
  async function startGuarded(): Promise<{ server: Server; port: number }> {
    const server = createServer()
    server.emit = (event: string, ...args: unknown[]) => baseEmit.call(server, event, ...args)
    const port = await start(server)
    service = await startService()
    return { server, port }
  }
  const get = (port: number, fields = [bearer(tokenOf())]) => exchange(port, requestOf('/', fields), () => false)

  it('are still what was added, and can be removed', async () => {
    const { server, port } = await startGuarded()
    const first = (): void => void handled.push('first')
    server.on('request', first).on('request', answer)
    handled.length = 0
    expect(await get(port)).toMatch(/200 OK[\s\S]*alice$/)
    expect(handled).toEqual(['first', '/ alice'])
    expect(server.listeners('request')).toEqual([first, answer])
    server.off('request', first)
    expect(server.listeners('request')).toEqual([answer])
    expect(await get(port)).toMatch(/200 OK[\s\S]*alice$/)
  })

  it('that are added for one request hear of one', async () => {
    const { server, port } = await startGuarded()
    const once = (): void => void handled.push('once')
    server.on('request', answer).once('request', once)
    handled.length = 0
    expect(await get(port, [])).toMatch(/^HTTP\/1.1 401/)
    expect(handled).toEqual([])
    await get(port)
    await get(port)
    expect(handled).toEqual(['/ alice', 'once', '/ alice'])
    expect(server.listeners('request')).toEqual([answer])
  })
})

it('a server whose emit cannot be replaced answers no request, and is handed no upgrade [E12]', async () => {
  const server = createServer(answer).on('upgrade', () => handled.push('upgrade'))
  Object.defineProperty(server, 'emit', { value: baseEmit })
  const port = await start(server)
  service = await startService()
  handled.length = 0
  for (const fields of [[], ['Connection: Upgrade', 'Upgrade: test']]) {
    expect(await exchange(port, requestOf('/', fields), () => false)).toBe('')
  }
  expect(handled).not.toContain('upgrade')
})
