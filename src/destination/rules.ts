/** The named destinations, compiled once, found in constant time. */

import type { NetworkTarget, Pattern, Target } from './pattern.ts'
import { parsePattern } from './pattern.ts'
import type { TokenRequest } from './token-request.ts'

/** Which other token a destination gets, and how it is got. */
export interface ExchangeRule {
  readonly request: TokenRequest
  /** `ingress`: got for each caller before its request is handled. `call`: when it is first needed. */
  readonly prepare: 'call' | 'ingress'
  /** `forward`: the caller's own token, where the other one cannot be had. */
  readonly onFailure: 'withhold' | 'forward'
}

/** What becomes of a message whose token is not good, or not there. */
export interface ConsumeRule {
  /** `exchange`: a fresh token for the same subject. `workload`: the service's own token, the caller being history. */
  readonly onExpired: 'reject' | 'exchange' | 'workload'
  readonly onMissing: 'reject' | 'nobody'
}

/** One named destination and how a token may go there. */
export interface Rule {
  /** The pattern as it was configured; names the rule in events. */
  readonly to: string
  readonly pattern: Pattern
  /**
   * Messaging only: `false` where the token may lie in the broker in clear text, `true` where the first key seals it,
   * or the `kid` of another one.
   */
  readonly seal: boolean | string
  /** Whether work may use the token after the request that it came with has ended. */
  readonly detached: 'withhold' | 'allow'
  /** Largest header section, the token included, that the destination is known to read. */
  readonly maxHeaderBytes: number
  /** `undefined`: the caller's own token is forwarded. */
  readonly exchange: ExchangeRule | undefined
  /** Messaging only: how its consumers work. */
  readonly consume?: ConsumeRule
}

export interface Rules {
  match(target: Target): Rule | undefined
}

/** An exact rule wins over a wildcard, and the longer wildcard wins over the shorter. */
export function compileRules(rules: readonly Rule[]): Rules {
  const exact = createIndex(rules.filter(({ pattern }) => !pattern.wildcard))
  const wildcards = rules.filter(({ pattern }) => pattern.wildcard)
  const below = createIndex(wildcards)
  const prefixes = wildcards
    .filter(({ pattern }) => pattern.kind === 'messaging')
    .toSorted((a, b) => keyOf(b.pattern).length - keyOf(a.pattern).length)

  return {
    match: (target) =>
      exact(target) ?? (target.kind === 'network' ? below(parentOf(target)) : longest(prefixes, keyOf(target))),
  }
}

type Index = (target: Target | undefined) => Rule | undefined

/** By host or name first, which is a text that is there already: asked for every request, it builds no key. */
function createIndex(rules: readonly Rule[]): Index {
  const byPlace = new Map<string, Rule[]>()
  for (const rule of rules) {
    const place = placeOf(rule.pattern)
    const there = byPlace.get(place)
    if (there === undefined) byPlace.set(place, [rule])
    else there.push(rule)
  }
  return (target) =>
    target === undefined ? undefined : byPlace.get(placeOf(target))?.findLast(({ pattern }) => isSame(pattern, target))
}

function placeOf(target: Target): string {
  return target.kind === 'network' ? target.host : target.name
}

function isSame(a: Target, b: Target): boolean {
  if (a.kind === 'network')
    return b.kind === 'network' && a.port === b.port && a.scheme === b.scheme && a.host === b.host
  return b.kind === 'messaging' && a.system === b.system && a.name === b.name
}

/** The identity of a target or pattern: two patterns with one key would be the same rule twice. */
export function keyOf(target: Target): string {
  return target.kind === 'network'
    ? `${target.scheme}://${target.host}:${target.port}`
    : `${target.system}:${target.name}`
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, grpc: 443, grpcs: 443 }

/** `target` in the words of a rule that names exactly it; `undefined` where they would name something else or nothing. */
export function destinationOf(target: Target): string | undefined {
  const text = target.kind === 'messaging' ? keyOf(target) : originOf(target)
  try {
    const pattern = parsePattern(text)
    return !pattern.wildcard && keyOf(pattern) === keyOf(target) ? text : undefined
  } catch {
    return undefined
  }
}

function originOf({ scheme, host, port }: NetworkTarget): string {
  return `${scheme}://${host}${port === DEFAULT_PORTS[scheme] ? '' : `:${port}`}`
}

/** `*.internal.example` stands for exactly one label more: not for none, not for two. */
function parentOf(target: NetworkTarget): NetworkTarget | undefined {
  const dot = target.host.indexOf('.')
  return dot < 1 ? undefined : { ...target, host: target.host.slice(dot + 1) }
}

function longest(prefixes: readonly Rule[], key: string): Rule | undefined {
  return prefixes.find((rule) => key.startsWith(keyOf(rule.pattern)))
}
