/** Makes the tokens that a relay refuses: each is a good one, with one thing changed. */

import { createHmac } from 'node:crypto'
import type { BadTokenKind } from './bad-token.ts'
import type { SigningKey, TestAlgorithm } from './signing-key.ts'
import { createSigningKey, segmentOf, signJws } from './signing-key.ts'

type Members = Readonly<Record<string, unknown>>

/** A good token, and what its changes need to know. */
export interface GoodToken {
  readonly header: Members
  readonly claims: Members
  readonly key: SigningKey
  /** Header and claims of an ID token for the same subject. */
  readonly idHeader: Members
  readonly idClaims: Members
  /** The changes that make it a token for another service, and for none. */
  readonly otherAudience: Members
  readonly noAudience: Members
  /** The time of the issuer, in seconds since the epoch. */
  readonly now: number
  /** Returns an opaque token that was revoked. */
  readonly revokedToken: () => string
}

type Make = (good: GoodToken) => string

const HOUR = 3_600
/** More than the largest token that a relay accepts by default. */
const LARGE_CHARACTERS = 9_000
const DEPTH = 1_000
const THUMBPRINT = 'x'.repeat(43)
const URL_OF_ATTACKER = 'https://attacker.example/keys'

export function makeBadToken(kind: BadTokenKind, good: GoodToken): string {
  return MAKERS[kind](good)
}

function withClaims(changesOf: (good: GoodToken) => Members): Make {
  return (good) => signJws(good.key, good.header, { ...good.claims, ...changesOf(good) })
}

function withHeader(changes: Members): Make {
  return ({ key, header, claims }) => signJws(key, { ...header, ...changes }, claims)
}

/** Keys that no issuer publishes, by algorithm. Made once: those of RSA take time. */
const attackers = new Map<TestAlgorithm, SigningKey>()

/** Signed by a key that is not published, with changes to the header. */
function byAttacker(changesOf: (attacker: SigningKey) => Members): Make {
  return ({ key, header, claims }) => {
    const attacker = attackers.get(key.algorithm) ?? createSigningKey(key.algorithm, 'attacker')
    attackers.set(key.algorithm, attacker)
    return signJws(attacker, { ...header, ...changesOf(attacker) }, claims)
  }
}

/** A good token whose text was changed. */
function respelled(change: (text: string, parts: readonly [string, string, string]) => string): Make {
  return ({ key, header, claims }) => {
    const text = signJws(key, header, claims)
    return change(text, text.split('.') as [string, string, string])
  }
}

/** A token of another kind of the same issuer. */
function anotherKind(typ: string, claimsOf: (good: GoodToken) => Members): Make {
  return (good) => signJws(good.key, { ...good.header, typ }, claimsOf(good))
}

