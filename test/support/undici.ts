/** The versions of undici that are covered, under the types of the newest. */

import * as undici8 from 'undici'
import * as undici5 from 'undici-5'
import * as undici6 from 'undici-6'
import * as undici7 from 'undici-7'

export type Undici = typeof undici8

export const COPIES: readonly (readonly [string, Undici])[] = [
  ['5', undici5 as unknown as Undici],
  ['6', undici6 as unknown as Undici],
  ['7', undici7 as unknown as Undici],
  ['8', undici8],
]
