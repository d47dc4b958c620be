/** Several callers on one pipelined connection: what belongs to one request never runs as the caller of another. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import http from 'node:http'
import { connect } from 'node:net'
import { context } from '@opentelemetry/api'
import { afterEach, expect, it } from 'vitest'
import { getActiveCredential } from '../../src/index.ts'
import { requestOf } from '../support/raw.ts'
import type { Service } from '../support/service.ts'
import { bearer, startService, tokenOf } from '../support/service.ts'

const EVENTS = ['socket', 'drain', 'finish', 'close', 'prefinish'] as const
const caller = (): string => getActiveCredential()?.subject ?? 'no caller'

let service: Service | undefined
let undo: (() => void) | undefined
afterEach(async () => {
  await service?.[Symbol.asyncDispose]()
  service = undefined
  undo?.()
  undo = undefined
})

/** A tracer that extracts the caller and enters the context, as many do, but binds neither request nor response. */
function traceWithoutBinding(): void {
  const previous = http.Server.prototype.emit
  http.Server.prototype.emit = function (this: http.Server, event: string, ...args: unknown[]) {
    const { headers } = (args[0] ?? {}) as Partial<IncomingMessage>
    const run = (): boolean => Reflect.apply(previous, this, [event, ...args]) as boolean
    if (event !== 'request' || service === undefined) return run()
    const extracted = service.relay.propagator.extract(context.active(), headers, {
      keys: Object.keys,
      get: (carrier: Record<string, string>, key: string) => carrier[key],
    })
    return context.with(extracted, run)
  } as never
  undo = () => {
    http.Server.prototype.emit = previous
  }
}

interface Seen {
  readonly target: string
  readonly event: string
  readonly caller: string
}

/** Sends the requests at once on one connection, and returns who was calling in the listeners of each. */
async function pipeline(requests: readonly string[], mode: 'require' | 'optional'): Promise<readonly Seen[]> {
  const seen: Seen[] = []
  const calls: Promise<unknown>[] = []
  const handler = (request: IncomingMessage, response: ServerResponse): void => {
    const target = request.url ?? ''
    if (target.startsWith('/sink/')) return void response.end()
    const look = (event: string): void => {
      seen.push({ target, event, caller: caller() })
      calls.push(
        new Promise((resolve) => {
          const { origin } = service?.sink ?? { origin: '' }
          const outgoing = http.request(`${origin}/sink${target}/${event}`, (incoming) => {
            incoming.resume().on('end', () => resolve(0))
          })
          outgoing.on('error', resolve).end()
        }),
      )
    }
    for (const event of EVENTS) response.once(event, () => look(event))
    request.once('close', () => look('request close'))
    request.socket.once('drain', () => look('socket drain'))
    look('handler')
    // More than a socket takes at once.
    response.writeHead(200, { 'content-length': 300_000 })
    response.write(Buffer.alloc(200_000), () => look('write callback'))
    setTimeout(() => response.end(Buffer.alloc(100_000), () => look('end callback')), 1)
  }
  service = await startService({ handler, options: { ingress: { mode, publicPaths: ['/public'] } } })
  const socket = connect(service.port, '127.0.0.1')
  socket.write(requests.join(''))
  await new Promise((resolve) => socket.resume().on('close', resolve))
  await Promise.all(calls)
  return seen
}

const request = (target: string, fields: readonly string[], isLast = false): string =>
  requestOf(target, [...fields, isLast ? 'Connection: close' : 'Connection: keep-alive'])
const ALICE = tokenOf({ sub: 'alice' })
const BOB = tokenOf({ sub: 'bob' })

function others(seen: readonly Seen[], target: string, expected: string): readonly Seen[] {
  return seen.filter((each) => each.target === target && each.caller !== expected && each.caller !== 'no caller')
}
function sentFor(target: string): readonly string[] {
  const received = service?.sink.received ?? []
  return received.filter((each) => each.target.startsWith(`/sink${target}/`)).flatMap((each) => each.authorization)
}

it.each([
  ['in mode optional', '/b', 'optional'],
  ['on a public path', '/public', 'require'],
] as const)('a request without a token %s has no caller after one that has [G11]', async (_, target, mode) => {
  const seen = await pipeline([request('/a', [bearer(ALICE)]), request(target, [], true)], mode)
  expect(others(seen, '/a', 'alice')).toEqual([])
  expect(others(seen, target, 'no caller')).toEqual([])
  expect(seen.filter((each) => each.target === target).length).toBeGreaterThan(4)
  expect(sentFor(target)).toEqual([])
})

it.each([
  ['without a tracer', () => undefined],
  ['behind a tracer that enters and does not bind', traceWithoutBinding],
])('two callers on one connection stay apart, %s [G11]', async (_, trace) => {
  trace()
  const requests = [
    request('/a', [bearer(ALICE)]),
    request('/b', [bearer(BOB)]),
    request('/c', []),
    request('/d', [bearer(ALICE)], true),
  ]
  const seen = await pipeline(requests, 'optional')
  const sentAs = { '/a': ['alice', ALICE], '/b': ['bob', BOB], '/c': ['no caller', undefined], '/d': ['alice', ALICE] }
  for (const [target, [expected = '', token]] of Object.entries(sentAs)) {
    expect(others(seen, target, expected), target).toEqual([])
    expect(
      sentFor(target).filter((value) => value !== `Bearer ${token}`),
      target,
    ).toEqual([])
    for (const event of [...EVENTS.slice(2), 'write callback', 'end callback'])
      expect(seen).toContainEqual({ target, event, caller: expected })
  }
})
