/** Asks the revocation list about a token, and knows what to do while the list cannot answer. */

import type { RevocationFacts, RevocationList } from './list.ts'

/** `reject`: nothing is accepted while the list cannot be trusted. `accept`: what is not known to be revoked is good. */
export type OnUnavailable = 'reject' | 'accept'

/** `undecided` means that the list cannot be trusted now. */
export type RevocationVerdict = 'good' | 'revoked' | 'undecided'

export type RevocationCheck = (token: RevocationFacts) => RevocationVerdict

/** A list that breaks its promise not to throw is not available. */
export function createRevocationCheck(list: RevocationList, onUnavailable: OnUnavailable): RevocationCheck {
  return (token) => {
    try {
      if (list.isRevoked(token)) return 'revoked'
      return list.available || onUnavailable === 'accept' ? 'good' : 'undecided'
    } catch {
      return onUnavailable === 'accept' ? 'good' : 'undecided'
    }
  }
}
