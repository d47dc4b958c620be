/** Tokens that were never seen before, with all rules, beside `jose.jwtVerify` with the rules that it has: alone, and 256 at once. */

import { jwtVerify } from 'jose'
import { createTokenRelay } from '../../src/index.ts'
import type { Result } from '../support/compare.ts'
import { compare } from '../support/compare.ts'
import { prove, report } from '../support/report.ts'
import type { SigningAlgorithm } from '../support/tokens.ts'
import { AUDIENCE, createSigner, createToken, ISSUER, rotate } from '../support/tokens.ts'

const ALGORITHMS: readonly SigningAlgorithm[] = ['RS256', 'ES256', 'EdDSA']
/** More than the cache holds, in the same order all over again: nothing is ever remembered when it comes again. */
const TOKENS = 1_500
const ENTRIES = 500
const AT_ONCE = 256

async function against(alg: SigningAlgorithm): Promise<readonly Result[]> {
  const signer = createSigner(alg)
  const tokens = Array.from({ length: TOKENS }, () => createToken(signer))
  const [mine, theirs] = [rotate(tokens), rotate(tokens)]
  const relay = createTokenRelay({
    issuers: [{ issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [signer.jwk] } }],
    cache: { maxEntries: ENTRIES },
  })
  const key = await crypto.subtle.importKey('jwk', { ...signer.jwk }, parametersOf(alg), false, ['verify'])
  const rules = { issuer: ISSUER, audience: AUDIENCE, algorithms: [alg], typ: 'at+jwt', requiredClaims: ['exp'] }
  const jose = (token: string): Promise<unknown> => jwtVerify(token, key, rules)
  const together = (verify: (token: string) => Promise<unknown>, next: () => string) => (): Promise<unknown> =>
    Promise.all(Array.from({ length: AT_ONCE }, () => verify(next())))

  for (const verify of [relay.verify, jose]) {
    prove('good', (await verify(tokens[0] ?? '').catch(() => undefined)) !== undefined)
    for (const changes of [{ aud: 'another' }, { exp: 1 }, { iss: 'https://elsewhere.example' }]) {
      prove('bad', (await verify(createToken(signer, changes)).catch(() => undefined)) === undefined)
    }
  }
  const results = [
    await compare({
      path: `verified for the first time, ${alg}`,
      goal: 1.15,
      mine: { name: 'relay', run: async () => relay.verify(mine()) },
      baseline: { name: 'jose.jwtVerify', run: async () => jose(theirs()) },
    }),
    await compare({
      path: `verified for the first time, ${alg}, ${AT_ONCE} at once`,
      goal: 1.15,
      mine: { name: 'relay', run: together(relay.verify, mine), operations: AT_ONCE },
      baseline: { name: 'jose.jwtVerify', run: together(jose, theirs), operations: AT_ONCE },
    }),
  ]
  await relay.shutdown()
  return results
}

function parametersOf(alg: SigningAlgorithm) {
  if (alg === 'EdDSA') return { name: 'Ed25519' }
  return alg === 'ES256' ? { name: 'ECDSA', namedCurve: 'P-256' } : { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
}

const results: Result[] = []
for (const alg of ALGORITHMS) results.push(...(await against(alg)))
report(results)
