/** The options `issuers[].keySet`: how the published keys of an issuer are fetched and kept. */

import * as v from 'valibot'
import { integer } from '../base/schema.ts'
import { group, millis, variable } from './parts.ts'

/** How the published keys of an issuer are fetched and kept. */
export interface KeySetOptions {
  /** Longest time for one fetch, in milliseconds, at least 1. Default 5000. */
  readonly timeoutMillis?: number
  /**
   * Period in which at most four fetches are made for keys that are not published, in milliseconds, at least 0. While
   * the issuer is down, it is also the longest pause between two attempts. Default 30000.
   */
  readonly cooldownMillis?: number
  /** How long fetched keys are used before they are fetched again, in milliseconds, at least 1. Default 600000. */
  readonly maxAgeMillis?: number
  /**
   * How long older keys are still used after `maxAgeMillis` if the issuer cannot be reached, in milliseconds, at least
   * 0. Default 3600000.
   */
  readonly staleMillis?: number
  /** Largest metadata or key set document that is read, in bytes, at least 1. Default 1048576. */
  readonly maxBytes?: number
}

export const keySetSchema = group({
  timeoutMillis: v.pipe(v.optional(millis(1), 5_000), variable('TOKEN_RELAY_KEY_SET_TIMEOUT_MILLIS', 'number')),
  cooldownMillis: v.pipe(v.optional(millis(0), 30_000), variable('TOKEN_RELAY_KEY_SET_COOLDOWN_MILLIS', 'number')),
  maxAgeMillis: v.pipe(v.optional(millis(1), 600_000), variable('TOKEN_RELAY_KEY_SET_MAX_AGE_MILLIS', 'number')),
  staleMillis: v.pipe(v.optional(millis(0), 3_600_000), variable('TOKEN_RELAY_KEY_SET_STALE_MILLIS', 'number')),
  maxBytes: v.pipe(
    v.optional(integer('expected whole bytes, at least 1', 1), 1_048_576),
    variable('TOKEN_RELAY_KEY_SET_MAX_BYTES', 'number'),
  ),
})
