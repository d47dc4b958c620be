/** Functions and listeners keep their caller, whoever calls them. */

import { EventEmitter, once } from 'node:events'
import { PassThrough } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { context, createContextKey, ROOT_CONTEXT } from '@opentelemetry/api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bind, bindEmitter, getActiveCredential } from '../../src/index.ts'
import type { Callers } from '../support/callers.ts'
import { startCallers } from '../support/callers.ts'

let callers: Callers
beforeAll(async () => {
  callers = await startCallers()
})
afterAll(() => callers[Symbol.asyncDispose]())

const RIGHT = { right: 100, wrong: 0, nobody: 0 }
const subject = (): string | undefined => getActiveCredential()?.subject
const as = <T>(user: string, fn: () => T): Promise<Awaited<T>> => callers.as(user, fn)

describe('bind', () => {
  it('keeps the caller: a hundred functions that one caller calls [G1]', async () => {
    const functions: (() => Promise<void>)[] = []
    const callAll = () => as('mallory', () => Promise.all(functions.map((fn) => fn())))
    await callers.asEach((user) => functions.push(bind(() => callers.call(user))), 100, callAll)
    expect(callers.verdict()).toEqual(RIGHT)
  })

  it('without it they are all hers', async () => {
    const functions: (() => Promise<void>)[] = []
    await callers.asEach((user) => functions.push(() => callers.call(user)))
    await as('mallory', () => Promise.all(functions.map((fn) => fn())))
    expect(callers.verdict()).toEqual({ right: 0, wrong: 100, nobody: 0 })
  })

  it('keeps that there was none', async () => {
    const fn = bind(subject)
    expect(await as('alice', () => fn())).toBeUndefined()
  })

  it('passes on arguments, this, results and errors, and looks like its function', () => {
    const fn = bind(function named(this: { a: number }, b: number, c = 3) {
      return [this.a, b, c]
    })
    expect(fn.call({ a: 1 }, 2)).toEqual([1, 2, 3])
    expect([fn.length, fn.name]).toEqual([1, 'named'])
    const identity: { (a: number): number; (a: string): string } = <T>(a: T): T => a
    const add = Object.assign(identity, { what: 'identity' })
    const typed: typeof add = bind(add)
    expect([typed(1) + 1, typed('a').length, typed.what]).toEqual([2, 1, 'identity'])
    class Task {}
    expect(new (bind(Task as never) as typeof Task)()).toBeInstanceOf(Task)
    const error = new Error('of the function')
    const failing = bind(() => {
      throw error
    })
    expect(failing).toThrow(error)
  })

  it('keeps what else is in the context', async () => {
    const key = createContextKey('of somebody else')
    const fn = context.with(ROOT_CONTEXT.setValue(key, 1), () => bind(() => context.active().getValue(key)))
    expect(await as('alice', () => fn())).toBe(1)
  })

  it('takes functions only', () => {
    expect(() => bind('function' as unknown as () => void)).toThrow(new TypeError('fn: expected a function'))
  })

  it('for generators: each step runs as the caller that takes it, and as their maker if that is bound [G1]', async () => {
    async function* calls(user: string): AsyncGenerator<void> {
      for (;;) yield callers.call(user)
    }
    const steps: [string, AsyncGenerator<void>, () => Promise<unknown>][] = []
    const begin = (user: string): void => {
      const generator = calls(user)
      steps.push([user, generator, bind(() => generator.next())])
    }
    await callers.asEach(begin, 100, () => as('mallory', () => Promise.all(steps.map(([, , next]) => next()))))
    expect(callers.verdict()).toEqual(RIGHT)
    await as('mallory', () => Promise.all(steps.map(([, generator]) => generator.next())))
    expect(callers.verdict().wrong).toBe(100)
  })
})

