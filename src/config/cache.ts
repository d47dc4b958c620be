/** The options `cache`: how verified tokens are remembered. */

import * as v from 'valibot'
import { group, variable, whole } from './parts.ts'

/** How verified tokens are remembered. */
export interface CacheOptions {
  /**
   * Most verified tokens that are remembered, fewer if they are large: 0 to 10000000. 0 remembers none. Default 10000.
   */
  readonly maxEntries?: number
}

export const cacheSchema = group({
  maxEntries: v.pipe(
    v.optional(whole(0, 10_000_000, 'entries'), 10_000),
    variable('TOKEN_RELAY_CACHE_MAX_ENTRIES', 'number'),
  ),
})
