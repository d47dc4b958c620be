/** A revocation list that lives in this process: not shared with others, and empty after a restart. */

import { RevocationEntries, storedEntry } from './entries.ts'
import type { RevocationList } from './list.ts'
import { normalizeEntry } from './list.ts'

/**
 * The default list. What one process takes back, another one still accepts until the token expires; a fleet wants
 * `createRedisRevocationList` of `otel-token-relay/redis`.
 */
export function createMemoryRevocationList(): RevocationList {
  const entries = new RevocationEntries()
  return {
    available: true,
    isRevoked: (token) => entries.has(token),
    async revoke(entry) {
      entries.add(storedEntry(normalizeEntry(entry)))
    },
  }
}
