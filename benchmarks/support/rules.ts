/** Decides by rules that name `to`, with nothing else in the way. */

import type { Decide } from '../../src/destination/decision.ts'
import { createDecide } from '../../src/destination/decision.ts'
import { parsePattern } from '../../src/destination/pattern.ts'
import { compileRules } from '../../src/destination/rules.ts'

export function decideBy(destinations: readonly string[]): Decide {
  const rules = destinations.map((to) => ({
    to,
    pattern: parsePattern(to),
    seal: false as const,
    detached: 'withhold' as const,
    maxHeaderBytes: 16_384,
    exchange: undefined,
  }))
  const deciding = {
    rules: compileRules(rules),
    exchanged: () => undefined,
    checkRevocation: () => 'good' as const,
    mode: 'enforce' as const,
    hasSealingKey: () => false,
    isBlocked: () => false,
  }
  return createDecide(deciding, () => undefined)
}
