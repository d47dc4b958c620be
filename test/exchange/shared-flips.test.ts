/** Bits that were turned over in the cache, one at a time. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRandom } from '../fuzz/random.ts'
import { waitFor } from '../support/patience.ts'
import { HAS_REDIS } from '../support/redis.ts'
import type { SharedRig } from './shared-rig.ts'
import { startSharedRig } from './shared-rig.ts'

const CALLERS = 20
const ROUNDS = 100
const FLIPS = CALLERS * ROUNDS

let shared: SharedRig | undefined
beforeAll(async () => {
  if (HAS_REDIS) shared = await startSharedRig()
})
afterAll(() => shared?.[Symbol.asyncDispose]())

it.runIf(HAS_REDIS)(
  'of 2000 changed bits none opens, and each value is replaced [H9, F16]',
  { timeout: 240_000 },
  async () => {
    if (shared === undefined) throw new Error('there is a Redis')
    const { direct } = shared
    const random = createRandom(20_261_125)
    const tokens: string[] = []
    await shared.another()
    for (let i = 0; i < CALLERS; i += 1) {
      tokens.push(await shared.rig.issuer.token({ sub: `caller-${i}` }))
      await shared.prepare(tokens[i] ?? '')
    }
    const prepareAll = () => Promise.all(tokens.map((token) => shared?.prepare(token)))
    const keys = await shared.kept(CALLERS)
    for (let round = 0; round < ROUNDS; round += 1) {
      const changed = await Promise.all(keys.map(async (key) => flip((await direct.getBuffer(key)) ?? Buffer.alloc(0))))
      await Promise.all(keys.map((key, i) => direct.set(key, changed[i] ?? '')))
      await shared.another()
      expect(new Set(await prepareAll())).toEqual(new Set(['done']))
      await waitFor(async () => {
        const now = await Promise.all(keys.map((key) => direct.getBuffer(key)))
        expect(now.filter((value, i) => value === null || changed[i]?.equals(value))).toEqual([])
      })
    }
    expect(shared.asked()).toBe(CALLERS + FLIPS)
    expect(await shared.outcomes()).toEqual({ miss: CALLERS + FLIPS, 'unusable ERR_TOKEN_SEAL': FLIPS })
    // The last ones, which nobody has changed.
    await shared.another()
    expect([new Set(await prepareAll()), await shared.outcomes()]).toEqual([new Set(['done']), { hit: CALLERS }])

    function flip(bytes: Buffer): Buffer {
      const at = random.integer(bytes.length)
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] ?? 0) ^ (1 << random.integer(8))
      return changed
    }
  },
)
