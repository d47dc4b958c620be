/** The options `revocation`: how tokens are revoked before they expire. */

import * as v from 'valibot'
import type { OnUnavailable } from '../revocation/check.ts'
import type { RevocationList } from '../revocation/list.ts'
import { group, oneOf, withMethods } from './parts.ts'

/** How tokens are revoked before they expire. */
export interface RevocationOptions {
  /**
   * Where revoked tokens are kept. The application that creates a list closes it; `relay.shutdown()` does not. Default:
   * in the memory of this process, for this process.
   */
  readonly list?: RevocationList
  /**
   * What happens while the list cannot be trusted. `reject` answers 503 and forwards nothing, `accept` accepts every
   * token that is not known to be revoked. Default `reject`.
   */
  readonly onUnavailable?: OnUnavailable
}

export const revocationSchema = group({
  list: v.optional(withMethods<RevocationList>('expected a revocation list', 'isRevoked', 'revoke')),
  onUnavailable: v.optional(oneOf('reject', 'accept'), 'reject'),
})
