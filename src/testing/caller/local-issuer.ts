/** An issuer without a server: its key lives in this process, and real verification accepts its tokens. */

import type { KeyObject } from 'node:crypto'
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { parseOptions } from '../../config/options.ts'
import { createCredentialWatch } from '../../revocation/watch.ts'
import { UnverifiedCredential } from '../../token/credential.ts'
import { TokenError } from '../../token/errors.ts'
import type { VerifiedCredential } from '../../token/verified-credential.ts'
import { createIssuers } from '../../verification/issuers.ts'
import { createVerifier } from '../../verification/verifier.ts'

/** What the token of a test caller says. */
export interface CallerTokenOptions {
  /** `sub` of the token. */
  readonly subject: string
  /** `scope` of the token. Default: none. */
  readonly scopes?: readonly string[]
  /** `aud` of the token. Default `user-service`. */
  readonly audience?: string | readonly string[]
  /** Seconds until the token expires, more than 0. Default 300. */
  readonly expiresIn?: number
  /** Further claims, which win over the others. Default: none. */
  readonly claims?: Readonly<Record<string, unknown>>
}

/** Issues tokens for tests: what `createTestIssuer` returns. */
export interface TokenIssuer {
  /** Its `iss`. */
  readonly issuer: string
  /** Makes a token at once. */
  token(options: CallerTokenOptions): string
}

/** The issuer that nothing can reach: the top-level domain is reserved (RFC 2606 §2). */
export const LOCAL_ISSUER = 'https://as-caller.invalid'
const TEST_AUDIENCE = 'user-service'
const LIFE_SECONDS = 300
const KEY_ID = 'as-caller'

let keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject } | undefined

function localKeys() {
  keys ??= generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return keys
}

/** Signs a token of `issuer` with the key of this process, which no other process accepts. */
export function signLocalToken(issuer: string, options: CallerTokenOptions): string {
  const { subject, scopes = [], audience = TEST_AUDIENCE, expiresIn = LIFE_SECONDS, claims = {} } = options
  const now = Math.floor(Date.now() / 1000)
  const payload = {
    iss: issuer,
    sub: subject,
    aud: audience,
    jti: randomUUID(),
    iat: now,
    exp: now + expiresIn,
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
    ...claims,
  }
  const input = [{ alg: 'ES256', kid: KEY_ID, typ: 'at+jwt' }, payload].map(encode).join('.')
  const key = { key: localKeys().privateKey, dsaEncoding: 'ieee-p1363' as const }
  return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}

/**
 * Verifies a token that {@link signLocalToken} has made for `issuer`, as the gate verifies any other. There is no other
 * way to a verified credential, for tests neither.
 *
 * @throws TokenRejectedError if it is bad: expired, for one.
 */
export async function verifyLocalToken(text: string, issuer: string): Promise<VerifiedCredential> {
  const jwk = { ...localKeys().publicKey.export({ format: 'jwk' }), kid: KEY_ID, alg: 'ES256', use: 'sig' }
  const { issuers } = parseOptions({
    issuers: [{ issuer, audience: null, requiredClaims: ['exp'], jwks: { keys: [jwk] } }],
  })
  const checkRevocation = () => 'good' as const
  const watch = createCredentialWatch(checkRevocation)
  const verifier = createVerifier({
    issuers: createIssuers(issuers, undefined, () => () => undefined),
    checkRevocation,
    traits: { fingerprintKey: undefined, actors: 'hash', watch: (token) => watch.signalFor(token) },
    maxEntries: 1,
  })
  const outcome = verifier.startVerification(new UnverifiedCredential(text))
  if (outcome instanceof TokenError) throw outcome
  return await outcome
}
