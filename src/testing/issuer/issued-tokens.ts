/** What a test issuer knows of tokens: opaque ones, refresh tokens, and which were revoked. */

import { constants, randomBytes, verify } from 'node:crypto'
import { decodeCompactJws } from '../../token/compact-jws.ts'
import type { SigningKey } from './signing-key.ts'

type Claims = Readonly<Record<string, unknown>>

export interface IssuedTokens {
  /** Returns a new opaque token that stands for `claims`. */
  addOpaque(claims: Claims): string
  /** Returns a new refresh token. `claims` are those of the access tokens that it is exchanged for. */
  addRefresh(claims: Claims): string
  /** Uses a refresh token up. Returns its claims, or `undefined` if it is unknown, used or revoked. */
  useRefresh(token: string): Claims | undefined
  revoke(token: string): void
  /** The claims of an access token of this issuer that is valid at `nowMillis` and was not revoked. */
  activeClaims(token: string, nowMillis: number): Claims | undefined
}

/** `keys` are those that are published when a token is asked about. */
export function createIssuedTokens(keys: () => readonly SigningKey[]): IssuedTokens {
  const opaque = new Map<string, Claims>()
  const refresh = new Map<string, Claims>()
  const revoked = new Set<string>()

  function add(to: Map<string, Claims>, claims: Claims): string {
    const token = randomBytes(32).toString('base64url')
    to.set(token, claims)
    return token
  }

  return {
    addOpaque: (claims) => add(opaque, claims),
    addRefresh: (claims) => add(refresh, claims),
    useRefresh(token) {
      const claims = refresh.get(token)
      refresh.delete(token)
      return revoked.has(token) ? undefined : claims
    },
    revoke: (token) => void revoked.add(token),
    activeClaims(token, nowMillis) {
      if (revoked.has(token)) return undefined
      const claims = opaque.get(token) ?? signedClaims(token, keys())
      const isOver = claims === undefined || Number(claims['exp'] ?? Number.POSITIVE_INFINITY) * 1000 <= nowMillis
      return isOver ? undefined : claims
    },
  }
}

/** The claims of a JWS that one of `keys` has signed. */
function signedClaims(token: string, keys: readonly SigningKey[]): Claims | undefined {
  const jws = decodeCompactJws(token)
  const key = keys.find(({ kid }) => kid === jws?.header['kid'])
  if (jws === undefined || key === undefined || jws.header['alg'] !== key.algorithm) return undefined
  const end = token.lastIndexOf('.')
  const signature = Buffer.from(token.slice(end + 1), 'base64url')
  const isSigned = verify(
    key.algorithm === 'EdDSA' ? null : 'sha256',
    Buffer.from(token.slice(0, end)),
    {
      key: key.publicKey,
      ...(key.algorithm === 'ES256' ? { dsaEncoding: 'ieee-p1363' } : {}),
      ...(key.algorithm === 'PS256' ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : {}),
    },
    signature,
  )
  return isSigned ? jws.payload : undefined
}
