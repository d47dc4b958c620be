/** A caller's token ends with the caller's request, whatever goes on after it; a rule can say otherwise, until expiry. */

import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { PassThrough } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { context } from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { getActiveCredential, setCredential } from '../../src/index.ts'
import { close, listen } from '../support/issuer.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'
import type { Service } from '../support/service.ts'
import { bearer, deferred, startService, tokenOf } from '../support/service.ts'
import { LIFE_SECONDS } from '../support/signer.ts'

const TOKEN = tokenOf()
const ALICE = bearer(TOKEN)
let service: Service
/** What the service does with a request of the test. */
let handle: (request: IncomingMessage, response: ServerResponse) => void

async function start(rule: object = {}): Promise<void> {
  service = await startService({ rule, handler: (request, response) => handle(request, response) })
}
beforeEach(() => start())
afterEach(() => service[Symbol.asyncDispose]())

/** What the sink got with one call: a token, or `undefined`. */
async function call(): Promise<string | undefined> {
  const path = `/sink/${crypto.randomUUID()}`
  const response = await fetch(service.sink.origin + path)
  await response.text()
  const received = service.sink.received.find(({ target }) => target === path)
  expect(received).toBeDefined()
  expect(response.status).toBe(200)
  return received?.authorization[0]?.replace('Bearer ', '')
}

/** Runs `work` in a handler, answers, and gives it a promise that is fulfilled once the response is closed. */
async function afterwards<T>(work: (closed: Promise<unknown>) => Promise<T>, fields = [ALICE]): Promise<T> {
  const done = deferred<Promise<T>>()
  handle = (_, response) => {
    const closed = once(response, 'close').then(() => setImmediate())
    done.resolve(work(closed))
    response.end()
  }
  expect(statuses(await service.send(fields))).toEqual([200])
  return done.promise
}

/** Ways in which an application goes on after it has answered. */
const WAYS: readonly (readonly [string, (closed: Promise<unknown>) => Promise<string | undefined>])[] = [
  ['a promise', (closed) => closed.then(call)],
  [
    'an async function',
    async (closed) => {
      await closed
      await setImmediate()
      return call()
    },
  ],
  ['a timer', (closed) => new Promise((resolve) => void closed.then(() => setTimeout(() => resolve(call()), 1)))],
  [
    'an interval',
    (closed) =>
      new Promise((resolve) => {
        let isClosed = false
        void closed.then(() => (isClosed = true))
        const interval = setInterval(() => {
          if (!isClosed) return
          clearInterval(interval)
          resolve(call())
        }, 1)
      }),
  ],
  [
    'a stream',
    async (closed) => {
      const stream = new PassThrough()
      void closed.then(() => stream.end('x'))
      for await (const _ of stream) return call()
      return 'nothing came'
    },
  ],
  ['a microtask', (closed) => new Promise((resolve) => void closed.then(() => queueMicrotask(() => resolve(call()))))],
]

describe('work that goes on after the answer', () => {
  it.each(WAYS)('%s: has a caller, and sends no token [G2]', async (_, way) => {
    let subject: string | undefined
    const sent = afterwards((closed) => {
      void closed.then(() => (subject = getActiveCredential()?.subject))
      return way(closed)
    })
    expect(await sent).toBeUndefined()
    expect(subject).toBe('alice')
  })

  it('is what explain says, which said otherwise before', async () => {
    const { origin } = service.sink
    const [before, after] = await afterwards(async (closed) => {
      const early = service.relay.explain(origin)
      await closed
      return [early, service.relay.explain(origin)] as const
    })
    expect(before).toMatchObject({ verdict: 'forward', rule: origin })
    expect(after).toMatchObject({ verdict: 'withhold', reason: 'detached', rule: origin })
  })

  it.each(WAYS)("%s: sends it where the rule says detached: 'allow' [G2]", async (_, way) => {
    await service[Symbol.asyncDispose]()
    await start({ detached: 'allow' })
    expect(await afterwards(way)).toBe(TOKEN)
  })

  it("never after its expiry, detached: 'allow' or not [B5]", async () => {
    await service[Symbol.asyncDispose]()
    await start({ detached: 'allow' })
    const now = Date.now()
    const sent = await afterwards(async (closed) => {
      await closed
      vi.spyOn(Date, 'now').mockReturnValue(now + (LIFE_SECONDS + 6) * 1000)
      return [await call(), service.relay.explain(service.sink.origin).reason]
    }).finally(() => vi.restoreAllMocks())
    expect(sent).toEqual([undefined, 'expired'])
  })

  it('a redirect or a request that is queued until then is decided then', async () => {
    const sent = await afterwards(async (closed) => {
      const via = `${service.sink.origin}/sink/redirect`
      const redirecting = createServer((_, response) => {
        void closed.then(() => response.writeHead(307, { location: via }).end())
      })
      const port = await listen(redirecting)
      const response = await fetch(`http://127.0.0.1:${port}/sink/first`)
      await response.text()
      await close(redirecting)
      return service.sink.received.find(({ target }) => target === '/sink/redirect')?.authorization
    })
    expect(sent).toEqual([])
  })

  it('a credential that is set by hand has no request to end with', async () => {
    const sent = await afterwards(async (closed) => {
      const credential = getActiveCredential()
      await closed
      return credential && context.with(setCredential(context.active(), credential), call)
    })
    expect(sent).toBe(TOKEN)
  })
})

