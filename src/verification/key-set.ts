/** The published keys of one issuer, kept fresh without ever asking the issuer more often than it deserves. */

import type { JWTVerifyGetKey } from 'jose'
import { createLocalJWKSet, errors } from 'jose'
import { UndecidedError } from '../token/errors.ts'
import type { FetchLimits } from './bounded-json.ts'
import { DocumentError, fetchJson } from './bounded-json.ts'
import { discoverJwksUri } from './discovery.ts'

/** Finds the key of a token; rejects with an {@link UndecidedError} while no keys can be had. */
export interface KeySet {
  readonly getKey: JWTVerifyGetKey
}

export interface KeySetOptions extends FetchLimits {
  /** How long an unknown `kid` waits for the next fetch, counted from every attempt, in milliseconds. */
  readonly cooldownMillis: number
  /** How long fetched keys are used before they are fetched again, in milliseconds. */
  readonly maxAgeMillis: number
}

/** A public key set document (RFC 7517 §5). */
export interface Jwks {
  readonly keys: readonly Readonly<Record<string, unknown>>[]
}

/** Keys given with the configuration. */
export function createStaticKeySet(jwks: Jwks): KeySet {
  return { getKey: createLocalJWKSet({ keys: [...jwks.keys] }) }
}

const FIRST_BACKOFF_MILLIS = 250
// Without any key every token is answered 503, so recovery may not take longer than this.
const MAX_BACKOFF_MILLIS = 5_000

interface Loaded {
  readonly getKey: JWTVerifyGetKey
  readonly at: number
}

/** Keys fetched from `jwksUri`, or from where discovery on `issuer` says, on first use. */
export function createRemoteKeySet(issuer: string, jwksUri: string | undefined, options: KeySetOptions): KeySet {
  let loaded: Loaded | undefined
  let pending: Promise<Loaded> | undefined
  let attemptedAt = Number.NEGATIVE_INFINITY
  let failures = 0

  async function load(): Promise<Loaded> {
    const uri = jwksUri ?? (await discoverJwksUri(issuer, options))
    const getKey = createLocalJWKSet(publicKeysOf(await fetchJson(uri, options)))
    return { getKey, at: Date.now() }
  }

  /** One fetch at a time, whoever asks. */
  function refresh(): Promise<Loaded> {
    pending ??= attempt().finally(() => {
      pending = undefined
    })
    return pending
  }

  async function attempt(): Promise<Loaded> {
    attemptedAt = Date.now()
    try {
      loaded = await load()
      failures = 0
      return loaded
    } catch {
      failures += 1
      throw new UndecidedError('ERR_TOKEN_KEYS_UNAVAILABLE', waitMillis() / 1000)
    }
  }

  function waitMillis(): number {
    if (failures === 0) return 0
    const backoff = Math.min(MAX_BACKOFF_MILLIS, FIRST_BACKOFF_MILLIS * 2 ** (failures - 1))
    return Math.max(0, attemptedAt + backoff - Date.now())
  }

  async function current(): Promise<Loaded> {
    if (loaded !== undefined && Date.now() - loaded.at < options.maxAgeMillis) return loaded
    if (pending === undefined && waitMillis() > 0) {
      throw new UndecidedError('ERR_TOKEN_KEYS_UNAVAILABLE', waitMillis() / 1000)
    }
    return refresh()
  }

  return {
    getKey: async (header, token) => {
      const keys = await current()
      try {
        return await keys.getKey(header, token)
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
        // A rotated key shows up as an unknown `kid`; made-up ones must not make us hammer the issuer.
        if (pending === undefined && Date.now() - attemptedAt < options.cooldownMillis) throw error
        return (await refresh()).getKey(header, token)
      }
    },
  }
}

/** Keeps what can verify a signature; secrets and private keys have no business in a published set. */
function publicKeysOf(document: unknown): Jwks & { keys: Record<string, unknown>[] } {
  const keys = typeof document === 'object' && document !== null ? (document as { keys?: unknown }).keys : undefined
  if (!Array.isArray(keys)) throw new DocumentError()
  return { keys: keys.filter(isPublicKey) }
}

/** Whether `key` is an asymmetric key without its private part (RFC 7517 §9). */
export function isPublicKey(key: unknown): key is Record<string, unknown> {
  return typeof key === 'object' && key !== null && 'kty' in key && key.kty !== 'oct' && !('d' in key) && !('k' in key)
}
