/** Asks the revocation list about a token, and knows what to do while the list cannot answer. */

import { diag } from '@opentelemetry/api'
import type { RevocationFacts, RevocationList } from './list.ts'

/** `reject`: nothing is accepted while the list cannot be trusted. `accept`: what is not known to be revoked is good. */
export type OnUnavailable = 'reject' | 'accept'

/** `undecided` means that the list cannot be trusted now. */
export type RevocationVerdict = 'good' | 'revoked' | 'undecided'

export type RevocationCheck = (token: RevocationFacts) => RevocationVerdict

/** Says once that the list cannot be trusted, and once that it can again: requests are many. */
export function createRevocationCheck(list: RevocationList, onUnavailable: OnUnavailable): RevocationCheck {
  const consequence = onUnavailable === 'accept' ? 'tokens are let in unless known to be revoked' : 'tokens are refused'
  let trusted = true

  return (token) => {
    const verdict = verdictOf(list, token)
    if (verdict === 'revoked') return verdict
    const trust = verdict === 'good'
    if (trust !== trusted) {
      trusted = trust
      tell(trust ? 'can be trusted again' : `cannot be trusted: ${consequence}`)
    }
    return trust || onUnavailable === 'accept' ? 'good' : 'undecided'
  }
}

/** On every request's way: a broken logger must not break it. */
function tell(what: string): void {
  try {
    diag.warn(`otel-token-relay: the revocation list ${what}`)
  } catch {
    // Nobody to tell.
  }
}

/** A list that breaks its promise not to throw is not available. */
function verdictOf(list: RevocationList, token: RevocationFacts): RevocationVerdict {
  try {
    if (list.isRevoked(token)) return 'revoked'
    return list.available ? 'good' : 'undecided'
  } catch {
    return 'undecided'
  }
}
