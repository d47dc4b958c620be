/** Batchers and caches that callers share: each caller has one of its own, or the batch has one caller, or none. */

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Context } from '@opentelemetry/api'
import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import DataLoader from 'dataloader'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { getActiveCredential, perCaller, runAsAll, runWithToken, setCredential } from '../../src/index.ts'
import type { Callers } from '../support/callers.ts'
import { startCallers } from '../support/callers.ts'

let callers: Callers
beforeAll(async () => {
  callers = await startCallers()
})
afterAll(() => callers[Symbol.asyncDispose]())

const subject = (): string | undefined => getActiveCredential()?.subject

/** One call for each key, so that the sink can tell whose token it had. */
async function batch(keys: readonly string[]): Promise<string[]> {
  await Promise.all(keys.map((key) => callers.call(key)))
  return keys.map((key) => `${key} for ${subject()}`)
}

/** Resolves for all of `count` at once, when the last one has come. */
function barrier(count: number): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let missing = count
  return () => {
    missing -= 1
    if (missing === 0) resolve()
    return promise
  }
}

describe('a DataLoader that callers share', () => {
  it('is run by DataLoader as the first caller: this is what the guard prevents', async () => {
    const storage = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const loader = new DataLoader(async (keys: readonly string[]) => {
      seen.push(storage.getStore())
      return keys
    })
    await Promise.all(['alice', 'bob'].map((user) => storage.run(user, () => loader.load(user))))
    expect(seen).toEqual(['alice'])
  })

  it('a batch of a hundred callers has none, and says so [G1]', async () => {
    const reasons = new Set<unknown>()
    const loader = new DataLoader((keys: readonly string[]) => {
      reasons.add(callers.relay.explain(callers.origin).reason)
      return batch(keys)
    })
    const all = barrier(100)
    await callers.asEach((user) => all().then(() => loader.load(user)))
    expect(callers.verdict()).toEqual({ right: 0, wrong: 0, nobody: 100 })
    expect([...reasons]).toEqual(['ambiguous'])
  })

  it('a batch of one caller is that of the caller: of one request, or of several with one token', async () => {
    const loader = new DataLoader(batch)
    expect(await callers.as('alice', () => loader.loadMany(['a', 'b']))).toEqual(['a for alice', 'b for alice'])
    const token = callers.token('bob')
    const all = barrier(2)
    const loads = ['c', 'd'].map((key) => runWithToken(token, () => all().then(() => loader.load(key))))
    expect(await Promise.all(loads)).toEqual(['c for bob', 'd for bob'])
    expect(await loader.load('e')).toBe('e for undefined')
    expect(callers.arrivals()).toHaveLength(5)
  })

  it('a batch with and without a caller has none', async () => {
    const loader = new DataLoader(batch)
    const all = barrier(2)
    const load = (key: string): Promise<string> => all().then(() => loader.load(key))
    const loads = [load('a'), callers.as('alice', () => load('b'))]
    expect(await Promise.all(loads)).toEqual(['a for undefined', 'b for undefined'])
    expect(callers.verdict()).toEqual({ right: 0, wrong: 0, nobody: 2 })
  })

  it('a caller that is answered from its cache has no part in the batch', async () => {
    const loader = new DataLoader(batch)
    await callers.as('alice', () => loader.load('a'))
    const all = barrier(2)
    const bob = callers.as('bob', () => all().then(() => loader.load('a')))
    const alice = callers.as('alice', () => all().then(() => loader.load('b')))
    expect(await Promise.all([bob, alice])).toEqual(['a for alice', 'b for alice'])
    callers.arrivals()
  })

  it('what was loaded before there was a relay is not the work of who comes next', async () => {
    await callers[Symbol.asyncDispose]()
    const scheduled = Promise.withResolvers<() => void>()
    const loader = new DataLoader(batch, { batchScheduleFn: scheduled.resolve })
    const early = loader.load('a')
    callers = await startCallers()
    const loaded = Promise.withResolvers<void>()
    const late = callers.as('alice', () => {
      const result = loader.load('b')
      loaded.resolve()
      return result
    })
    await loaded.promise
    ;(await scheduled.promise)()
    expect(await Promise.all([early, late])).toEqual(['a for undefined', 'b for undefined'])
    expect(callers.arrivals()).toEqual(['a as nobody', 'b as nobody'])
  })

  it('another schedule does not make the batch that of the caller that runs it', async () => {
    const scheduled = Promise.withResolvers<() => void>()
    const loader = new DataLoader(batch, { batchScheduleFn: scheduled.resolve })
    const loaded = callers.as('alice', () => loader.load('a'))
    await callers.as('mallory', await scheduled.promise)
    expect(await loaded).toBe('a for alice')
    callers.arrivals()
  })
})

