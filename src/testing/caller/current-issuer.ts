/** The issuer of the test relay that is active, for `asCaller`. */

import type { TokenIssuer } from './local-issuer.ts'

let current: TokenIssuer | undefined

export function currentTestIssuer(): TokenIssuer | undefined {
  return current
}

/** Makes `issuer` the one that signs for callers. Returns how to undo it. */
export function useTestIssuer(issuer: TokenIssuer): () => void {
  const before = current
  current = issuer
  return () => {
    current = before
  }
}
