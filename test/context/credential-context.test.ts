/** The credential as an entry of a context. */

import { createContextKey, ROOT_CONTEXT } from '@opentelemetry/api'
import { describe, expect, it } from 'vitest'
import { Caller } from '../../src/context/caller.ts'
import { callerOf, withCaller } from '../../src/context/credential-context.ts'
import { deleteCredential, getActiveCredential, getCredential, setCredential } from '../../src/index.ts'
import { UnverifiedCredential } from '../../src/token/credential.ts'
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

it('one that has expired is still returned: the caller does not change', () => {
  expect(getCredential(setCredential(ROOT_CONTEXT, alice))?.expiresAtMillis).toBe(1_000)
})

describe('a caller', () => {
  it('that waits to be verified is no credential [E11]', () => {
    const caller = Caller.fromHeader({ kind: 'token', credential: new UnverifiedCredential('a.b.c') })
    expect(caller.state.status).toBe('unverified')
    expect(getCredential(withCaller(ROOT_CONTEXT, caller))).toBeUndefined()
  })

  it('that was refused is no credential [E11]', () => {
    const caller = Caller.fromHeader({ kind: 'malformed' })
    expect(caller.state.status).toBe('rejected')
    expect(getCredential(withCaller(ROOT_CONTEXT, caller))).toBeUndefined()
  })

  it('without a token is no credential', () => {
    const caller = Caller.fromHeader({ kind: 'none' })
    expect(caller.state.status).toBe('absent')
    expect(getCredential(withCaller(ROOT_CONTEXT, caller))).toBeUndefined()
  })

  it('is a credential in every context that holds it, as soon as its caller is admitted', () => {
    const caller = Caller.fromHeader({ kind: 'token', credential: new UnverifiedCredential('a.b.c') })
    const contexts = [withCaller(ROOT_CONTEXT, caller), withCaller(ROOT_CONTEXT.setValue(OTHER, 1), caller)]
    caller.confirm(alice)
    expect(contexts.map((ctx) => getCredential(ctx))).toEqual([alice, alice])
  })

  it('that other code put there is ignored', () => {
    const key = createContextKey('otel-token-relay credential')
    for (const value of [alice, { state: { status: 'verified', credential: alice } }, 'a.b.c', null, true]) {
      const ctx = ROOT_CONTEXT.setValue(key, value)
      expect(callerOf(ctx)).toBeUndefined()
      expect(getCredential(ctx)).toBeUndefined()
    }
  })

  it('a look-alike of a caller is ignored, also one with its prototype', () => {
    const key = createContextKey('otel-token-relay credential')
    const real = Caller.verified(alice)
    for (const value of [Object.create(real), Object.create(Caller.prototype), new Proxy(real, {})]) {
      expect(getCredential(ROOT_CONTEXT.setValue(key, value))).toBeUndefined()
    }
    expect(getCredential(ROOT_CONTEXT.setValue(key, real))).toBe(alice)
  })
})

it('setCredential refuses what the relay has not verified', () => {
  const rejected = new TokenRejectedError('ERR_TOKEN_MISSING')
  for (const value of [{ subject: 'alice' }, new UnverifiedCredential('a.b.c'), rejected, 'a.b.c', undefined]) {
    expect(() => setCredential(ROOT_CONTEXT, value as never)).toThrow(
      new TypeError('credential: expected one that the relay has verified'),
    )
  }
})
