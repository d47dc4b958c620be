/** A tracer before the gate has bound what the application listens to: whatever to, listeners run as their caller. */

import { EventEmitter, once } from 'node:events'
import { Server } from 'node:http'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Context, ContextManager } from '@opentelemetry/api'
import { context, defaultTextMapGetter, ROOT_CONTEXT } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { VerifiedCredential } from '../../src/index.ts'
import { getActiveCredential, setCredential } from '../../src/index.ts'
import { requestOf } from '../support/raw.ts'
import type { Service } from '../support/service.ts'
import { bearer, startService, tokenOf } from '../support/service.ts'

type Emit = (this: Server, event: string, ...args: unknown[]) => boolean
interface Emission {
  readonly emitters: readonly EventEmitter[]
  readonly proceed: () => boolean
}

let service: Service
let aliceCredential: VerifiedCredential
let trace: (emission: Emission) => boolean

// Before there is a gate, as an instrumentation does.
const previous = Server.prototype.emit as Emit
const emit: Emit = function (event, ...args) {
  if (event !== 'request' && event !== 'upgrade') return previous.call(this, event, ...args)
  const proceed = (): boolean => previous.call(this, event, ...args)
  const emitters = args.filter((arg) => arg instanceof EventEmitter)
  return trace({ emitters, proceed })
}
Server.prototype.emit = emit as never

beforeEach(async () => {
  trace = ({ proceed }) => proceed()
  service = await startService({
    handler(request, response) {
      request.on('end', () => response.end(getActiveCredential()?.subject ?? 'none')).resume()
    },
  })
  service.server.on('upgrade', (_, socket: Duplex) => {
    socket.on('error', () => undefined)
    socket.on('data', () => socket.end(`DATA ${getActiveCredential()?.subject}`))
    socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n')
  })
  // From the first request on the relay knows what is bound.
  expect(await subjectOf(tokenOf())).toBe('alice')
  aliceCredential = await service.relay.verify(tokenOf())
})
afterEach(() => service[Symbol.asyncDispose]())

/** Upgrades a connection, sends something over it, and returns the answer to that. */
async function talk(upgrade: string): Promise<string> {
  const socket = connect(service.port, '127.0.0.1', () => socket.write(upgrade))
  await once(socket, 'data')
  socket.write('hello')
  const [answer] = await once(socket, 'data')
  return String(answer)
}

/** The context that a tracer extracts from the request of `emission`. */
function contextOf({ emitters }: Emission): Context {
  const [request] = emitters as unknown as [{ readonly headers: object }]
  return service.relay.propagator.extract(ROOT_CONTEXT, request.headers, defaultTextMapGetter)
}

function bindTo(ctx: Context, { emitters }: Emission): void {
  for (const emitter of emitters) context.bind(ctx, emitter)
}

/** As whom the listener runs. The body comes later, on the socket, which has no caller. */
async function subjectOf(token: string): Promise<string | undefined> {
  await service.relay.verify(token)
  const fields = [bearer(token), 'Content-Length: 2', 'Expect: 100-continue', 'Connection: close']
  const socket = connect(service.port, '127.0.0.1', () => socket.write(requestOf('/', fields)))
  await once(socket, 'data')
  socket.write('{}')
  const [answer] = await once(socket, 'data')
  return /\w+$/.exec(String(answer))?.[0]
}

it('an upgraded socket, which lets go of that with its first listener', async () => {
  trace = (emission) => {
    const ctx = contextOf(emission)
    bindTo(ctx, emission)
    return context.with(ctx, emission.proceed)
  }
  expect(await talk(requestOf('/ws', [bearer(tokenOf()), 'Connection: Upgrade', 'Upgrade: test']))).toBe('DATA alice')
})

const BOB = tokenOf({ sub: 'bob' })
const alice = (): Context => setCredential(ROOT_CONTEXT, aliceCredential)

it.each<readonly [string, (emission: Emission, ctx: Context) => void]>([
  ['to the context that it has extracted', (emission, ctx) => bindTo(ctx, emission)],
  ['to no caller', (emission) => bindTo(ROOT_CONTEXT, emission)],
  ['to another caller', (emission) => bindTo(alice(), emission)],
  [
    'to another caller, and all listeners are removed since',
    (emission) => {
      bindTo(alice(), emission)
      emission.emitters[0]?.removeAllListeners()
    },
  ],
  [
    'to another caller, and to its own too late',
    (emission, ctx) => {
      bindTo(alice(), emission)
      bindTo(ctx, emission)
    },
  ],
  [
    'to its caller, and other code has undone that',
    (emission, ctx) => {
      bindTo(ctx, emission)
      for (const emitter of emission.emitters) Reflect.deleteProperty(emitter, 'on')
    },
  ],
])('request and response %s', async (_, bindBefore) => {
  trace = (emission) => {
    const ctx = contextOf(emission)
    bindBefore(emission, ctx)
    return context.with(ctx, emission.proceed)
  }
  expect(await subjectOf(BOB)).toBe('bob')
})

it.each<readonly [string, string, (manager: ContextManager) => void]>([
  ['bob', 'another context manager', () => undefined],
  [
    'bob',
    'a context manager that cannot be watched',
    (manager) => Object.defineProperty(manager, 'bind', { value: manager.bind, writable: false }),
  ],
  [
    'none',
    'a context manager that binds no emitters',
    (manager) => Object.defineProperty(manager, 'bind', { value: () => undefined }),
  ],
])('%s, by request and response with %s', async (subject, _, change) => {
  context.disable()
  const manager = new AsyncLocalStorageContextManager().enable()
  change(manager)
  context.setGlobalContextManager(manager)
  for (const bound of [ROOT_CONTEXT, alice()]) {
    trace = (emission) => {
      bindTo(bound, emission)
      return emission.proceed()
    }
    expect(await subjectOf(BOB)).toBe(subject)
  }
})