describe('DataLoader', () => {
  it('perCaller: a hundred callers, each key is loaded as its caller [G1]', async () => {
    const loader = perCaller(() => new DataLoader(batch))
    const all = barrier(100)
    await callers.asEach(async (user) => {
      await all()
      expect(await loader().load(user)).toBe(`${user} for ${user}`)
    })
    expect(callers.verdict()).toEqual({ right: 100, wrong: 0, nobody: 0 })
  })

  it('perCaller: no caller is answered with the result of another one, and each has its own cache [G1]', async () => {
    const loader = perCaller(() => new DataLoader(batch))
    const seen = await Promise.all(
      ['alice', 'bob'].map((user) =>
        callers.as(user, async () => [await loader().load('x'), await loader().load('x')]),
      ),
    )
    const nobody = await loader().load('x')
    expect(seen).toEqual([
      ['x for alice', 'x for alice'],
      ['x for bob', 'x for bob'],
    ])
    expect(nobody).toBe('x for undefined')
    expect(callers.arrivals().toSorted()).toEqual(['x as alice', 'x as bob', 'x as nobody'])
  })

  it('perCaller: what one caller loads at once is one batch', async () => {
    const batches: (readonly string[])[] = []
    const loader = perCaller(
      () =>
        new DataLoader(async (keys: readonly string[]) => {
          batches.push(keys)
          return keys
        }),
    )
    await callers.as('alice', () => Promise.all(['a', 'b', 'a'].map((key) => loader().load(key))))
    expect(batches).toEqual([['a', 'b']])
  })

  it('perCaller: two requests of one person are two callers', async () => {
    const own = perCaller(() => ({}))
    const token = callers.token('alice')
    const [first, second] = [await runWithToken(token, own), await runWithToken(token, own)]
    expect(first).not.toBe(second)
    expect(own()).toBe(own())
  })

  interface Load {
    readonly key: string
    readonly context: Context
  }
  const shared = (): DataLoader<Load, string> =>
    new DataLoader(
      (loads: readonly Load[]) =>
        runAsAll(
          loads.map(({ context }) => context),
          () => batch(loads.map(({ key }) => key)),
        ),
      { cache: false },
    )
  const load = (loader: DataLoader<Load, string>, key: string): Promise<string> =>
    loader.load({ key, context: context.active() })

  it('runAsAll: a batch of a hundred callers has none [G1]', async () => {
    const loader = shared()
    const all = barrier(100)
    await callers.asEach((user) => all().then(() => load(loader, user)))
    expect(callers.verdict()).toEqual({ right: 0, wrong: 0, nobody: 100 })
  })

  it('runAsAll: a batch of one caller is that of this caller, in any context', async () => {
    const loader = shared()
    const token = callers.token('alice')
    const loads = ['a', 'b'].map((key) => runWithToken(token, () => load(loader, key)))
    expect(await Promise.all(loads)).toEqual(['a for alice', 'b for alice'])
    expect(callers.arrivals().toSorted()).toEqual(['a as alice', 'b as alice'])
  })
})

describe('runAsAll', () => {
  const contextOf = (user: string): Promise<Context> => callers.as(user, () => context.active())
  const outcome = (): unknown => [subject(), callers.relay.explain(callers.origin).reason]
  const AMBIGUOUS = [undefined, 'ambiguous']

  it('is ambiguous for two callers, and sends nothing', async () => {
    const contexts = await Promise.all(['alice', 'bob'].map(contextOf))
    expect(runAsAll(contexts, outcome)).toEqual(AMBIGUOUS)
    await runAsAll(contexts, () => callers.call('alice'))
    expect(callers.arrivals()).toEqual(['alice as nobody'])
  })

  it('is ambiguous with and without a caller: work without a caller is not done with a token', async () => {
    const alice = await contextOf('alice')
    expect(runAsAll([alice, ROOT_CONTEXT], outcome)).toEqual(AMBIGUOUS)
    expect(runAsAll([ROOT_CONTEXT, alice], outcome)).toEqual(AMBIGUOUS)
  })

  it('is ambiguous for two tokens of one person, which may allow different things', async () => {
    expect(runAsAll([await contextOf('alice'), await contextOf('alice')], outcome)).toEqual(AMBIGUOUS)
  })

  it('stays ambiguous, in whatever is done with it', async () => {
    const [alice, bob] = await Promise.all(['alice', 'bob'].map(contextOf))
    const both = runAsAll([alice, bob] as Context[], () => context.active())
    expect(runAsAll([both, both], outcome)).toEqual(AMBIGUOUS)
    expect(runAsAll([both, alice] as Context[], outcome)).toEqual(AMBIGUOUS)
  })

  it('runs as the caller that all have, and without a caller if none has one', async () => {
    const alice = await contextOf('alice')
    const again = setCredential(ROOT_CONTEXT, getActiveCredentialOf(alice))
    expect(runAsAll([alice, again], subject)).toBe('alice')
    await callers.as('mallory', () => {
      expect(runAsAll([alice], subject)).toBe('alice')
      expect(runAsAll([ROOT_CONTEXT, ROOT_CONTEXT], subject)).toBeUndefined()
      expect(runAsAll([], subject)).toBeUndefined()
      expect(subject()).toBe('mallory')
    })
  })

  function getActiveCredentialOf(ctx: Context): NonNullable<ReturnType<typeof getActiveCredential>> {
    const credential = context.with(ctx, getActiveCredential)
    if (credential === undefined) throw new Error('nobody')
    return credential
  }
})

it('perCaller takes a function', () => {
  expect(() => perCaller({} as () => unknown)).toThrow(new TypeError('create: expected a function'))
})
