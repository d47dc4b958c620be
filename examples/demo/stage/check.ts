/** One claim of the story, held against what was seen. */

import { isDeepStrictEqual } from 'node:util'

export interface Check {
  readonly claim: string
  readonly outcome: 'holds' | 'fails' | 'skipped'
  /** What was seen instead, or why nothing was looked at. */
  readonly remark: string
}

/** `seen` is shown when it is not `expected`: it must not hold a token. */
export function check(claim: string, seen: unknown, expected: unknown): Check {
  return isDeepStrictEqual(seen, expected)
    ? { claim, outcome: 'holds', remark: '' }
    : { claim, outcome: 'fails', remark: `seen: ${JSON.stringify(seen)}` }
}

export function skipped(claim: string, why: string): Check {
  return { claim, outcome: 'skipped', remark: why }
}
