/** The credential as an entry of a context. */

import { createContextKey, ROOT_CONTEXT } from '@opentelemetry/api'
import { describe, expect, it } from 'vitest'
import { getSlot, setSlot } from '../../src/context/credential-context.ts'
import { CredentialSlot } from '../../src/context/slot.ts'
import { deleteCredential, getActiveCredential, getCredential, setCredential } from '../../src/index.ts'
import { Credential } from '../../src/token/credential.ts'
import { TokenRejectedError } from '../../src/token/errors.ts'
import { credentialOf } from '../support/credential.ts'

const OTHER = createContextKey('an entry of somebody else')
const [alice, bob] = [credentialOf({ sub: 'alice', exp: 1 }), credentialOf({ sub: 'bob', exp: 1 })]

it('a context holds none, unless one was set', () => {
  expect(getCredential(ROOT_CONTEXT)).toBeUndefined()
  expect(getActiveCredential()).toBeUndefined()
  expect(getCredential(setCredential(ROOT_CONTEXT, alice))).toBe(alice)
})

it('the last one counts, and the contexts before keep theirs', () => {
  const first = setCredential(ROOT_CONTEXT.setValue(OTHER, 1), alice)
  const second = setCredential(first, bob)
  const none = deleteCredential(second)
  expect([first, second, none].map((ctx) => getCredential(ctx)?.subject)).toEqual(['alice', 'bob', undefined])
  expect([first, second, none].map((ctx) => ctx.getValue(OTHER))).toEqual([1, 1, 1])
})

it('deleting where there is none does nothing', () => {
  expect(getCredential(deleteCredential(ROOT_CONTEXT))).toBeUndefined()
})

it('one that has expired is still told: who called does not change', () => {
  expect(getCredential(setCredential(ROOT_CONTEXT, alice))?.expiresAtMillis).toBe(1_000)
})

describe('a slot', () => {
  it('E11 that waits to be verified is no credential', () => {
    const slot = CredentialSlot.presented({ kind: 'token', text: 'a.b.c' })
    expect(slot.state.status).toBe('unverified')
    expect(getCredential(setSlot(ROOT_CONTEXT, slot))).toBeUndefined()
  })

  it('E11 that was refused is no credential', () => {
    const slot = CredentialSlot.presented({ kind: 'malformed' })
    expect(slot.state.status).toBe('rejected')
    expect(getCredential(setSlot(ROOT_CONTEXT, slot))).toBeUndefined()
  })

  it('without a token is no credential', () => {
    const slot = CredentialSlot.presented({ kind: 'none' })
    expect(slot.state.status).toBe('absent')
    expect(getCredential(setSlot(ROOT_CONTEXT, slot))).toBeUndefined()
  })

  it('is a credential in every context that holds it, as soon as it is verified', async () => {
    const slot = CredentialSlot.presented({ kind: 'token', text: 'a.b.c' })
    const contexts = [setSlot(ROOT_CONTEXT, slot), setSlot(ROOT_CONTEXT.setValue(OTHER, 1), slot)]
    await slot.settle({
      recall: () => undefined,
      recognize: () => undefined,
      decide: async () => alice,
      verify: async () => alice,
      verifyAsOf: async () => alice,
    })
    expect(contexts.map((ctx) => getCredential(ctx))).toEqual([alice, alice])
  })

  it('that somebody else put there is ignored', () => {
    const key = createContextKey('otel-token-relay credential')
    for (const value of [alice, { state: { status: 'verified', credential: alice } }, 'a.b.c', null, true]) {
      const ctx = ROOT_CONTEXT.setValue(key, value)
      expect(getSlot(ctx)).toBeUndefined()
      expect(getCredential(ctx)).toBeUndefined()
    }
  })

  it('a look-alike of a slot is ignored, also one with its prototype', () => {
    const key = createContextKey('otel-token-relay credential')
    const real = CredentialSlot.verified(alice)
    for (const value of [Object.create(real), Object.create(CredentialSlot.prototype), new Proxy(real, {})]) {
      expect(getCredential(ROOT_CONTEXT.setValue(key, value))).toBeUndefined()
    }
    expect(getCredential(ROOT_CONTEXT.setValue(key, real))).toBe(alice)
  })
})

it('setCredential refuses what the relay has not verified', () => {
  const rejected = new TokenRejectedError('ERR_TOKEN_MISSING')
  for (const value of [{ subject: 'alice' }, new Credential('a.b.c'), rejected, 'a.b.c', undefined]) {
    expect(() => setCredential(ROOT_CONTEXT, value as never)).toThrow(
      new TypeError('credential: expected one that the relay has verified'),
    )
  }
})