describe('what is not over', () => {
  it('a long upload', async () => {
    const first = deferred<string | undefined>()
    handle = (request, response) => {
      request.once('data', () => void call().then(first.resolve))
      request.on('end', () => response.end())
    }
    const socket = connect(service.port, '127.0.0.1')
    socket.write(`POST / HTTP/1.1\r\nHost: a\r\n${ALICE}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nx`)
    expect(await first.promise).toBe(TOKEN)
    socket.write('y')
    for await (const chunk of socket) expect(String(chunk)).toMatch(/^HTTP\/1.1 200/)
  })

  it('a response that is still being written', async () => {
    const sent: (string | undefined)[] = []
    handle = async (_, response) => {
      for (const part of ['a', 'b', 'c']) {
        response.write(part)
        sent.push(await call())
      }
      response.end()
    }
    expect(statuses(await service.send([ALICE]))).toEqual([200])
    expect(sent).toEqual([TOKEN, TOKEN, TOKEN])
  })
})

describe('a client that goes away', () => {
  async function leave(how: 'destroy' | 'end' | 'resetAndDestroy'): Promise<string | undefined> {
    const arrived = deferred()
    const late = deferred<Promise<string | undefined>>()
    handle = (_, response) => {
      late.resolve(once(response, 'close').then(() => call()))
      arrived.resolve()
    }
    const socket = connect({ port: service.port, host: '127.0.0.1' })
    socket.on('error', () => undefined).resume()
    socket.write(requestOf('/', [ALICE]))
    await arrived.promise
    socket[how]()
    return late.promise
  }

  it.each(['destroy', 'resetAndDestroy'] as const)('%s: ends the request', async (how) => {
    expect(await leave(how)).toBeUndefined()
  })

  it('end: Node closes the response of a client that half-closes, and with it the request', async () => {
    expect(await leave('end')).toBeUndefined()
  })

  it('end: not where the server allows half-open connections', async () => {
    Object.assign(service.server, { httpAllowHalfOpen: true })
    handle = async (request, response) => {
      if (!request.socket.readableEnded) await once(request.socket, 'end')
      response.end(await call())
    }
    const socket = connect({ port: service.port, host: '127.0.0.1', allowHalfOpen: true })
    socket.end(requestOf('/', [ALICE]))
    let answer = ''
    for await (const chunk of socket) answer += chunk
    expect(answer).toContain(TOKEN)
  })
})

describe('one connection, many requests', () => {
  it('what goes on of the first has no token, and the next ones have their own', async () => {
    const released = deferred()
    const sent: Promise<readonly [string | undefined, string | undefined]>[] = []
    handle = (_, response) => {
      const late = async () => [await call(), await released.promise.then(call)] as const
      const both = late()
      sent.push(both)
      void call().then((token) => response.end(token))
    }
    const tokens = ['a', 'b', 'c'].map((sub) => tokenOf({ sub }))
    const messages = tokens.map((token, i) =>
      requestOf('/', [bearer(token), ...(i < 2 ? ['Connection: keep-alive'] : [])]),
    )
    const answer = await exchange(service.port, messages.join(''), () => false)
    released.resolve()
    for (const token of tokens) expect(answer).toContain(token)
    const calls = await Promise.all(sent)
    expect(calls.map(([early]) => early).toSorted()).toEqual(tokens.toSorted())
    expect(calls.map(([, late]) => late)).toEqual([undefined, undefined, undefined])
  })

  it('leaves no listeners behind', async () => {
    const warnings: string[] = []
    const onWarning = (warning: Error): void => void warnings.push(warning.name)
    process.on('warning', onWarning)
    let counts: number[] = []
    handle = (request, response) => {
      counts = [request.socket.listenerCount('close'), response.listenerCount('close')]
      response.end()
    }
    const once100 = Array.from({ length: 100 }, (_, i) =>
      requestOf('/', [ALICE, ...(i < 99 ? ['Connection: keep-alive'] : [])]),
    )
    expect(statuses(await exchange(service.port, once100.join(''), () => false))).toHaveLength(100)
    const first = counts
    expect(statuses(await service.send([ALICE]))).toEqual([200])
    await setImmediate()
    process.off('warning', onWarning)
    expect(counts).toEqual(first)
    expect(warnings).toEqual([])
  })
})
