/** A token that was verified before, admitted again: as it comes off the wire, with everything that may have changed since. */

import { createVerifier as createFastJwt } from 'fast-jwt'
import type { Admission } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { compare } from '../support/compare.ts'
import { prove, report } from '../support/report.ts'
import { AUDIENCE, createSigner, createToken, freshField, ISSUER, rotate } from '../support/tokens.ts'

const WORKING_SET = 64
const signer = createSigner('ES256')
const tokens = Array.from({ length: WORKING_SET }, () => createToken(signer))
const bad = [createToken(signer, { aud: 'another' }), createToken(createSigner('ES256', 'ES256-1')), 'a.b.c']
const next = rotate(tokens.map(freshField))

const relay = createTokenRelay({ issuers: [{ issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [signer.jwk] } }] })
const admit = (authorization: string): Admission | Promise<Admission> => relay.admit({ headers: { authorization } })
const fastJwt = createFastJwt({
  key: signer.publicKey.export({ type: 'spki', format: 'pem' }),
  algorithms: ['ES256'],
  allowedIss: ISSUER,
  allowedAud: AUDIENCE,
  cache: true,
})
const accepts = (token: string): boolean => {
  try {
    return fastJwt(token) !== undefined
  } catch {
    return false
  }
}

for (const [all, expected] of [
  [tokens, true],
  [bad, false],
] as const) {
  for (const token of all) {
    prove('relay', (await admit(`Bearer ${token}`)).admitted === expected)
    prove('fast-jwt', accepts(token) === expected)
  }
}
prove('the relay remembers', 'admitted' in admit(next()()))

report([
  await compare({
    path: 'verified again',
    goal: 0.3,
    mine: { name: 'relay', run: () => admit(next()()) },
    others: [{ name: 'the field alone', run: () => next()().slice(7) }],
    baseline: { name: 'fast-jwt, cache on', run: () => fastJwt(next()().slice(7)) },
  }),
])
await relay.shutdown()
