/** Forward or withhold, and why: one function for all ways out of the process. */

import { EventEmitter } from 'node:events'
import type { Context } from '@opentelemetry/api'
import { ROOT_CONTEXT } from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Caller } from '../../src/context/caller.ts'
import { setCredential, withCaller } from '../../src/context/credential-context.ts'
import type { Decision, EgressMode, Hop } from '../../src/destination/decision.ts'
import { createDecide } from '../../src/destination/decision.ts'
import { parsePattern } from '../../src/destination/pattern.ts'
import type { Rule } from '../../src/destination/rules.ts'
import { compileRules } from '../../src/destination/rules.ts'
import { announcedTarget } from '../../src/destination/target.ts'
import { suppressTracing } from '../../src/telemetry/suppression.ts'
import { UnverifiedCredential } from '../../src/token/credential.ts'
import { TokenRejectedError } from '../../src/token/errors.ts'
import type { VerifiedCredential } from '../../src/token/verified-credential.ts'
import { credentialOf } from '../support/credential.ts'

const NOW = 1_700_000_000
const ruleOf = (to: string, seal: boolean | string, more: Partial<Rule> = {}): Rule => ({
  to,
  pattern: parsePattern(to),
  seal,
  detached: 'withhold',
  maxHeaderBytes: 16_384,
  exchange: undefined,
  ...more,
})
const rules = compileRules([
  ruleOf('https://named.example', false),
  ruleOf('kafka:sealed', true),
  ruleOf('kafka:key', 'known'),
  ruleOf('kafka:clear', false),
  ruleOf('https://patient.example', false, { detached: 'allow' }),
  ruleOf('https://narrow.example', false, { maxHeaderBytes: 256 }),
])
const observed: Decision[] = []
const optionsWith = (mode: EgressMode) => ({
  rules,
  exchanged: () => undefined,
  checkRevocation: () => 'good' as const,
  mode,
  hasSealingKey: (seal: boolean | string) => seal === 'known',
  isBlocked: () => false,
})
const decide = createDecide(optionsWith('enforce'), (decision) => observed.push(decision))

function credentialWith(exp?: number): VerifiedCredential {
  return credentialOf(exp === undefined ? {} : { exp })
}
const credential = credentialWith(NOW + 300)
const VERIFIED = setCredential(ROOT_CONTEXT, credential)
const hopTo = (destination: string, obstacle?: Hop['obstacle']): Hop => ({
  target: announcedTarget(destination),
  obstacle,
})
const NAMED = hopTo('https://named.example')

beforeEach(() => vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1000 }))
afterEach(() => vi.useRealTimers())

it('forwards a verified token to a named destination', () => {
  expect(decide(VERIFIED, NAMED)).toEqual({
    verdict: 'forward',
    credential,
    rule: expect.objectContaining({ to: 'https://named.example' }),
    target: NAMED.target,
  })
})

it('forwards to a queue only if the token can be sealed, or the rule says seal: false', () => {
  expect(decide(VERIFIED, hopTo('kafka:clear'))).toMatchObject({ verdict: 'forward' })
  expect(decide(VERIFIED, hopTo('kafka:sealed'))).toMatchObject({ verdict: 'withhold', reason: 'not_sealed' })
  expect(decide(VERIFIED, hopTo('kafka:key'))).toMatchObject({ verdict: 'forward' })
})

