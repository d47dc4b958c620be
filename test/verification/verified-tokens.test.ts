/** What is remembered of verified tokens: found by the whole text and nothing else, bounded, and gone when it has ended. */

import { describe, expect, it } from 'vitest'
import type { VerifiedToken } from '../../src/verification/verified-tokens.ts'
import { createVerifiedTokens } from '../../src/verification/verified-tokens.ts'

const END = 'e'.repeat(60)
const issuer = { keys: { stillHolds: () => true } }

function token(text: string, name: string, isSigned = true, until = Number.POSITIVE_INFINITY): VerifiedToken {
  const keyThumbprint = isSigned ? 'key' : undefined
  const credential = { name, byteLength: text.length, reveal: () => text }
  return { credential, issuer, keyThumbprint, from: 0, until } as unknown as VerifiedToken
}
const nameOf = (found: VerifiedToken | undefined): unknown =>
  (found?.credential as { name?: unknown } | undefined)?.name

describe('C1 tokens that end alike', () => {
  it.each([true, false])('are told apart, whether signed (%s)', (isSigned) => {
    const tokens = createVerifiedTokens(10, () => true)
    for (const name of ['alice', 'bob']) tokens.set(token(`${name}.${END}`, name, isSigned))
    expect(['alice', 'bob', 'carol'].map((name) => nameOf(tokens.get(`${name}.${END}`)))).toEqual([
      'alice',
      'bob',
      undefined,
    ])
    expect(nameOf(tokens.get(END))).toBeUndefined()
  })

  it('take the place of each other where they begin like a JWS, and never each other’s verdict', () => {
    const tokens = createVerifiedTokens(10, () => true)
    const [alice, bob] = ['eyalice', 'eybob'].map((name) => `${name}.${END}`) as [string, string]
    tokens.set(token(alice, 'alice'))
    expect(nameOf(tokens.get(alice))).toBe('alice')
    tokens.set(token(bob, 'bob'))
    // Asked for last, so that it may be at hand still; with its own verdict in any case.
    expect([undefined, 'alice']).toContain(nameOf(tokens.get(alice)))
    expect(nameOf(tokens.get(bob))).toBe('bob')
    expect([tokens.recognize(bob), tokens.get(`eycarol.${END}`)]).toEqual([bob, undefined])
  })
})

describe('C5 a text is recognized', () => {
  it('where its signature was verified, and nowhere else', () => {
    const tokens = createVerifiedTokens(10, () => true)
    tokens.set(token(`alice.${END}`, 'alice'))
    tokens.set(token('opaque', 'bob', false))
    const texts = [`alice.${END}`, `bob.${END}`, END, 'opaque', '']
    expect(texts.map(tokens.recognize)).toEqual([`alice.${END}`, undefined, undefined, undefined, undefined])
  })

  it('no longer than it is remembered: others have come, or it has ended', () => {
    const tokens = createVerifiedTokens(2, () => true)
    const texts = ['a', 'b', 'c'].map((name) => `${name}.${name.repeat(60)}`)
    for (const text of texts) tokens.set(token(text, text))
    expect(texts.map(tokens.recognize)).toEqual([undefined, ...texts.slice(1)])
    tokens.set(token(`ended.${END}`, 'ended', true, 1))
    expect(nameOf(tokens.get(`ended.${END}`))).toBeUndefined()
    expect(tokens.recognize(`ended.${END}`)).toBeUndefined()
  })

  it('longer than those that nobody has asked for', () => {
    const tokens = createVerifiedTokens(2, () => true)
    const [a, b, c] = ['a', 'b', 'c'].map((name) => `${name}.${name.repeat(60)}`) as [string, string, string]
    for (const text of [a, b]) tokens.set(token(text, text))
    expect(nameOf(tokens.get(a))).toBe(a)
    tokens.set(token(c, c))
    expect([c, b].map(tokens.recognize)).toEqual([c, undefined])
    expect(tokens.recognize(a)).toBe(a)
  })

  it('nothing is, where nothing is remembered', () => {
    const tokens = createVerifiedTokens(0, () => true)
    tokens.set(token('alice', 'alice'))
    expect([tokens.get('alice'), tokens.recognize('alice')]).toEqual([undefined, undefined])
  })
})
