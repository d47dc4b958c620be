/** jose checks signatures only; claims that our rules accept, its rules would accept, too. */

import fc from 'fast-check'
import { UnsecuredJWT } from 'jose'
import { expect, it } from 'vitest'
import { checkClaims } from '../../src/verification/claim-rules.ts'
import type { ClaimPolicy } from '../../src/verification/issuer.ts'
import { segment } from '../support/signer.ts'

const NOW = 1_767_323_045
const ISSUER = 'https://id.example'

const odd = fc.constantFrom<unknown>(null, '', 'alice', [], {}, true, -1, 1e300, String(NOW))
/** In whole seconds and between them. */
const dateFrom = (min: number, max: number) =>
  fc.oneof(
    { weight: 8, arbitrary: fc.double({ min: NOW + min, max: NOW + max, noNaN: true }) },
    { weight: 8, arbitrary: fc.integer({ min: NOW + min, max: NOW + max }) },
    { weight: 1, arbitrary: odd },
  )
const audience = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom<unknown>('a', 'b', ['a'], ['c', 'b'], ['c'], 'A', 'a ') },
  { weight: 1, arbitrary: odd },
)
// Around the edges that tolerance and age have.
const claims = fc.record(
  { aud: audience, exp: dateFrom(-8, 80), nbf: dateFrom(-8, 8), iat: dateFrom(-80, 8), sub: fc.constant('alice') },
  { requiredKeys: ['aud'] },
)
const policy: fc.Arbitrary<ClaimPolicy> = fc.record({
  audience: fc.constantFrom(null, ['a'], ['a', 'b']),
  requiredClaims: fc.subarray(['exp', 'iat', 'sub', 'toString']),
  clockToleranceSeconds: fc.constantFrom(0, 5, 0.5),
  maxTokenAgeSeconds: fc.constantFrom(undefined, 60),
  maxLifetimeSeconds: fc.constantFrom(undefined, 120),
})

function doesJoseAccept(members: object, policy: ClaimPolicy, nowSeconds: number): boolean {
  try {
    UnsecuredJWT.decode(`${segment({ alg: 'none' })}.${segment({ ...members, iss: ISSUER })}.`, {
      issuer: ISSUER,
      requiredClaims: [...policy.requiredClaims],
      clockTolerance: policy.clockToleranceSeconds,
      ...(policy.audience === null ? {} : { audience: [...policy.audience] }),
      ...(policy.maxTokenAgeSeconds === undefined ? {} : { maxTokenAge: policy.maxTokenAgeSeconds }),
      currentDate: new Date(nowSeconds * 1000),
    })
    return true
  } catch {
    return false
  }
}

it('jose accepts all claims that are accepted here', () => {
  let accepted = 0
  const numRuns = 20_000
  fc.assert(
    fc.property(claims, policy, fc.integer({ min: 0, max: 999 }), (members, settings, millis) => {
      const now = NOW + millis / 1000
      if (checkClaims(members, settings, now) !== undefined) return
      accepted += 1
      expect(doesJoseAccept(members, settings, now)).toBe(true)
    }),
    { numRuns },
  )
  expect(accepted).toBeGreaterThan(numRuns / 20)
})
