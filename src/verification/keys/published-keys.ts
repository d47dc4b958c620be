/** The usable keys of one key set document, found by what a token header says. */

import { createHash } from 'node:crypto'
import type { CryptoKey, JWK } from 'jose'
import { importJWK } from 'jose/key/import'
import { isObject, ownProperty } from '../../base/own-property.ts'
import type { Jwk, KeyDefect } from './key-rules.ts'
import { defectOf } from './key-rules.ts'

type Header = Readonly<Record<string, unknown>>

/** One key that may verify signatures. */
export interface PublishedKey {
  /** RFC 7638 thumbprint: the identity of the key, independent of its `kid`. */
  readonly thumbprint: string
  readonly jwk: Jwk
  /** The key as jose wants it for `alg`; a promise the first time only. */
  keyFor(alg: string): CryptoKey | Promise<CryptoKey>
}

export interface PublishedKeys {
  /** The keys that a token with this header may have been signed with, by `kid` if it has one. */
  candidates(header: Header): readonly PublishedKey[]
  has(thumbprint: string): boolean
  readonly size: number
  /** How many keys were dropped, by reason. */
  readonly dropped: Readonly<Partial<Record<KeyDefect, number>>>
}

/** Keys beyond this number are not looked at. */
const MAX_KEYS = 500
/** Most signature checks for one token, if an issuer gives several keys one `kid` or none. */
const MAX_CANDIDATES = 16

/** Returns `undefined` if `document` is not a key set (RFC 7517 §5). */
export function readKeys(document: unknown): PublishedKeys | undefined {
  const listed = isObject(document) ? document['keys'] : undefined
  if (!Array.isArray(listed)) return undefined
  const keys: PublishedKey[] = []
  const tooMany = listed.length - MAX_KEYS
  const dropped: Partial<Record<KeyDefect, number>> = tooMany > 0 ? { too_many: tooMany } : {}
  for (const key of listed.slice(0, MAX_KEYS) as unknown[]) {
    const defect = defectOf(key)
    if (defect === undefined) keys.push(publish(key as Jwk))
    else dropped[defect] = (dropped[defect] ?? 0) + 1
  }
  const distinct = [...new Map(keys.map((key) => [identityOf(key), key])).values()]
  const thumbprints = new Set(distinct.map(({ thumbprint }) => thumbprint))

  /** The last answer, as in `checkHeader`, and for the same reason. */
  let latest: { readonly header: Header; readonly keys: readonly PublishedKey[] } | undefined

  function candidates(header: Header): readonly PublishedKey[] {
    if (latest?.header === header) return latest.keys
    const fitting = distinct.filter(({ jwk }) => mayHaveSigned(jwk, header)).slice(0, MAX_CANDIDATES)
    if (Object.isFrozen(header)) latest = { header, keys: fitting }
    return fitting
  }

  return {
    candidates,
    has: (thumbprint) => thumbprints.has(thumbprint),
    size: distinct.length,
    dropped,
  }
}

/**
 * jose gets the key itself. What the issuer says about its use has been read by then, and Web Crypto would refuse a
 * good key for an operation in `key_ops` that public keys do not have.
 */
function publish(jwk: Jwk): PublishedKey {
  const members = requiredMembers(jwk)
  const thumbprint = createHash('sha256').update(JSON.stringify(members)).digest('base64url')
  const imported = new Map<string, CryptoKey>()

  return {
    jwk,
    thumbprint,
    keyFor: (alg) => imported.get(alg) ?? importFor(alg),
  }

  async function importFor(alg: string): Promise<CryptoKey> {
    // Public keys of these types are never bytes.
    const key = (await importJWK(members as JWK, alg)) as CryptoKey
    imported.set(alg, key)
    return key
  }
}

/** The same key under two names is two entries; the same entry twice is one. */
function identityOf({ jwk, thumbprint }: PublishedKey): string {
  return JSON.stringify([thumbprint, jwk['kid'], jwk['alg']])
}

/** In lexicographic order, as a thumbprint has them (RFC 7638 §3.2). */
function requiredMembers({ kty, crv, x, y, n, e }: Jwk): Jwk {
  return kty === 'RSA' ? { e, kty, n } : kty === 'EC' ? { crv, kty, x, y } : { crv, kty, x }
}

const KEY_TYPES: Readonly<Record<string, string>> = { RS: 'RSA', PS: 'RSA', ES: 'EC', Ed: 'OKP' }
const CURVES: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }

/** `kid` is compared to the letter; a token without one may be any key's (RFC 7515 §4.1.4). */
function mayHaveSigned(jwk: Jwk, header: Header): boolean {
  const [alg, kid] = [ownProperty(header, 'alg'), ownProperty(header, 'kid')]
  if (typeof alg !== 'string') return false
  if (kid !== undefined && jwk['kid'] !== kid) return false
  if (jwk['alg'] !== undefined && !sameAlgorithm(jwk['alg'], alg)) return false
  return jwk['kty'] === KEY_TYPES[alg.slice(0, 2)] && (CURVES[alg] === undefined || jwk['crv'] === CURVES[alg])
}

/** RFC 9864 gives EdDSA over Ed25519 another name. */
function sameAlgorithm(a: unknown, b: string): boolean {
  const edwards = ['EdDSA', 'Ed25519']
  return a === b || (edwards.includes(a as string) && edwards.includes(b))
}
