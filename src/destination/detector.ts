/** For development: tells of calls to named destinations that nobody, or nobody in particular, makes. */

import type { Context } from '@opentelemetry/api'
import { diag } from '@opentelemetry/api'
import { getSlot } from '../context/credential-context.ts'
import { callPlaceOf, keptPlaceOf, recordPlaces } from '../context/place.ts'
import { isTracingSuppressed } from '../telemetry/suppression.ts'
import type { Decide, Decision, Hop } from './decision.ts'
import type { Rules } from './rules.ts'

export type DetectorMode = 'off' | 'warn'

/** More places than a program has; then it is quiet. */
const MAX_WARNINGS = 1_000

const FINDINGS = {
  nobody: 'made as nobody',
  not_verified: 'made with a token that is not verified',
  detached: 'made after the request of its caller has ended',
  ambiguous: 'made for several callers',
} as const
type Finding = keyof typeof FINDINGS

export interface Detector {
  readonly decide: Decide
  uninstall(): void
}

/** `decide`, with a warning for each place in the application that calls a destination of `rules` without a caller. */
export function createDetector(mode: DetectorMode, rules: Rules, decide: Decide): Detector {
  if (mode === 'off') return { decide, uninstall: () => undefined }
  const stop = recordPlaces(getSlot)
  const told = new Set<string>()

  function tell(ctx: Context, finding: Finding, destination: string): void {
    const kept = keptPlaceOf(ctx, getSlot(ctx))
    const where = `called at ${callPlaceOf(ctx) ?? 'an unknown place'}${kept === undefined ? '' : `; context kept at ${kept}`}`
    const warning = `otel-token-relay: a call to ${destination} was ${FINDINGS[finding]}, and carries no token; ${where}`
    if (told.has(warning) || told.size >= MAX_WARNINGS) return
    // Before it is told: a logger may call a destination itself.
    told.add(warning)
    diag.warn(warning)
  }

  return {
    decide(ctx, hop) {
      const decision = decide(ctx, hop)
      const rule = hop.target === undefined ? undefined : rules.match(hop.target)
      const finding = rule === undefined ? undefined : findingOf(ctx, hop, decision)
      if (rule !== undefined && finding !== undefined) tell(ctx, finding, rule.to)
      return decision
    },
    uninstall: stop,
  }
}

/** What the application authorizes itself, or no token may go with, has lost none. */
function findingOf(ctx: Context, { obstacle }: Hop, decision: Decision | undefined): Finding | undefined {
  if (isTracingSuppressed(ctx)) return undefined
  if (decision === undefined) return obstacle === undefined ? 'nobody' : undefined
  const reason = decision.verdict === 'withhold' ? decision.reason : undefined
  return reason !== undefined && reason in FINDINGS ? (reason as Finding) : undefined
}
