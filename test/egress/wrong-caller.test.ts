/** The detector and home-made queues: a task that ran as another caller than the one that handed it in is reported. */

import { DiagLogLevel, diag } from '@opentelemetry/api'
import pLimit from 'p-limit'
import PQueue from 'p-queue'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { wrapExecutor } from '../../src/index.ts'
import type { Callers } from '../support/callers.ts'
import { startCallers } from '../support/callers.ts'
import { ChainedQueue, Lock, LoopingQueue, Pool } from '../support/home-made.ts'

let callers: Callers
let warnings: string[]
beforeEach(async () => {
  warnings = []
  const ignore = (): void => undefined
  const logger = { verbose: ignore, debug: ignore, info: ignore, error: ignore }
  diag.setLogger({ ...logger, warn: (text) => void warnings.push(text) }, DiagLogLevel.WARN)
  callers = await startCallers({ egress: { detector: 'warn' } })
})
afterEach(async () => {
  diag.disable()
  await callers[Symbol.asyncDispose]()
})

interface Profile {
  readonly user: string
}
async function profile(user: string): Promise<Profile> {
  await callers.call(user)
  return { user }
}
type Run = (task: () => Promise<Profile>) => Promise<Profile>

/** Ten callers at once, whose requests are open all the time. */
async function work(run: Run): Promise<void> {
  await callers.asEach(async (user) => expect(await run(() => profile(user))).toEqual({ user }), 10)
}

it.each<[string, () => Run]>([
  [
    'a chained queue',
    () => {
      const queue = new ChainedQueue()
      return (task) => queue.push(task)
    },
  ],
  [
    'a looping queue',
    () => {
      const queue = new LoopingQueue()
      return (task) => queue.push(task)
    },
  ],
])('%s: says where the task was handed in, where it called, and what helps', async (_, create) => {
  await work(create())
  expect(callers.verdict().wrong).toBeGreaterThan(0)
  const [warning = ''] = warnings.filter((each) => each.includes('another caller'))
  expect(warning).toContain(callers.origin)
  expect(warning).toMatch(/called at \S*callers\.ts:\d+:\d+/)
  expect(warning).toMatch(/handed in at \S*home-made\.ts:\d+:\d+ < \S*wrong-caller\.test\.ts:\d+:\d+/)
  expect(warning).toContain('wrapExecutor')
  expect(warnings.join()).not.toMatch(/eyJ|user-/)
})

it.each<[string, () => Run]>([
  [
    'a wrapped queue',
    () => {
      const queue = wrapExecutor(new ChainedQueue())
      return (task) => queue.push(task)
    },
  ],
  [
    'another wrapped queue',
    () => {
      const queue = wrapExecutor(new LoopingQueue())
      return (task) => queue.push(task)
    },
  ],
  [
    'p-queue',
    () => {
      const queue = new PQueue({ concurrency: 1 })
      return (task) => queue.add(task) as Promise<Profile>
    },
  ],
  ['p-limit', () => pLimit(1)],
  [
    'a lock',
    () => {
      const lock = new Lock()
      return (task) => lock.run(task)
    },
  ],
  [
    'a lock that is released by hand',
    () => {
      const lock = new Lock()
      return async (task) => {
        await lock.acquire()
        return task().finally(() => lock.release())
      }
    },
  ],
  [
    'a pool',
    () => {
      const pool = new Pool()
      return (task) => pool.use(task)
    },
  ],
  ['no queue', () => (task) => task()],
  ['a timer', () => (task) => new Promise((resolve) => setTimeout(() => resolve(task()), 1))],
])('%s: nothing is reported, because nothing is wrong', async (_, create) => {
  await work(create())
  expect(callers.verdict()).toMatchObject({ wrong: 0, nobody: 0, right: 10 })
  expect(warnings).toEqual([])
})

it('leaves the Promise of the process as it was, once the relay is shut down', async () => {
  const watching = globalThis.Promise
  expect(await new Promise((resolve) => resolve(1))).toBe(1)
  expect(new Promise(() => undefined)).toBeInstanceOf(watching)
  expect((async () => undefined)()).toBeInstanceOf(Promise)
  class Own<T> extends Promise<T> {}
  expect(Own.resolve(1)).toBeInstanceOf(Own)
  await callers.relay.shutdown()
  expect(globalThis.Promise).not.toBe(watching)
})
