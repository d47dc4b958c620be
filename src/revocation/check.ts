/** Asks the revocation list about a token, and decides what holds while the list cannot answer. */

import { createObjectMetadata } from '../base/object-metadata.ts'
import { reportProblem } from '../telemetry/log-entries.ts'
import type { RevocationFacts, RevocationList } from './list.ts'

/**
 * `reject`: nothing is accepted while the list cannot be trusted. `accept`: what is not known to be revoked is good.
 */
export type OnUnavailable = 'reject' | 'accept'

/** `undecided` means that the list cannot be trusted now. */
type RevocationVerdict = 'good' | 'revoked' | 'undecided'

export type RevocationCheck = (token: RevocationFacts) => RevocationVerdict

/** How far the clock of an issuer may be ahead of ours, in seconds. */
export type ClockToleranceOf = (issuer: string) => number

/** Warns once when the list becomes unavailable, and once when it is available again: requests are many. */
export function createRevocationCheck(
  list: RevocationList,
  onUnavailable: OnUnavailable,
  clockToleranceOf: ClockToleranceOf,
): RevocationCheck {
  const consequence = onUnavailable === 'accept' ? 'tokens are let in unless known to be revoked' : 'tokens are refused'
  const factsOf = createFactsOf(clockToleranceOf)
  let trusted = true

  return (token) => {
    const verdict = verdictOf(list, factsOf(token))
    if (verdict === 'revoked') return verdict
    const trust = verdict === 'good'
    if (trust !== trusted) {
      trusted = trust
      report(trust ? 'can be trusted again' : `cannot be trusted: ${consequence}`)
    }
    return trust || onUnavailable === 'accept' ? 'good' : 'undecided'
  }
}

/** One object per token: lists remember what they computed from it. */
function createFactsOf(clockToleranceOf: ClockToleranceOf): (token: RevocationFacts) => RevocationFacts {
  const facts = createObjectMetadata<RevocationFacts>()
  return (token) => {
    let known = facts.get(token)
    if (known === undefined) {
      known = new EarliestFacts(token, clockToleranceOf(token.issuer) * 1000)
      facts.set(token, known)
    }
    return known
  }
}

/**
 * Facts as if the clock of the issuer were as far ahead as it may be. Otherwise a token whose `iat` lies in the near
 * future, and which is accepted already, would outlive the revocation of its subject. Reads claims only on demand.
 */
class EarliestFacts implements RevocationFacts {
  readonly #token: RevocationFacts
  readonly #aheadMillis: number

  constructor(token: RevocationFacts, aheadMillis: number) {
    this.#token = token
    this.#aheadMillis = aheadMillis
  }

  get issuer(): string {
    return this.#token.issuer
  }

  get tokenId(): string | undefined {
    return this.#token.tokenId
  }

  get sessionId(): string | undefined {
    return this.#token.sessionId
  }

  get subject(): string | undefined {
    return this.#token.subject
  }

  get issuedAtMillis(): number | undefined {
    const { issuedAtMillis } = this.#token
    return issuedAtMillis === undefined ? undefined : issuedAtMillis - this.#aheadMillis
  }
}

function report(what: string): void {
  reportProblem({ message: `the revocation list ${what}` })
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
