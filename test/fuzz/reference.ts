/** A second opinion, without jose and without a line of the package: may this text be accepted at all? */

import { verify } from 'node:crypto'
import { AUDIENCE, type Cast, ISSUER } from './inputs.ts'

/** In the spellings that the inputs have. */
const ACCESS_TOKEN_TYPES: readonly unknown[] = ['at+jwt', 'application/at+jwt', 'JWT', 'jwt', undefined]

/** What must be true of every token that is accepted. Slow, simple, and strict only where a mistake would let one in. */
export function mayBeAccepted(text: string, { signers }: Cast): boolean {
  const parts = text.split('.')
  if (parts.length !== 3 || !parts.every(isCanonical)) return false
  const [header, claims] = parts.slice(0, 2).map(parseObject)
  if (header === undefined || claims === undefined) return false
  const { alg, kid, typ } = header
  // One key of each algorithm is published, so that a token need not name its own.
  const signer = signers.find(({ jwk }) => jwk['alg'] === alg && (kid === undefined || jwk['kid'] === kid))
  if (signer === undefined || !ACCESS_TOKEN_TYPES.includes(typ)) return false
  if (['crit', 'b64', 'zip', 'jwk', 'jku', 'x5u', 'x5c'].some((name) => Object.hasOwn(header, name))) return false
  return isSigned(parts, signer.publicKey, String(alg)) && isGood(claims)
}

function isCanonical(part: string): boolean {
  return part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part
}

/** An object of which every member stands there once: JSON.parse keeps the last one, so the text would be longer. */
function parseObject(part: string): Record<string, unknown> | undefined {
  const bytes = Buffer.from(part, 'base64url')
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return colons(text) === colons(JSON.stringify(value)) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

const colons = (text: string): number => text.split(':').length

function isSigned(parts: readonly string[], key: Parameters<typeof verify>[2], alg: string): boolean {
  const [header = '', payload = '', signature = ''] = parts
  const options = alg === 'ES256' ? { key, dsaEncoding: 'ieee-p1363' as const } : key
  const input = Buffer.from(`${header}.${payload}`)
  return verify(alg === 'EdDSA' ? null : 'sha256', input, options as typeof key, Buffer.from(signature, 'base64url'))
}

function isGood(claims: Readonly<Record<string, unknown>>): boolean {
  const now = Date.now() / 1000
  const { iss, sub, aud, exp, iat, nbf = 0, cnf } = claims
  const audiences = typeof aud === 'string' ? [aud] : aud
  return (
    iss === ISSUER &&
    typeof sub === 'string' &&
    Array.isArray(audiences) &&
    audiences.includes(AUDIENCE) &&
    [exp, iat, nbf].every((date) => typeof date === 'number' && Number.isFinite(date)) &&
    (exp as number) > now - 10 &&
    (iat as number) < now + 10 &&
    (nbf as number) < now + 10 &&
    cnf === undefined &&
    isAccessToken(claims)
  )
}

/** Of an ID token, a logout token, a security event, an introspection or a refresh token, something is different. */
function isAccessToken(claims: Readonly<Record<string, unknown>>): boolean {
  const names = Object.keys(claims)
  if (names.some((name) => /^([acs]t?_hash|events|token_introspection)$/.test(name))) return false
  if (names.includes('typ') && claims['typ'] !== 'Bearer') return false
  if (names.includes('token_use') && claims['token_use'] !== 'access') return false
  return !names.includes('nonce') || claims['typ'] === 'Bearer'
}
