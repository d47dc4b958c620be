/** The error of an assertion that failed: that of `node:assert`, which Vitest, Jest and `node:test` print alike. */

import { AssertionError } from 'node:assert'

/** Returns an error whose stack begins at the call of `assertion`. */
export function createFailure(message: string, assertion: (...args: never[]) => unknown): AssertionError {
  return new AssertionError({ message, stackStartFn: assertion as () => void })
}
