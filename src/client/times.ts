/** Times that timers can keep. */

import * as z from 'zod'

const PROBLEM = 'expected 1 to 2147483647 whole milliseconds'

/** Longer ones would make `setTimeout` fire at once. */
export const timeoutMillis = z.int(PROBLEM).min(1, PROBLEM).max(2_147_483_647, PROBLEM)
