/** The box in which a token travels: `unverified` becomes `verified` or `rejected`, once. */

import { inspect } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import { CredentialSlot } from '../../src/context/slot.ts'
import type { Credential } from '../../src/token/credential.ts'
import { TokenRejectedError, UndecidedError } from '../../src/token/errors.ts'
import type { Verifier } from '../../src/verification/verifier.ts'
import { credentialOf } from '../support/credential.ts'

const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.bWFya2Vy.c2ln'
const alice = credentialOf({ sub: 'alice' }, TOKEN)
const presented = (): CredentialSlot => CredentialSlot.presented({ kind: 'token', text: TOKEN })
const verifying = (outcome: () => Promise<typeof alice>): Verifier & { decide: ReturnType<typeof vi.fn> } => ({
  recall: () => undefined,
  recognize: () => undefined,
  decide: vi.fn(outcome),
  verify: outcome,
  verifyAsOf: vi.fn(),
})
const bad = new TokenRejectedError('ERR_TOKEN_SIGNATURE')

it('is verified once, however many ask at once or later', async () => {
  const verifier = verifying(async () => alice)
  const slot = presented()
  const states = await Promise.all([slot.settle(verifier), slot.settle(verifier), slot.settle(verifier)])
  expect(await slot.settle(verifier)).toBe(states[0])
  expect(new Set(states).size).toBe(1)
  expect(slot.state).toEqual({ status: 'verified', credential: alice })
  expect(verifier.decide).toHaveBeenCalledTimes(1)
  expect((verifier.decide.mock.calls[0]?.[0] as Credential).reveal()).toBe(TOKEN)
})

describe.each([bad, new UndecidedError('ERR_TOKEN_KEYS_UNAVAILABLE')])('%s', (error) => {
  it('is a final state, and no rejection of the promise', async () => {
    const slot = presented()
    const verifier = verifying(() => Promise.reject(error))
    expect(await slot.settle(verifier)).toEqual({ status: 'rejected', error })
    expect(slot.settle(verifying(async () => alice))).toEqual({ status: 'rejected', error })
  })
})

it.each([
  ['none', 'absent'],
  ['malformed', 'rejected'],
  ['too_large', 'rejected'],
] as const)('what presented %s is %s at once, without any verification', (kind, status) => {
  const verifier = verifying(async () => alice)
  expect(CredentialSlot.presented({ kind }).settle(verifier)).toMatchObject({ status })
  expect(verifier.decide).not.toHaveBeenCalled()
})

describe('a finding that the extraction could not see', () => {
  it('refuses what has not been decided', () => {
    for (const slot of [presented(), CredentialSlot.presented({ kind: 'none' })]) {
      slot.reject(bad)
      expect(slot.state).toEqual({ status: 'rejected', error: bad })
    }
  })

  it('refuses while the verification is under way, and stays', async () => {
    const slot = presented()
    const settling = slot.settle(verifying(async () => alice))
    slot.reject(bad)
    expect(await settling).toEqual({ status: 'rejected', error: bad })
    expect(slot.state).toEqual({ status: 'rejected', error: bad })
  })

  it('does not change what was decided', () => {
    const verified = CredentialSlot.verified(alice)
    verified.reject(bad)
    expect(verified.state).toEqual({ status: 'verified', credential: alice })
    const malformed = CredentialSlot.presented({ kind: 'malformed' })
    malformed.reject(bad)
    expect(malformed.state).toMatchObject({ error: { code: 'ERR_TOKEN_REQUEST' } })
  })
})

it('G5 prints nothing of the token', () => {
  const everything = { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true } as const
  for (const slot of [presented(), CredentialSlot.verified(alice)]) {
    const printed = [inspect(slot, everything), JSON.stringify(slot), String(slot), inspect(slot.state, everything)]
    for (const part of TOKEN.split('.')) expect(printed.join()).not.toContain(part)
  }
})