describe('withholds, and says why', () => {
  it.each<readonly [string, Hop]>([
    ['unknown_destination', { target: undefined, obstacle: undefined }],
    ['unix_socket', { target: undefined, obstacle: 'unix_socket' }],
    ['not_named', hopTo('https://other.example')],
    ['not_named', hopTo('https://other.example', 'own_credential')],
    ['not_named', hopTo('kafka:other')],
    ['own_credential', hopTo('https://named.example', 'own_credential')],
    ['proxied', hopTo('https://named.example', 'proxied')],
    ['headers_sent', hopTo('https://named.example', 'headers_sent')],
  ])('%s', (reason, hop) => {
    expect(decide(VERIFIED, hop)).toMatchObject({ verdict: 'withhold', reason, target: hop.target })
  })

  it('not_verified: a token that is waiting to be verified, or was refused [E11]', () => {
    const caller = Caller.fromHeader({ kind: 'token', credential: new UnverifiedCredential('a.b.c') })
    const context = withCaller(ROOT_CONTEXT, caller)
    expect(decide(context, NAMED)).toMatchObject({ verdict: 'withhold', reason: 'not_verified' })
    caller.reject(new TokenRejectedError('ERR_TOKEN_SIGNATURE'))
    expect(decide(context, NAMED)).toMatchObject({ verdict: 'withhold', reason: 'not_verified' })
  })

  it('expired: at the very millisecond, if there is no tolerance [B5]', () => {
    const context = setCredential(ROOT_CONTEXT, credentialWith(NOW))
    expect(decide(context, NAMED)).toMatchObject({ verdict: 'withhold', reason: 'expired' })
    vi.setSystemTime(NOW * 1000 - 1)
    expect(decide(context, NAMED)).toMatchObject({ verdict: 'forward' })
  })

  it('expired: whatever the clock said when the token came [B6]', () => {
    expect(decide(VERIFIED, NAMED)).toMatchObject({ verdict: 'forward' })
    vi.setSystemTime((NOW + 300) * 1000)
    expect(decide(VERIFIED, NAMED)).toMatchObject({ verdict: 'withhold', reason: 'expired' })
  })

  it('a token without end does not expire', () => {
    const context = setCredential(ROOT_CONTEXT, credentialWith())
    expect(decide(context, NAMED)).toMatchObject({ verdict: 'forward' })
  })
})

describe('detached: after the request of the caller has ended [G2]', () => {
  const detached = (): Context => {
    const caller = Caller.verified(credential)
    const response = new EventEmitter()
    caller.trackRequest(response)
    const context = withCaller(ROOT_CONTEXT, caller)
    expect(decide(context, NAMED)).toMatchObject({ verdict: 'forward' })
    response.emit('close')
    return context
  }

  it('nothing leaves', () => {
    expect(decide(detached(), NAMED)).toMatchObject({ verdict: 'withhold', reason: 'detached' })
  })

  it('leaves until it expires, if the rule says so', () => {
    const context = detached()
    expect(decide(context, hopTo('https://patient.example'))).toMatchObject({ verdict: 'forward' })
    vi.setSystemTime((NOW + 300) * 1000)
    expect(decide(context, hopTo('https://patient.example'))).toMatchObject({ reason: 'expired' })
  })

  it('what was put into a context by hand has no request that could end', () => {
    const emitter = new EventEmitter()
    const caller = Caller.verified(credential)
    emitter.emit('close')
    expect(decide(withCaller(ROOT_CONTEXT, caller), NAMED)).toMatchObject({ verdict: 'forward' })
  })
})

describe('header_too_large: what the destination would answer 431', () => {
  const to = hopTo('https://narrow.example')
  const field = 'authorization: Bearer a.b.c\r\n'.length

  it.each([
    [256 - field, 'forward'],
    [257 - field, 'withhold'],
  ])('with %d bytes of other fields: %s', (bytes, verdict) => {
    expect(decide(VERIFIED, { ...to, headerBytes: () => bytes })).toMatchObject({ verdict })
  })

  it('is 16 KiB by default', () => {
    const withBytes = (bytes: number) => decide(VERIFIED, { ...NAMED, headerBytes: () => bytes })
    expect(withBytes(16_384 - field)).toMatchObject({ verdict: 'forward' })
    expect(withBytes(16_385 - field)).toMatchObject({ reason: 'header_too_large' })
  })
})

describe('report', () => {
  const report = createDecide(optionsWith('report'), (decision) => observed.push(decision))

  it('forwards nothing, and says what it would have done', () => {
    observed.length = 0
    const outcomes = [NAMED, hopTo('https://other.example'), hopTo('kafka:sealed')].map((hop) => report(VERIFIED, hop))
    expect(outcomes.map((each) => each?.verdict === 'withhold' && each.reason)).toEqual([
      'report_only',
      'not_named',
      'not_sealed',
    ])
    expect(observed).toEqual(outcomes)
  })
})

describe('has nothing to decide', () => {
  const absent = Caller.fromHeader({ kind: 'none' })

  it.each<readonly [string, Context]>([
    ['without a caller', ROOT_CONTEXT],
    ['for an anonymous caller', withCaller(ROOT_CONTEXT, absent)],
    ['where tracing is suppressed, as in exporters', suppressTracing(VERIFIED)],
  ])('%s', (_, context) => {
    expect(decide(context, NAMED)).toBeUndefined()
  })
})
