/** The keys of one issuer: what verification asks of them, and those that the configuration holds. */

import type { Eventual } from '../../base/chain.ts'
import type { FetchLimits } from '../bounded-json.ts'
import type { DocumentCause } from '../document-error.ts'
import type { PublishedKey, PublishedKeys } from './published-keys.ts'
import { readKeys } from './published-keys.ts'

export interface KeySet {
  /** How many keys are known. */
  readonly size: number
  /**
   * Keys that may have signed a token with this header; none if it is certain that none is published. A promise if they
   * must be waited for, which rejects with an `UndecidedError` while they cannot be found out. Never throws.
   */
  candidates(header: Header, issuedAtMillis?: number): Eventual<readonly PublishedKey[]>
  /**
   * The same after another look at what is published, without the keys that are `known` not to fit: a key may be new,
   * or another one under an old name. Looks a few times per cool-down at most, and rejects after that.
   */
  refetch(header: Header, known: readonly PublishedKey[], issuedAtMillis?: number): Promise<readonly PublishedKey[]>
  /**
   * Whether results of this key may still be used: the newest known key set has it and is not too old. Answers from
   * memory; refreshes in the background.
   */
  isStillPublished(thumbprint: string): boolean
  /** Asks for the keys now, unless they are fresh. Rejects with an `UndecidedError` while none can be had. */
  hydrate(): Promise<void>
  /** Whether tokens can be decided now. When it is time to ask for the keys, that is done in the background. */
  isReady(): boolean
}

export type Header = Readonly<Record<string, unknown>>

export interface KeySetOptions extends FetchLimits {
  /** Time in which at most four fetches are made for keys that are not published, in milliseconds. */
  readonly cooldownMillis: number
  /** How long fetched keys are used before they are fetched again, in milliseconds. */
  readonly maxAgeMillis: number
  /** How long older keys serve while the issuer cannot be reached, in milliseconds. */
  readonly staleMillis: number
}

/** What happens to a key set, for metrics and logs. */
export type KeySetEvent =
  | { readonly name: 'refreshed'; readonly keys: PublishedKeys }
  | { readonly name: 'refresh_failed'; readonly ageMillis: number; readonly cause: DocumentCause }
  | { readonly name: 'stale'; readonly ageMillis: number }

/** A public key set document (RFC 7517 §5). */
export interface Jwks {
  readonly keys: readonly Readonly<Record<string, unknown>>[]
}

/** Keys given with the configuration. */
export function createStaticKeySet(jwks: Jwks): KeySet {
  const keys = readKeys(jwks)
  return {
    size: keys?.size ?? 0,
    candidates: (header) => keys?.candidates(header) ?? [],
    refetch: async () => [],
    isStillPublished: (thumbprint) => keys?.has(thumbprint) ?? false,
    hydrate: async () => undefined,
    isReady: () => true,
  }
}
