/** What is remembered of verified tokens: found by the whole text and nothing else, bounded, and gone when it has ended. */

import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { UnverifiedCredential } from '../../src/token/credential.ts'
import type { CachedVerification } from '../../src/verification/verification-cache.ts'
import { VerificationCache } from '../../src/verification/verification-cache.ts'

afterEach(() => vi.useRealTimers())

const END = 'e'.repeat(60)
const issuer = { keys: { isStillPublished: () => true } }
const cacheOf = (maxEntries: number) => new VerificationCache(maxEntries, () => true)

function verified(text: string, { isSigned = true, until = Number.POSITIVE_INFINITY } = {}): CachedVerification {
  const keyThumbprint = isSigned ? 'key' : undefined
  const credential = { byteLength: text.length, reveal: () => text }
  const presented = new UnverifiedCredential(text)
  return { credential, presented, issuer, keyThumbprint, from: 0, until, usedAt: 0 } as unknown as CachedVerification
}

describe('two tokens that end alike [C1]', () => {
  it.each([true, false])('are distinguished by the rest of their text (signed: %s)', (isSigned) => {
    const cache = cacheOf(10)
    const [alice, bob] = ['alice', 'bob'].map((name) =>
      verified(`${name}.${END}`, { isSigned }),
    ) as CachedVerification[]
    for (const entry of [alice, bob]) cache.set(entry as CachedVerification)
    expect(cache.get(`alice.${END}`)).toBe(alice)
    expect(cache.get(`bob.${END}`)).toBe(bob)
    expect([cache.get(`carol.${END}`), cache.get(END)]).toEqual([undefined, undefined])
  })

  it('may cost one its place in the cache, but neither gets the verdict of the other', () => {
    const cache = cacheOf(10)
    const [alice, bob] = [verified(`eyalice.${END}`), verified(`eybob.${END}`)]
    cache.set(alice)
    expect(cache.get(`eyalice.${END}`)).toBe(alice)
    cache.set(bob)
    expect(cache.get(`eyalice.${END}`)).toBeUndefined()
    expect([cache.get(`eybob.${END}`), cache.find(`eybob.${END}`)]).toEqual([bob, bob])
    expect([cache.get(`eycarol.${END}`), cache.find(`eycarol.${END}`)]).toEqual([undefined, undefined])
  })
})

describe('a parser finds a token [C5]', () => {
  it('only if a signature was verified under exactly this text', () => {
    const cache = cacheOf(10)
    const alice = verified(`alice.${END}`)
    cache.set(alice)
    cache.set(verified('opaque', { isSigned: false }))
    expect(cache.find(`alice.${END}`)).toBe(alice)
    for (const text of [`bob.${END}`, END, 'opaque', '']) expect(cache.find(text)).toBeUndefined()
  })

  it('until others have taken its place', () => {
    const cache = cacheOf(2)
    const texts = ['a', 'b', 'c'].map((name) => `${name}.${name.repeat(60)}`)
    for (const text of texts) cache.set(verified(text))
    expect(texts.map((text) => cache.find(text) !== undefined)).toEqual([false, true, true])
  })

  it('until a look has found that it has ended', () => {
    const cache = cacheOf(2)
    cache.set(verified(`ended.${END}`, { until: 1 }))
    expect(cache.get(`ended.${END}`)).toBeUndefined()
    expect(cache.find(`ended.${END}`)).toBeUndefined()
  })
})

it('forgets the token first that was not used for longest', () => {
  const cache = cacheOf(2)
  const [a, b, c] = ['a', 'b', 'c'].map((name) => `${name}.${name.repeat(60)}`) as [string, string, string]
  for (const text of [a, b]) cache.set(verified(text))
  expect(cache.get(a)).toBeDefined()
  cache.set(verified(c))
  expect([a, b, c].map((text) => cache.find(text) !== undefined)).toEqual([true, false, true])
})

it('remembers the tokens that were used last, whatever was used in between', () => {
  const texts = Array.from({ length: 8 }, (_, i) => `${i}.${String(i).repeat(60)}`)
  const use = fc.record({ text: fc.constantFrom(...texts), isNew: fc.boolean() })
  vi.useFakeTimers({ toFake: ['Date'], now: 0 })
  fc.assert(
    fc.property(fc.array(use, { maxLength: 60 }), (uses) => {
      const cache = cacheOf(4)
      const recent = new Set<string>()
      for (const { text, isNew } of uses) {
        vi.advanceTimersByTime(1_000)
        if (isNew) cache.set(verified(text))
        else expect(cache.get(text) !== undefined).toBe(recent.has(text))
        if (!isNew && !recent.has(text)) continue
        recent.delete(text)
        recent.add(text)
        for (const oldest of [...recent].slice(0, -4)) recent.delete(oldest)
      }
      expect(texts.filter((text) => cache.find(text) !== undefined)).toEqual(texts.filter((text) => recent.has(text)))
    }),
  )
})

it('a large token takes the place of several, and one that is too large has no place', () => {
  const cache = cacheOf(2)
  const [a, b] = ['a', 'b'].map((name) => `${name}.${name.repeat(60)}`) as [string, string]
  const [large, huge] = [`large.${'l'.repeat(4_000)}`, `huge.${'h'.repeat(5_000)}`]
  for (const text of [a, b, huge]) cache.set(verified(text))
  expect([a, b, huge].map((text) => cache.find(text) !== undefined)).toEqual([true, true, false])
  cache.set(verified(large))
  expect([a, b, large].map((text) => cache.find(text) !== undefined)).toEqual([false, true, true])
})

it('remembers nothing if it may hold nothing', () => {
  const cache = cacheOf(0)
  cache.set(verified(`alice.${END}`))
  expect([cache.get(`alice.${END}`), cache.find(`alice.${END}`)]).toEqual([undefined, undefined])
})
