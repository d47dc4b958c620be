/** The canaries of the leak rig: good tokens, and tokens that are bad in every usual way. */

import { randomBytes } from 'node:crypto'
import type { Canaries } from '../../src/testing/pieces.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { createSigner } from '../support/signer.ts'

interface Canary {
  readonly token: string
  /** What is wrong with it. */
  readonly defect?: string
  /** Only a look at the keys that are published now can say so, and made-up tokens do not get the issuer asked for ever. */
  readonly takesLook?: true
}

export interface LeakTokens {
  readonly good: readonly Canary[]
  readonly bad: readonly Canary[]
  /** Another good token, which ends `seconds` from now. */
  fresh(seconds: number): Promise<Canary>
}

export async function createLeakTokens(issuer: TestIssuer, canaries: Canaries, count: number): Promise<LeakTokens> {
  const stranger = createSigner('ES256', 'ES256-1')
  const now = Math.floor(Date.now() / 1000)
  async function mint(claims: Readonly<Record<string, unknown>>, header = {}): Promise<string> {
    const marker = `canary-${randomBytes(12).toString('hex')}`
    const token = await issuer.token({ exp: now + 21_600, ...claims, marker }, header)
    canaries.add(token, marker)
    return token
  }
  function known(token: string): string {
    canaries.add(token, '')
    return token
  }

  const good = await Promise.all(
    Array.from({ length: count }, async (_, i) => ({ token: await mint({ sub: `s-${i}` }) })),
  )
  const [sample = ''] = [await mint({})]
  const claims = { iss: issuer.issuer, sub: 'eve', aud: 'user-service', iat: now, exp: now + 21_600 }
  const bad: readonly Canary[] = [
    { defect: 'for another audience', token: await mint({ aud: 'another' }) },
    { defect: 'expired', token: await mint({ iat: now - 600, exp: now - 300 }) },
    { defect: 'of another issuer', token: await mint({ iss: 'https://elsewhere.example' }) },
    { defect: 'of another type', token: await mint({}, { typ: 'logout+jwt' }) },
    { defect: 'an ID token', token: await mint({ nonce: 'n-0S6_WzA2Mj' }, { typ: 'JWT' }) },
    { defect: 'not yet valid', token: await mint({ nbf: now + 3000 }) },
    { defect: 'without end', token: await mint({ exp: undefined }) },
    { defect: 'with an unknown key', token: await mint({}, { kid: 'unknown' }), takesLook: true },
    { defect: 'with an unknown key, and old', token: await mint({ iat: now - 600 }, { kid: 'unknown' }) },
    { defect: 'with another signature', token: known(`${sample.slice(0, -20)}${'A'.repeat(20)}`) },
    { defect: 'signed by a stranger', token: known(stranger.token(claims)) },
    {
      defect: 'not signed',
      token: known(`${stranger.token(claims, { alg: 'none', typ: 'at+jwt' }).replace(/[^.]*$/, '')}`),
    },
    { defect: 'not a token', token: known(randomBytes(40).toString('base64url')) },
  ]
  return {
    good,
    bad,
    fresh: async (seconds) => ({ token: await mint({ sub: 'soon', exp: Math.floor(Date.now() / 1000) + seconds }) }),
  }
}