describe('bindEmitter', () => {
  it('keeps the caller of each listener: a hundred on one emitter [G1]', async () => {
    const emitter = bindEmitter(new EventEmitter()).setMaxListeners(0)
    const sent: Promise<void>[] = []
    const emit = async () => {
      await as('mallory', () => emitter.emit('tick'))
      await Promise.all(sent)
    }
    await callers.asEach((user) => emitter.on('tick', () => sent.push(callers.call(user))), 100, emit)
    expect(callers.verdict()).toEqual(RIGHT)
  })

  it('without it, listeners run as the caller that emits', async () => {
    const emitter = new EventEmitter()
    const seen: unknown[] = []
    await as('alice', () => emitter.on('tick', () => seen.push(subject())))
    await as('mallory', () => emitter.emit('tick'))
    expect(seen).toEqual(['mallory'])
  })

  it.each([
    'on',
    'addListener',
    'prependListener',
    'once',
    'prependOnceListener',
  ] as const)('%s: as its caller, with arguments and this; removed by its function', async (method) => {
    const emitter = bindEmitter(new EventEmitter())
    const seen: unknown[] = []
    function listener(this: unknown, ...args: unknown[]): void {
      seen.push([subject(), this === emitter, ...args])
    }
    await as('alice', () => expect(emitter[method]('tick', listener)).toBe(emitter))
    expect(emitter.listeners('tick')).toEqual([listener])
    await as('mallory', () => emitter.emit('tick', 1, 2))
    expect(seen).toEqual([['alice', true, 1, 2]])

    const isOnce = /once/i.test(method)
    expect(emitter.listenerCount('tick')).toBe(isOnce ? 0 : 1)
    if (isOnce) emitter[method]('tick', listener)
    emitter.off('tick', listener)
    expect([emitter.listenerCount('tick'), emitter.emit('tick')]).toEqual([0, false])
  })

  it('keeps the order, tells of new and removed listeners, and calls a once listener once, as any emitter', () => {
    const observe = (emitter: EventEmitter): unknown[] => {
      const seen: unknown[] = []
      const first = (): void => {
        seen.push('first')
        emitter.emit('tick')
      }
      const second = (): void => {
        seen.push('second')
        emitter.emit('tick')
      }
      const nameOf = (fn: { readonly listener?: unknown }): string =>
        (fn.listener ?? fn) === first ? 'first' : 'second'
      for (const event of ['newListener', 'removeListener']) {
        emitter.on(event, (name, fn) => name === 'tick' && seen.push([event, nameOf(fn)]))
      }
      emitter.once('tick', second)
      emitter.prependOnceListener('tick', first)
      emitter.emit('tick')
      return seen
    }
    const plain = observe(new EventEmitter())
    expect(plain.filter((each) => typeof each === 'string')).toEqual(['first', 'second'])
    expect(observe(bindEmitter(new EventEmitter()))).toEqual(plain)
  })

  it('refuses what Node refuses', () => {
    const emitter = bindEmitter(new EventEmitter())
    expect(() => emitter.on('tick', 'no function' as never)).toThrow(TypeError)
  })

  it('works with events.once, async iteration of events, and removeAllListeners', async () => {
    const emitter = bindEmitter(new EventEmitter())
    const waiting = as('alice', async () => [...((await once(emitter, 'tick')) as number[]), subject()])
    await as('mallory', async () => {
      while (emitter.listenerCount('tick') === 0) await wait(1)
      emitter.emit('tick', 1)
    })
    expect(await waiting).toEqual([1, 'alice'])
    emitter.on('tick', subject).removeAllListeners()
    expect(emitter.eventNames()).toEqual([])
  })

  it('works with streams, which have an `on` of their own', async () => {
    const stream = bindEmitter(new PassThrough({ encoding: 'utf8' }))
    const seen: unknown[] = []
    await as('alice', () => stream.on('data', (chunk) => seen.push([chunk, subject()])))
    await as('mallory', () => stream.end('x'))
    await once(stream, 'end')
    expect(seen).toEqual([['x', 'alice']])
  })

  it('leaves earlier listeners alone, and binds once only', async () => {
    const emitter = new EventEmitter()
    const seen: unknown[] = []
    emitter.on('tick', () => seen.push(subject()))
    const { on } = bindEmitter(emitter)
    expect(bindEmitter(emitter).on).toBe(on)
    await as('mallory', () => emitter.emit('tick'))
    expect(seen).toEqual(['mallory'])
  })

  it.each([
    'before',
    'afterwards',
  ])("listeners can be removed where OpenTelemetry's own bind comes %s", async (when) => {
    const emitter = new EventEmitter()
    await as('carol', () => {
      if (when === 'before') context.bind(context.active(), emitter)
    })
    bindEmitter(emitter)
    await as('carol', () => {
      if (when === 'afterwards') context.bind(context.active(), emitter)
    })
    const seen: unknown[] = []
    const [listener, other] = [() => void seen.push(subject()), () => void seen.push(subject())]
    await as('alice', () => void emitter.on('tick', listener).once('tick', other))
    await as('mallory', () => emitter.emit('tick'))
    const expected = when === 'before' ? 'alice' : 'carol'
    expect(seen).toEqual([expected, expected])
    emitter.off('tick', listener)
    expect(emitter.listenerCount('tick')).toBe(0)
  })
})