const makeHmac: Make = ({ key, header, claims }) => {
  const input = `${segmentOf({ ...header, alg: 'HS256' })}.${segmentOf(claims)}`
  const secret = key.publicKey.export({ type: 'spki', format: 'pem' })
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

const makeTampered: Make = (good) => {
  const [header, , signature] = signJws(good.key, good.header, good.claims).split('.')
  return `${header}.${segmentOf({ ...good.claims, sub: 'mallory' })}.${signature}`
}

/** A JSON text with one more member before the others. */
function withFirstMember(member: string, members: Members): string {
  return JSON.stringify(members).replace('{', `{${member},`)
}

const MAKERS: Readonly<Record<BadTokenKind, Make>> = {
  expired: withClaims(({ claims, now }) => ({
    iat: now - HOUR,
    nbf: claims['nbf'] === undefined ? undefined : now - HOUR,
    exp: now - 60,
  })),
  'not-yet-valid': withClaims(({ now }) => ({ nbf: now + HOUR, exp: now + 2 * HOUR })),
  future: withClaims(({ now }) => ({ iat: now + HOUR, exp: now + 2 * HOUR })),
  audience: withClaims(({ otherAudience }) => otherAudience),
  'no-audience': withClaims(({ noAudience }) => noAudience),
  issuer: withClaims(() => ({ iss: 'https://issuer.example' })),
  'issuer-slash': withClaims(({ claims }) => ({ iss: toggleSlash(String(claims['iss'])) })),
  'no-issuer': withClaims(() => ({ iss: undefined })),
  'no-subject': withClaims(() => ({ sub: undefined })),
  'no-expiry': withClaims(() => ({ exp: undefined })),
  'no-issued-at': withClaims(() => ({ iat: undefined })),
  'expiry-text': withClaims(({ claims }) => ({ exp: String(claims['exp']) })),
  'expiry-infinite': ({ key, header, claims }) =>
    signJws(key, header, withFirstMember('"exp":1e999', { ...claims, exp: undefined })),
  'subject-empty': withClaims(() => ({ sub: '' })),
  actor: withClaims(() => ({ act: 'service' })),
  'dpop-bound': withClaims(() => ({ cnf: { jkt: THUMBPRINT } })),
  'certificate-bound': withClaims(() => ({ cnf: { 'x5t#S256': THUMBPRINT } })),
  signature: byAttacker(() => ({})),
  tampered: makeTampered,
  'zero-signature': respelled((_, [header, claims, signature]) => `${header}.${claims}.${zerosFor(signature)}`),
  'unknown-key': byAttacker(() => ({ kid: 'not-published' })),
  'other-algorithm': (good) => withHeader({ alg: good.key.algorithm === 'ES256' ? 'RS256' : 'ES256' })(good),
  algorithm: withHeader({ alg: 'ES256K' }),
  hmac: makeHmac,
  'none-signed': withHeader({ alg: 'none' }),
  none: ({ header, claims }) => `${segmentOf({ ...header, alg: 'none' })}.${segmentOf(claims)}.`,
  'embedded-key': byAttacker(({ jwk }) => ({ jwk })),
  'key-url': byAttacker(() => ({ jku: URL_OF_ATTACKER })),
  certificate: byAttacker(({ publicKey }) => ({
    x5c: [publicKey.export({ type: 'spki', format: 'der' }).toString('base64')],
  })),
  'certificate-url': byAttacker(() => ({ x5u: URL_OF_ATTACKER })),
  critical: withHeader({ crit: ['extension'], extension: true }),
  unencoded: withHeader({ b64: false, crit: ['b64'] }),
  compressed: withHeader({ zip: 'DEF' }),
  nested: withHeader({ cty: 'JWT' }),
  'key-id': withHeader({ kid: 1 }),
  type: withHeader({ typ: 'secevent+jwt' }),
  'id-token': ({ key, idHeader, idClaims }) => signJws(key, idHeader, idClaims),
  'refresh-token': anotherKind('JWT', ({ claims }) => ({ ...claims, typ: 'Refresh', token_use: 'refresh' })),
  'logout-token': anotherKind('logout+jwt', ({ claims: { iss, aud, sub, iat, exp } }) => ({
    ...{ iss, aud, sub, iat, exp },
    events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
  })),
  'introspection-response': anotherKind('token-introspection+jwt', ({ claims }) => ({
    ...{ iss: claims['iss'], aud: claims['aud'], iat: claims['iat'] },
    token_introspection: { ...claims, active: true },
  })),
  'dpop-proof': ({ key, now }) =>
    signJws(
      key,
      { alg: key.algorithm, typ: 'dpop+jwt', jwk: key.jwk },
      { htm: 'GET', htu: 'https://user.example/', jti: 'a', iat: now },
    ),
  'duplicate-claim': ({ key, header, claims }) =>
    signJws(key, header, withFirstMember('"\\u0073ub":"mallory"', claims)),
  'duplicate-header': ({ key, header, claims }) => signJws(key, withFirstMember('"alg":"none"', header), claims),
  'byte-order-mark': ({ key, header, claims }) => signJws(key, header, `\ufeff${JSON.stringify(claims)}`),
  'not-json': ({ key, header, claims }) => signJws(key, header, `${JSON.stringify(claims)}}`),
  deep: ({ key, header, claims }) =>
    signJws(key, header, withFirstMember(`"deep":${'['.repeat(DEPTH)}${']'.repeat(DEPTH)}`, claims)),
  padding: respelled((text) => `${text}=`),
  'four-parts': respelled((text) => `${text}.AA`),
  truncated: respelled((_, [header, claims]) => `${header}.${claims.slice(0, 20)}`),
  encrypted: () => 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA',
  opaque: () => 'mF_9-B5f-4-1JqM-not-of-this-issuer',
  revoked: ({ revokedToken }) => revokedToken(),
  oversized: withClaims(() => ({ padding: 'x'.repeat(LARGE_CHARACTERS) })),
}

function toggleSlash(iss: string): string {
  return iss.endsWith('/') ? iss.slice(0, -1) : `${iss}/`
}

function zerosFor(signature: string): string {
  return Buffer.alloc(Buffer.from(signature, 'base64url').length).toString('base64url')
}
