/** Task queues and pools that callers share: each task leaves as the caller that submitted it. */

import { setTimeout as wait } from 'node:timers/promises'
import genericPool from 'generic-pool'
import pLimit from 'p-limit'
import PQueue from 'p-queue'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { getActiveCredential, wrapExecutor } from '../../src/index.ts'
import type { Callers } from '../support/callers.ts'
import { startCallers } from '../support/callers.ts'

let callers: Callers
beforeAll(async () => {
  callers = await startCallers()
})
afterAll(() => callers[Symbol.asyncDispose]())

const RIGHT = { right: 100, wrong: 0, nobody: 0 }
const subject = (): string | undefined => getActiveCredential()?.subject
type Task = () => Promise<void>

/** A queue as many write it: the task that finishes starts the next one. */
class NaiveQueue {
  readonly #waiting: { task: Task; done: (result: Promise<void>) => void }[] = []
  #running = 0

  add(task: Task): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ task, done: resolve })
      void this.#next()
    })
  }

  async #next(): Promise<void> {
    if (this.#running === 2) return
    const next = this.#waiting.shift()
    if (next === undefined) return
    this.#running += 1
    const result = next.task()
    next.done(result)
    await result.catch(() => undefined)
    this.#running -= 1
    void this.#next()
  }

  async addAll(tasks: readonly Task[]): Promise<void> {
    await Promise.all(tasks.map((task) => this.add(task)))
  }
}

/** A worker that is fed over a channel and run by a timer, as batch loops are. */
class TickedQueue {
  readonly #tasks: (() => void)[] = []

  run(task: Task): Promise<void> {
    if (this.#tasks.length === 0) setTimeout(() => this.#flush(), 1)
    return new Promise((resolve) => this.#tasks.push(() => resolve(task())))
  }

  #flush(): void {
    for (const task of this.#tasks.splice(0)) task()
  }
}

/** How each library is handed tasks; `wrap` is `wrapExecutor`, or leaves it as it is. */
const SHAPES: Readonly<Record<string, (wrap: <E extends object>(executor: E) => E) => (task: Task) => unknown>> = {
  'p-queue add': (wrap) => {
    const queue = wrap(new PQueue({ concurrency: 3 }))
    return (task) => queue.add(task)
  },
  'p-queue addAll': (wrap) => {
    const queue = wrap(new PQueue({ concurrency: 3 }))
    return (task) => queue.addAll([task])
  },
  'p-limit': (wrap) => {
    const limit = wrap(pLimit(3))
    return (task) => limit((given) => given(), task)
  },
  'p-limit map': (wrap) => {
    const limit = wrap(pLimit(3))
    return (task) => limit.map([1], task)
  },
  'generic-pool use': (wrap) => {
    const pool = wrap(genericPool.createPool({ create: async () => ({}), destroy: async () => undefined }, { max: 3 }))
    return (task) => pool.use(task)
  },
  'generic-pool acquire': (wrap) => {
    const pool = wrap(genericPool.createPool({ create: async () => ({}), destroy: async () => undefined }, { max: 3 }))
    return async (task) => {
      const resource = await pool.acquire()
      await task()
      await pool.release(resource)
    }
  },
  'a queue of its own': (wrap) => {
    const queue = wrap(new NaiveQueue())
    return (task) => queue.add(task)
  },
  'a list in a queue of its own': (wrap) => {
    const queue = wrap(new NaiveQueue())
    return (task) => queue.addAll([task])
  },
  'a queue that a timer empties': (wrap) => {
    const queue = wrap(new TickedQueue())
    return (task) => queue.run(task)
  },
}

describe('a hundred callers with one executor', () => {
  it.each(Object.keys(SHAPES))('%s: every task leaves as the caller that submitted it [G1]', async (name) => {
    const run = SHAPES[name]?.(wrapExecutor)
    await callers.asEach((user) => run?.(() => callers.call(user)))
    expect(callers.verdict()).toEqual(RIGHT)
  })

  it.each([
    ['a queue of its own', true],
    ['a list in a queue of its own', true],
    ['a queue that a timer empties', true],
    ['p-queue add', false],
    ['p-limit', false],
    ['generic-pool use', false],
  ])('as it is, %s mixes them up: %s', async (name, mixes) => {
    const run = SHAPES[name]?.((executor) => executor)
    await callers.asEach((user) => run?.(() => callers.call(user)))
    const { wrong } = callers.verdict()
    expect(wrong > 0).toBe(mixes)
  })
})

describe('what a pool does for all of its callers', () => {
  async function creators(wrap: <E extends object>(executor: E) => E): Promise<readonly (string | undefined)[]> {
    const seen: (string | undefined)[] = []
    const create = async (): Promise<object> => {
      seen.push(subject())
      return {}
    }
    const pool = wrap(genericPool.createPool({ create, destroy: async () => undefined }, { max: 2 }))
    await callers.asEach(async () => {
      const resource = await pool.acquire()
      await wait(1)
      // Broken ones are replaced, by the caller that notices.
      await pool.destroy(resource)
    }, 10)
    return seen
  }

  it('is done without a caller: connections that it opens are not those of the first caller [G1]', async () => {
    const seen = await creators(wrapExecutor)
    expect(seen).toHaveLength(10)
    expect(new Set(seen)).toEqual(new Set([undefined]))
  })

  it('as it is, a pool opens them as the caller that comes along', async () => {
    expect(new Set(await creators((executor) => executor)).size).toBeGreaterThan(1)
  })
})

describe('the stand-in', () => {
  it('is what it stands for: getters, setters, private members, chains, prototypes', async () => {
    const queue = wrapExecutor(new PQueue({ concurrency: 2, autoStart: false }))
    expect(queue).toBeInstanceOf(PQueue)
    expect(queue.concurrency).toBe(2)
    queue.concurrency = 3
    expect(queue.concurrency).toBe(3)
    const added = queue.add(() => 'done')
    expect(queue.size).toBe(1)
    expect(queue.start()).toBe(queue)
    expect(await added).toBe('done')
    expect(queue.add).toBe(queue.add)
    expect('size' in queue).toBe(true)
  })

  it('passes on arguments, results and errors', async () => {
    const limit = wrapExecutor(pLimit(1))
    expect(await limit((a: number, b: string) => [a, b], 1, 'x')).toEqual([1, 'x'])
    await expect(limit(() => Promise.reject(new Error('of the task')))).rejects.toThrow('of the task')
    expect([limit.activeCount, limit.pendingCount, limit.concurrency]).toEqual([0, 0, 1])
  })

  it('leaves listeners alone, so that they can be removed', () => {
    const queue = wrapExecutor(new PQueue())
    let calls = 0
    const listener = (): void => {
      calls += 1
    }
    queue.addEventListener('idle', listener)
    queue.removeEventListener('idle', listener)
    queue.dispatchEvent(new Event('idle'))
    expect(calls).toBe(0)
  })

  it('runs a task that no caller submits without a caller, in any context', async () => {
    const queue = wrapExecutor(new PQueue({ autoStart: false }))
    const task = queue.add(subject)
    const other = callers.as('alice', () => queue.add(subject))
    await callers.as('bob', async () => {
      await wait(1)
      queue.start()
    })
    expect([await task, await other]).toEqual([undefined, 'alice'])
  })

  it('is made of objects and functions only', () => {
    for (const value of [undefined, null, 'queue', 1]) {
      expect(() => wrapExecutor(value as unknown as object)).toThrow(
        new TypeError('executor: expected an object or a function'),
      )
    }
  })
})
