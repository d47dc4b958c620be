/** A verified credential has the facts of its token, and no code can change them. */

import { inspect } from 'node:util'
import { ROOT_CONTEXT } from '@opentelemetry/api'
import { describe, expect, it } from 'vitest'
import type { VerifiedCredential } from '../../src/index.ts'
import { getCredential, setCredential } from '../../src/index.ts'
import { UnverifiedCredential } from '../../src/token/credential.ts'
import { fingerprint } from '../../src/token/fingerprint.ts'
import { createVerifiedCredential, isVerifiedCredential } from '../../src/token/verified-credential.ts'

const KEY = 'a key of at least sixteen'

function credentialWith(claims: Record<string, unknown>): VerifiedCredential {
  return createVerifiedCredential({
    text: 'header.payload.signature',
    claims,
    policy: {
      issuer: 'https://id.example',
      scopeClaims: ['scope', 'scp', 'roles'],
      roleClaims: [['roles']],
      fingerprintKey: KEY,
      watch: () => new AbortController().signal,
      actors: 'hash',
    },
  })
}

describe('a verified credential', () => {
  it('has the issuer, the subject, the claims and the expiry of its token', () => {
    const claims = { sub: 'alice', exp: 1_700_000_000, email: 'alice@example.com' }
    expect(credentialWith(claims)).toMatchObject({
      issuer: 'https://id.example',
      subject: 'alice',
      claims,
      expiresAtMillis: 1_700_000_000_000,
      fingerprint: fingerprint('header.payload', KEY),
    })
  })

  it('has no subject and does not expire if its token has no sub and exp', () => {
    expect(credentialWith({})).toMatchObject({ subject: undefined, expiresAtMillis: Number.POSITIVE_INFINITY })
  })

  it.each([
    ['one name', 'a', ['a']],
    ['several names', ['a', 'b'], ['a', 'b']],
    ['none', undefined, []],
    ['other types, left out', ['a', 1, null, ['b']], ['a']],
  ])('audience is always a list: %s', (_, aud, expected) => {
    expect(credentialWith({ aud }).audience).toEqual(expected)
  })

  it.each([
    ['two', 'read write', ['read', 'write']],
    ['without duplicates', 'read write read', ['read', 'write']],
    ['without empty ones', '  read   write ', ['read', 'write']],
    ['an empty text', '', []],
    ['no claim', undefined, []],
    ['a list', ['read', 'write', 'read', 7, ''], ['read', 'write']],
    ['neither a text nor a list', { read: true }, []],
    ['case is kept (RFC 6749 §3.3)', 'Read read', ['Read', 'read']],
  ])('scopes are the members of the scope claim: %s', (_, scope, expected) => {
    expect(credentialWith({ scope }).scopes).toEqual(expected)
  })

  it('prints as its fingerprint', () => {
    const credential = credentialWith({ sub: 'alice', email: 'alice@example.com' })
    const expected = `[VerifiedCredential ${credential.fingerprint}]`
    expect([`${credential}`, inspect(credential), JSON.parse(JSON.stringify(credential))]).toEqual([
      expected,
      expected,
      expected,
    ])
  })
})

describe('no code can change [C10]', () => {
  const deep = { sub: 'alice', scope: 'read', aud: ['a'], address: { lines: [{ text: 'x' }] } }
  const credential = credentialWith(structuredClone(deep))

  it.each([
    ['a claim', () => Object.assign(credential.claims, { sub: 'mallory' })],
    ['a new claim', () => Object.assign(credential.claims, { admin: true })],
    ['a claim within a claim', () => Object.assign(credential.claims['address'] as object, { lines: [] })],
    ['a list in a claim', () => (credential.claims['address'] as { lines: object[] }).lines.push({})],
    ['an object in a list', () => Object.assign((credential.claims['aud'] as object[]) ?? {}, { 0: 'b' })],
    ['scopes', () => (credential.scopes as string[]).push('write')],
    ['audience', () => (credential.audience as string[]).push('b')],
    ['subject', () => Object.assign(credential, { subject: 'mallory' })],
    ['expiresAtMillis', () => Object.assign(credential, { expiresAtMillis: 1 })],
    ['the prototype of the claims', () => Object.setPrototypeOf(credential.claims, { admin: true })],
  ])('%s', (_, change) => {
    expect(change).toThrow(TypeError)
    expect(credential).toMatchObject({ subject: 'alice', claims: deep, scopes: ['read'], audience: ['a'] })
  })

  it('a deeply nested claim does not exhaust the stack', () => {
    const nested: unknown = JSON.parse(`${'['.repeat(3_000)}${']'.repeat(3_000)}`)
    const { claims } = credentialWith({ nested })
    expect(Object.isFrozen((claims['nested'] as unknown[])[0])).toBe(true)
  })

  it('a claim named __proto__ is a claim, and no prototype [B11]', () => {
    const { claims } = credentialWith(JSON.parse('{"__proto__":{"admin":true},"constructor":1,"toString":"x"}'))
    expect(Object.getPrototypeOf(claims)).toBe(Object.prototype)
    expect((claims as { admin?: unknown }).admin).toBeUndefined()
    expect((Object.prototype as { admin?: unknown }).admin).toBeUndefined()
  })
})

describe('isVerifiedCredential and setCredential', () => {
  const real = credentialWith({ sub: 'alice', exp: 4_000_000_000 })
  const LOOK_ALIKES: readonly (readonly [string, unknown])[] = [
    ['a copy', { ...real, subject: 'alice', reveal: () => 'a.b.c' }],
    ['an object with its prototype', Object.create(Object.getPrototypeOf(real) as object)],
    ['an object that inherits from it', Object.create(real)],
    ['a proxy of it', new Proxy(real, {})],
    ['a clone', structuredClone(real)],
    ['a credential that was not verified', new UnverifiedCredential('a.b.c')],
    ['a text', 'header.payload.signature'],
    ['null', null],
    ['undefined', undefined],
  ]

  it.each(LOOK_ALIKES)('refuse %s', (_, value) => {
    expect(isVerifiedCredential(value)).toBe(false)
  })

  it.each(LOOK_ALIKES)('%s is refused by setCredential', (_, value) => {
    expect(() => setCredential(ROOT_CONTEXT, value as VerifiedCredential)).toThrow(
      new TypeError('credential: expected one that the relay has verified'),
    )
  })

  it('accept a real credential, frozen or not', () => {
    expect(getCredential(setCredential(ROOT_CONTEXT, Object.freeze(real)))).toBe(real)
  })
})
