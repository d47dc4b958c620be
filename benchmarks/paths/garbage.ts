/** Tokens that are refused before any signature is checked, beside the check that they do not get. */

import { verify } from 'node:crypto'
import { createTokenRelay } from '../../src/index.ts'
import type { Result } from '../support/compare.ts'
import { compare } from '../support/compare.ts'
import { prove, report } from '../support/report.ts'
import { AUDIENCE, createSigner, createToken, ISSUER } from '../support/tokens.ts'

const signer = createSigner('ES256')
const good = createToken(signer)
const relay = createTokenRelay({ issuers: [{ issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [signer.jwk] } }] })
/** As the gate does it. */
function refuse(token: string): string | undefined {
  const admission = relay.admit({ headers: { authorization: `Bearer ${token}` } })
  if (admission instanceof Promise) throw new Error('admission waits for a key')
  return admission.admitted ? undefined : admission.error.code
}

const end = good.lastIndexOf('.')
const input = Buffer.from(good.slice(0, end))
const signature = Buffer.from(good.slice(end + 1), 'base64url')
const key = { key: signer.publicKey, dsaEncoding: 'ieee-p1363' } as const
const check = (): boolean => verify('sha256', input, key, signature)
prove('the signature is good', check())

const GARBAGE: readonly (readonly [what: string, code: string, token: string])[] = [
  ['text', 'ERR_TOKEN_MALFORMED', `${good.slice(0, 100)}.${good.slice(101)}`],
  ['header', 'ERR_TOKEN_ALGORITHM', signer.token(ofGood(), { alg: 'none' })],
  ['claims', 'ERR_TOKEN_EXPIRED', createToken(signer, { exp: 1 })],
  ['issuer', 'ERR_TOKEN_ISSUER', createToken(signer, { iss: 'https://elsewhere.example' })],
  ['key', 'ERR_TOKEN_KEY', createToken(createSigner('ES256', 'unknown'))],
]

function ofGood(): Record<string, unknown> {
  return JSON.parse(Buffer.from(good.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
}

const results: Result[] = []
for (const [what, code, token] of GARBAGE) {
  prove(`${code}, not ${refuse(token)}`, refuse(token) === code)
  results.push(
    await compare({
      path: `refused, wrong ${what}`,
      goal: 0.1,
      mine: { name: 'relay', run: () => refuse(token) },
      baseline: { name: 'one ES256 signature check', run: check },
    }),
  )
}
report(results)
await relay.shutdown()
