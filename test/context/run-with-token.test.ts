/** Work that runs as the subject of a token: the caller is there after every kind of waiting, and only there. */

import { AsyncResource } from 'node:async_hooks'
import { EventEmitter, once } from 'node:events'
import { readFile } from 'node:fs'
import { PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import { ISSUER, optionsFor, refusal } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const tokenOf = (sub: string): string => signer.token(goodClaims(ISSUER, { sub }))
const subject = (): string | undefined => getActiveCredential()?.subject

let relay: TokenRelay
beforeEach(() => {
  relay = createTokenRelay(optionsFor([signer.jwk]))
})
afterEach(() => relay.shutdown())

type Waiting = readonly [what: string, wait: () => Promise<string | undefined>]
const callback = (schedule: (done: () => void) => void): Promise<string | undefined> =>
  new Promise((resolve) => schedule(() => resolve(subject())))

const WAITINGS: readonly Waiting[] = [
  ['nothing', async () => subject()],
  ['a promise', async () => Promise.resolve().then(subject)],
  ['several promises', async () => (await Promise.all([wait(1), wait(2)]).then(() => [subject()]))[0]],
  ['the first of several promises', async () => Promise.race([wait(1), wait(9)]).then(subject)],
  ['a promise that was rejected', async () => Promise.reject(new Error('x')).catch(subject)],
  ['a timer', () => callback((done) => setTimeout(done, 1))],
  ['a promise of a timer', async () => wait(1).then(subject)],
  ['the next turn', () => callback(setImmediate)],
  ['the next tick', () => callback(process.nextTick)],
  ['a microtask', () => callback(queueMicrotask)],
  ['a callback', () => callback((done) => readFile(import.meta.filename, done))],
  ['a promisified callback', async () => promisify(readFile)(import.meta.filename).then(subject)],
  [
    'an interval',
    () =>
      callback((done) => {
        const timer = setInterval(() => {
          clearInterval(timer)
          done()
        }, 1)
      }),
  ],
  [
    'an event',
    async () => {
      const emitter = new EventEmitter()
      setTimeout(() => emitter.emit('x'), 1)
      await once(emitter, 'x')
      return subject()
    },
  ],
  ['a stream', () => callback((done) => Readable.from(['a', 'b']).on('end', done).resume())],
  [
    'an iteration over a stream',
    async () => {
      const subjects = new Set<string | undefined>()
      for await (const _ of Readable.from(['a', 'b'])) subjects.add(subject())
      return subjects.size === 1 ? [...subjects][0] : 'several'
    },
  ],
  [
    'a pipeline',
    async () => {
      const seen: (string | undefined)[] = []
      await pipeline(
        Readable.from(['a']),
        async function* (source: AsyncIterable<string>) {
          for await (const chunk of source) {
            seen.push(subject())
            yield chunk
          }
        },
        new PassThrough().resume(),
      )
      return seen.length === 1 ? seen[0] : 'several'
    },
  ],
  [
    'an asynchronous generator',
    async () => {
      async function* subjects(): AsyncGenerator<string | undefined> {
        await wait(1)
        yield subject()
      }
      return (await subjects().next()).value as string | undefined
    },
  ],
  ['a bound function', async () => AsyncResource.bind(subject)()],
]

describe('the caller is there after', () => {
  it.each(WAITINGS)('%s', async (_, waiting) => {
    expect(await runWithToken(tokenOf('alice'), waiting)).toBe('alice')
  })
})

it('every one of many callers at once is there for itself, whatever all wait for [G1]', async () => {
  const callers = Array.from({ length: 20 }, (_, i) => `caller-${i}`)
  const seen = await Promise.all(
    callers.map((caller) =>
      runWithToken(tokenOf(caller), async () => {
        const subjects = new Set<string | undefined>()
        for (const [, waiting] of WAITINGS) subjects.add(await waiting())
        return [...subjects]
      }),
    ),
  )
  expect(seen).toEqual(callers.map((caller) => [caller]))
})

it('the caller is gone outside, before and after', async () => {
  expect(subject()).toBeUndefined()
  const running = runWithToken(tokenOf('alice'), () => wait(1))
  expect(subject()).toBeUndefined()
  await running
  expect(subject()).toBeUndefined()
})

it('a caller within a caller is the inner one, and then the outer one again', async () => {
  const seen = await runWithToken(tokenOf('alice'), async () => {
    const inner = await runWithToken(tokenOf('bob'), async () => wait(1).then(subject))
    return [inner, subject()]
  })
  expect(seen).toEqual(['bob', 'alice'])
})

describe('the function', () => {
  it('gives its value back, promised or not', async () => {
    expect(await runWithToken(tokenOf('alice'), () => 7)).toBe(7)
    expect(await runWithToken(tokenOf('alice'), async () => 7)).toBe(7)
    expect(await runWithToken(tokenOf('alice'), () => undefined)).toBeUndefined()
  })

  it('gives its error back', async () => {
    const error = new Error('of the application')
    const fail = (): never => {
      throw error
    }
    await expect(runWithToken(tokenOf('alice'), fail)).rejects.toBe(error)
    await expect(runWithToken(tokenOf('alice'), () => Promise.reject(error))).rejects.toBe(error)
  })

  it('is not called for a bad token', async () => {
    const run = vi.fn()
    await expect(runWithToken('a.b.c', run)).rejects.toMatchObject(refusal('ERR_TOKEN_MALFORMED'))
    await expect(runWithToken(signer.token(goodClaims(ISSUER, { aud: 'other' })), run)).rejects.toMatchObject(
      refusal('ERR_TOKEN_AUDIENCE'),
    )
    expect(run).not.toHaveBeenCalled()
  })

  it('is not called where no relay is active', async () => {
    await relay.shutdown()
    const run = vi.fn()
    await expect(runWithToken(tokenOf('alice'), run)).rejects.toThrow(
      new Error('no token relay is active in this thread'),
    )
    expect(run).not.toHaveBeenCalled()
  })
})
