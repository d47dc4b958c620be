/** For development: warns of calls to named destinations that are made without a caller, or as the wrong one. */

import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { bindSiteOf, callSiteOf, recordCallSites } from '../context/call-sites.ts'
import type { Caller } from '../context/caller.ts'
import { callerOf } from '../context/credential-context.ts'
import type { HandedIn } from '../context/handed-in.ts'
import { handedInSoFar, watchHandOvers } from '../context/handed-in.ts'
import { reportProblem } from '../telemetry/log-entries.ts'
import { isTracingSuppressed } from '../telemetry/suppression.ts'
import type { Decide, Decision, Hop } from './decision.ts'
import type { Rules } from './rules.ts'

export type DetectorMode = 'off' | 'warn'

/** More than the places of a program; after these the detector is quiet. */
const MAX_WARNINGS = 1_000

const FINDINGS = {
  no_caller: 'made without a caller',
  not_verified: 'made with a token that is not verified',
  detached: 'made after the request of its caller has ended',
  ambiguous: 'made for several callers',
} as const
type Finding = keyof typeof FINDINGS

export interface Detector {
  readonly decide: Decide
  uninstall(): void
}

/**
 * Returns `decide` with a warning for each place in the application that calls a destination of `rules` without a
 * caller.
 */
export function createDetector(mode: DetectorMode, rules: Rules, decide: Decide): Detector {
  if (mode === 'off') return { decide, uninstall: () => undefined }
  const warnings = new LostCallerWarnings(rules)
  const stopPlaces = recordCallSites(callerOf)
  const stopHandOvers = watchHandOvers({
    ownerOf: () => verifiedCallerOf(context.active()),
    onForeign: (handedIn) => warnings.checkHandOver(handedIn),
  })
  return {
    decide(ctx, hop) {
      const decision = decide(ctx, hop)
      warnings.checkDecision(ctx, hop, decision)
      return decision
    },
    uninstall() {
      stopHandOvers()
      stopPlaces()
    },
  }
}

class LostCallerWarnings {
  readonly #rules: Rules
  readonly #logged = new Set<string>()
  /** The last call of each caller that carried its token. */
  readonly #calls = new WeakMap<object, Call>()

  constructor(rules: Rules) {
    this.#rules = rules
  }

  /** Warns if a call to a named destination carries no token because its caller is lost. */
  checkDecision(ctx: Context, hop: Hop, decision: Decision | undefined): void {
    const rule = hop.target === undefined || hop.isTentative ? undefined : this.#rules.match(hop.target)
    if (rule === undefined) return
    const finding = findingOf(ctx, hop, decision)
    if (finding !== undefined) this.#warnOfCall(ctx, finding, rule.to)
    const caller = verifiedCallerOf(ctx)
    if (caller === undefined || decision === undefined || decision.verdict === 'withhold') return
    this.#calls.set(caller, { to: rule.to, place: callSiteOf(ctx) ?? UNKNOWN_PLACE, after: handedInSoFar() })
  }

  /** Warns if the task of one caller has made its call as another one. */
  checkHandOver({ owner, place, number }: HandedIn): void {
    const current = verifiedCallerOf(context.active())
    const call = current === undefined ? undefined : this.#calls.get(current)
    // Either of one person's two requests may make the call: they have the same token, or each its own.
    if (call === undefined || call.after < number || isSameCaller(owner, current)) return
    const where = `called at ${call.place}; handed in at ${place}`
    this.#warn(
      `a call to ${call.to} was made as another caller than the one it was handed in by; ${where}; see wrapExecutor`,
    )
  }

  #warnOfCall(ctx: Context, finding: Finding, destination: string): void {
    const kept = bindSiteOf(ctx, callerOf(ctx))
    const where = `called at ${callSiteOf(ctx) ?? UNKNOWN_PLACE}${kept === undefined ? '' : `; context kept at ${kept}`}`
    this.#warn(`a call to ${destination} was ${FINDINGS[finding]}, and carries no token; ${where}`)
  }

  #warn(text: string): void {
    const warning = `otel-token-relay: ${text}`
    if (this.#logged.has(warning) || this.#logged.size >= MAX_WARNINGS) return
    // Before it is logged: a logger may call a destination itself.
    this.#logged.add(warning)
    reportProblem({ message: text })
  }
}

const UNKNOWN_PLACE = 'an unknown place'

/** The last call that carried the token of a caller. */
interface Call {
  readonly to: string
  readonly place: string
  /** How many promises had been handed in by then. */
  readonly after: number
}

function verifiedCallerOf(ctx: Context): Caller | undefined {
  const caller = callerOf(ctx)
  return caller?.state.status === 'verified' ? caller : undefined
}

function isSameCaller(a: object, b: Caller | undefined): boolean {
  const [one, other] = [(a as Caller).state, b?.state]
  return one.status === 'verified' && other?.status === 'verified' && one.credential === other.credential
}

/** A call that the application authorizes itself, or that may carry no token, has lost none. */
function findingOf(ctx: Context, { obstacle }: Hop, decision: Decision | undefined): Finding | undefined {
  if (isTracingSuppressed(ctx)) return undefined
  if (decision === undefined) return obstacle === undefined ? 'no_caller' : undefined
  const reason = decision.verdict === 'withhold' ? decision.reason : undefined
  return reason !== undefined && reason in FINDINGS ? (reason as Finding) : undefined
}
