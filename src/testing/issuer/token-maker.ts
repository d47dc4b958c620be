/** What the tokens of a test issuer say: header and claims from options, in the words of the flavour. */

import { randomUUID } from 'node:crypto'
import type { Flavour, TokenFacts } from './flavours/flavour.ts'
import type { GoodToken } from './make-bad-token.ts'
import type { TestTokenOptions } from './options.ts'
import type { SigningKey } from './signing-key.ts'

type Members = Readonly<Record<string, unknown>>

/** What tokens say unless their options say something else. */
export interface TokenDefaults {
  readonly issuer: string
  readonly flavour: Flavour
  readonly audience: string
  readonly subject: string
  readonly scopes: readonly string[]
}

/** How long tokens last, in seconds: longer than a test takes on a slow machine. */
const LIFE_SECONDS = 1_800
const CLIENT_ID = 'test-client'

/** The claims of an access token, as of `nowMillis`. */
export function accessClaimsOf(defaults: TokenDefaults, options: TestTokenOptions, nowMillis: number): Members {
  const { expiresIn = LIFE_SECONDS, notBefore, actor } = options
  const facts = factsOf(defaults, options, nowMillis)
  return {
    iss: defaults.issuer,
    ...defaults.flavour.access(facts),
    iat: facts.issuedAt,
    exp: facts.issuedAt + expiresIn,
    ...(notBefore === undefined ? {} : { nbf: facts.issuedAt + notBefore }),
    ...(actor === undefined ? {} : { act: { sub: actor } }),
    ...options.claims,
  }
}

export function headerOf({ typ }: Flavour, { algorithm, kid }: SigningKey, options: TestTokenOptions): Members {
  return { alg: algorithm, kid, typ, ...options.header }
}

/** Everything that a bad token is made of. */
export function goodTokenOf(
  defaults: TokenDefaults,
  options: TestTokenOptions,
  { key, nowMillis, revokedToken }: { key: SigningKey; nowMillis: number; revokedToken: () => string },
): GoodToken {
  const { flavour, issuer, audience } = defaults
  const facts = factsOf(defaults, options, nowMillis)
  const forService = flavour.forService ?? ((aud: string | undefined): Members => ({ aud }))
  const header = headerOf(flavour, key, options)
  return {
    header,
    claims: accessClaimsOf(defaults, options, nowMillis),
    key,
    idHeader: { ...header, typ: flavour.typ === undefined ? undefined : 'JWT' },
    idClaims: { iss: issuer, ...flavour.id(facts), iat: facts.issuedAt, exp: facts.issuedAt + LIFE_SECONDS },
    otherAudience: forService(`not-${audience}`),
    noAudience: forService(undefined),
    now: facts.issuedAt,
    revokedToken,
  }
}

function factsOf(defaults: TokenDefaults, options: TestTokenOptions, nowMillis: number): TokenFacts {
  return {
    issuer: defaults.issuer,
    subject: options.subject ?? defaults.subject,
    scopes: options.scopes ?? defaults.scopes,
    roles: options.roles ?? [],
    audience: defaults.audience,
    otherAudience: options.audience,
    clientId: options.clientId ?? CLIENT_ID,
    issuedAt: Math.floor(nowMillis / 1000),
    tokenId: randomUUID(),
    sessionId: options.sessionId,
  }
}
