/** Verdicts that do not depend on who issued the token: a test issuer, oidc-provider and Keycloak must agree on them. */

import { decodeProtectedHeader } from 'jose'
import { vi } from 'vitest'
import type { IssuerOptions } from '../../src/index.ts'
import { verdict, withRelay } from './relay.ts'
import type { SigningAlgorithm } from './signer.ts'
import { createSigner } from './signer.ts'

/** The tokens that an issuer gives: to a user and to a service for us, to a user for another service, and an ID token. */
export interface IssuerTokens {
  readonly access: string
  readonly service: string
  readonly other: string
  readonly id: string
}

/** An issuer, and what it calls things. */
export interface AgreeingIssuer {
  readonly issuer: string
  readonly audience: string
  readonly otherAudience: string
  /** A scope that its tokens for us have. */
  readonly scope: string
  tokens(): Promise<IssuerTokens>
}

interface Rule {
  readonly name: string
  readonly options: (issuer: AgreeingIssuer, tokens: IssuerTokens) => Partial<IssuerOptions>
  /** How much later the relay looks at the token, in seconds. */
  readonly later?: number
  /** For the tokens in their order. */
  readonly verdicts: readonly [access: string, service: string, other: string, id: string]
}

const GOOD = ['verified', 'verified', 'ERR_TOKEN_AUDIENCE', 'ERR_TOKEN_TYPE'] as const
/** What is refused if it is for us. */
const refusedBy = (code: string) => [code, code, 'ERR_TOKEN_AUDIENCE', 'ERR_TOKEN_TYPE'] as const
const allRefusedBy = (code: string) => [code, code, code, code] as const
const STANDARD = ['exp', 'iat', 'sub']
const HOUR = 3_600

/** A key that the issuer does not have, with the algorithm of the token. */
function foreignKeys(token: string, kid?: string): Pick<IssuerOptions, 'jwks'> {
  const header = decodeProtectedHeader(token)
  return { jwks: { keys: [createSigner(header.alg as SigningAlgorithm, kid ?? header.kid).jwk] } }
}

export const RULES: readonly Rule[] = [
  { name: 'no rule', options: () => ({}), verdicts: GOOD },
  { name: 'the strict type', options: () => ({ typ: 'at+jwt' }), verdicts: GOOD },
  {
    name: 'one of several audiences',
    options: ({ audience }) => ({ audience: ['another', audience] }),
    verdicts: GOOD,
  },
  {
    name: 'the other audience',
    options: ({ otherAudience }) => ({ audience: otherAudience }),
    verdicts: ['ERR_TOKEN_AUDIENCE', 'ERR_TOKEN_AUDIENCE', 'verified', 'ERR_TOKEN_TYPE'],
  },
  {
    name: 'any audience',
    options: () => ({ audience: null }),
    verdicts: ['verified', 'verified', 'verified', 'ERR_TOKEN_TYPE'],
  },
  { name: 'a scope that they have', options: ({ scope }) => ({ requiredScopes: [scope] }), verdicts: GOOD },
  {
    name: 'a scope that they lack',
    options: () => ({ requiredScopes: ['admin:all'] }),
    verdicts: refusedBy('ERR_TOKEN_SCOPE'),
  },
  { name: 'a claim that they have', options: () => ({ requiredClaims: [...STANDARD, 'jti'] }), verdicts: GOOD },
  {
    name: 'a claim that they lack',
    options: () => ({ requiredClaims: [...STANDARD, 'tenant'] }),
    verdicts: ['ERR_TOKEN_CLAIM', 'ERR_TOKEN_CLAIM', 'ERR_TOKEN_CLAIM', 'ERR_TOKEN_TYPE'],
  },
  { name: 'a long lifetime', options: () => ({ maxLifetimeSeconds: HOUR }), verdicts: GOOD },
  {
    name: 'a short lifetime',
    options: () => ({ maxLifetimeSeconds: 60 }),
    verdicts: refusedBy('ERR_TOKEN_LIFETIME'),
  },
  { name: 'a great age', options: () => ({ maxTokenAgeSeconds: HOUR }), verdicts: GOOD },
  {
    name: 'a small age, and a token of two minutes',
    options: () => ({ maxTokenAgeSeconds: 60 }),
    later: 120,
    verdicts: refusedBy('ERR_TOKEN_TOO_OLD'),
  },
  { name: 'a claim rule that says yes', options: () => ({ claimRules: [() => true] }), verdicts: GOOD },
  {
    name: 'a claim rule that says no',
    options: () => ({ claimRules: [() => false] }),
    verdicts: refusedBy('ERR_TOKEN_RULE'),
  },
  {
    name: 'another algorithm',
    options: () => ({ algorithms: ['EdDSA'] }),
    verdicts: allRefusedBy('ERR_TOKEN_ALGORITHM'),
  },
  { name: 'a small size', options: () => ({ maxTokenBytes: 256 }), verdicts: allRefusedBy('ERR_TOKEN_TOO_LARGE') },
  {
    name: 'keys of another name',
    options: (_, { access }) => foreignKeys(access, 'foreign'),
    verdicts: refusedBy('ERR_TOKEN_KEY'),
  },
  {
    name: 'another key of the same name',
    options: (_, { access }) => foreignKeys(access),
    verdicts: refusedBy('ERR_TOKEN_SIGNATURE'),
  },
  { name: 'a day later', options: () => ({}), later: 24 * HOUR, verdicts: refusedBy('ERR_TOKEN_EXPIRED') },
  { name: 'an hour before', options: () => ({}), later: -HOUR, verdicts: refusedBy('ERR_TOKEN_NOT_YET_VALID') },
]

/** The verdicts of a relay with `rule` about the tokens of `issuer`, in their order. */
export async function verdictsOf(issuer: AgreeingIssuer, rule: Rule): Promise<readonly string[]> {
  const tokens = await issuer.tokens()
  const base = { issuer: issuer.issuer, audience: issuer.audience, ...rule.options(issuer, tokens) }
  if (rule.later !== undefined) vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + rule.later * 1000 })
  try {
    return await withRelay({ issuers: [base], telemetry: { log: 'off' } }, async (relay) => {
      const verdicts: string[] = []
      for (const token of [tokens.access, tokens.service, tokens.other, tokens.id]) {
        verdicts.push(await verdict(relay.verify(token)))
      }
      return verdicts
    })
  } finally {
    vi.useRealTimers()
  }
}
