/** `otel-token-relay explain`: which rule of `destinations` decides about a caller's token, and why. */

import { ROOT_CONTEXT } from '@opentelemetry/api'
import type { Settings } from '../config/options.ts'
import type { Explanation } from '../destination/explain.ts'
import { explainDestination } from '../destination/explain.ts'
import type { Pattern, Target } from '../destination/pattern.ts'
import { isWorker } from '../destination/pattern.ts'
import type { Rule } from '../destination/rules.ts'
import { compileRules } from '../destination/rules.ts'
import { announcedTarget } from '../destination/target.ts'
import { requireSettings } from './configuration.ts'
import type { Check } from './report.ts'
import { printReport } from './report.ts'

export interface ExplainOptions {
  readonly config?: string
  readonly json?: boolean
}

/** Prints what would happen to the good token of any caller at `destination`. Resolves with the exit code. */
export async function explain(destination: string, { config, json = false }: ExplainOptions): Promise<number> {
  const settings = requireSettings(config)
  const explanation = explainFor(settings, destination)
  const { verdict, rule, reason } = explanation
  const check = checkOf(explanation, settings)
  const conclusion = verdict === 'withhold' ? 'The token is withheld.' : 'The token is sent.'
  const data = { destination: explanation.destination, verdict, rule, reason }
  return printReport(
    { command: 'explain', sections: [{ title: titleOf(explanation), checks: [check] }], conclusion, data },
    json,
  )
}

/** What the rules of `settings` say about `destination`, without a relay and without a caller. */
export function explainFor({ rules, sealing, egress }: Settings, destination: string): Explanation {
  const { keys } = sealing
  const target = announcedTarget(destination)
  // Hand-overs need no configured key: threads of a process have their own.
  const isHandOver = keys.length === 0 && target !== undefined && isWorker(target)
  return explainDestination(destination, ROOT_CONTEXT, {
    rules: compileRules(rules),
    mode: egress.mode,
    hasSealingKey: (seal) =>
      isHandOver || (typeof seal === 'string' ? keys.some(({ kid }) => kid === seal) : keys.length > 0),
    exchanged: () => undefined,
    checkRevocation: () => 'good',
    isBlocked: () => false,
  })
}

function titleOf({ destination }: Explanation): string {
  return destination ?? 'This destination'
}

const REASONS: Readonly<Record<string, string>> = {
  not_named: 'no rule of destinations names it',
  unknown_destination: 'no rule can name it: it is no origin and no system:name, or its spelling leaves a doubt',
  own_credential: 'user and password of the URL become an Authorization header, which stays as it is',
  not_sealed: 'the token of a message must be sealed, and sealing.keys has no key for it',
  report_only: 'egress.mode is report: what would be sent is recorded, and nothing is sent',
}

function checkOf({ verdict, rule, reason, destination }: Explanation, { rules }: Settings): Check {
  const named = rule === undefined ? '' : `destinations[${rules.findIndex(({ to }) => to === rule)}] "${rule}"`
  if (verdict === 'forward')
    return { id: 'destination', status: 'ok', text: `${named} names it: the token is forwarded` }
  if (verdict === 'exchange') {
    return {
      id: 'destination',
      status: 'ok',
      text: `${named} names it: another token is sent in place of the caller's`,
    }
  }
  const cause = REASONS[reason ?? ''] ?? `reason: ${reason}`
  const text = rule === undefined ? cause : `${named} names it, but ${cause}`
  return { id: 'destination', status: 'finding', text, advice: adviceOf(destination, rules, reason) }
}

function adviceOf(
  destination: string | undefined,
  rules: readonly Rule[],
  reason: string | undefined,
): string | undefined {
  if (reason !== 'not_named' || destination === undefined) return undefined
  return nearMiss(destination, rules)?.advice ?? `to send it there, add { to: '${destination}' } to destinations`
}

export interface NearMiss {
  readonly differs: 'scheme' | 'port' | 'system'
  readonly advice: string
}

/** A rule that names almost this destination; `undefined` if none does. */
export function nearMiss(destination: string, rules: readonly Rule[]): NearMiss | undefined {
  const target = announcedTarget(destination)
  if (target === undefined) return undefined
  for (const [index, { to, pattern }] of rules.entries()) {
    const differs = differenceOf(target, pattern)
    const advice = `destinations[${index}] "${to}" differs by its ${differs}: this call needs "${destination}"`
    if (differs !== undefined) return { differs, advice }
  }
  return undefined
}

function differenceOf(target: Target, pattern: Pattern): NearMiss['differs'] | undefined {
  if (target.kind === 'network' && pattern.kind === 'network') {
    if (target.host !== pattern.host || pattern.wildcard) return undefined
    return target.port !== pattern.port ? 'port' : target.scheme !== pattern.scheme ? 'scheme' : undefined
  }
  if (target.kind === 'messaging' && pattern.kind === 'messaging') {
    return target.name === pattern.name && target.system !== pattern.system ? 'system' : undefined
  }
  return undefined
}
