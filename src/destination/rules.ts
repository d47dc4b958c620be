/** The rules that name destinations: compiled once, found in constant time. */

import { LRUCache } from 'lru-cache'
import { defaultPortOf } from '../base/urls.ts'
import type { MessagingTarget, NetworkTarget, Pattern, Target } from './pattern.ts'
import { parsePattern } from './pattern.ts'
import type { TokenRequest } from './token-request.ts'

/** The other token that a destination gets, and when the relay gets it. */
export interface ExchangeRule {
  readonly request: TokenRequest
  /** `ingress`: for each caller, before its request is handled. `call`: when it is first needed. */
  readonly prepare: 'call' | 'ingress'
  /** `forward`: the caller's own token leaves if the issuer does not give the other one. */
  readonly onFailure: 'withhold' | 'forward'
}

/** What a consumer does with a message whose token is not good, or not there. */
export interface ConsumeRule {
  /** `exchange`: a fresh token for the same subject. `workload`: the service's own token, without the caller. */
  readonly onExpired: 'reject' | 'exchange' | 'workload'
  readonly onMissing: 'reject' | 'no-caller'
}

/** One named destination and how a token may go there. */
export interface Rule {
  /** The pattern as it was configured; names the rule in events. */
  readonly to: string
  readonly pattern: Pattern
  /**
   * Messaging only: `false` if the token may lie in the broker in clear text, `true` if the first key seals it, or the
   * `kid` of another key.
   */
  readonly seal: boolean | string
  /** Whether work may use the token after the request that it came with has ended. */
  readonly detached: 'withhold' | 'allow'
  /** The largest header section that the destination reads, in bytes, the token included. */
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
  const prefixes = specificLast(wildcards).toSorted((a, b) => placeOf(a.pattern).length - placeOf(b.pattern).length)

  return {
    match: (target) =>
      exact(target) ??
      (target.kind === 'network'
        ? below(parentOf(target))
        : prefixes.findLast(({ pattern }) => isPrefix(pattern, target))),
  }
}

/** A rule for exchanges or for queues of RabbitMQ wins over one for both. */
function specificLast(rules: readonly Rule[]): readonly Rule[] {
  const isSpecific = ({ pattern }: Rule): number =>
    pattern.kind === 'messaging' && pattern.through !== undefined ? 1 : 0
  return rules.toSorted((a, b) => isSpecific(a) - isSpecific(b))
}

type Index = (target: Target | undefined) => Rule | undefined

/** Finds a rule by host or name first, which is a text that is there already: no key is built for a request. */
function createIndex(rules: readonly Rule[]): Index {
  const byPlace = new Map<string, Rule[]>()
  for (const rule of specificLast(rules)) {
    const place = placeOf(rule.pattern)
    const known = byPlace.get(place)
    if (known === undefined) byPlace.set(place, [rule])
    else known.push(rule)
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
  return b.kind === 'messaging' && a.name === b.name && isSameKind(a, b)
}

function isPrefix(pattern: Target, target: MessagingTarget): boolean {
  return pattern.kind === 'messaging' && target.name.startsWith(pattern.name) && isSameKind(pattern, target)
}

function isSameKind(pattern: MessagingTarget, target: MessagingTarget): boolean {
  if (pattern.system !== target.system) return false
  return pattern.through === undefined || pattern.through === (target.through ?? 'queue')
}

/** The identity of a target or pattern: two patterns with one key would be the same rule twice. */
export function keyOf(target: Target): string {
  return target.kind === 'network'
    ? `${target.scheme}://${target.host}:${target.port}`
    : `${target.system}:${target.through === undefined ? '' : `${target.through}s/`}${target.name}`
}

/** The destination of a rule that names exactly `target`; `undefined` if there can be none. */
export function destinationOf(target: Target): string | undefined {
  const key = keyOf(target)
  const text = entries.get(key) ?? entryOf(target, key)
  if (key.length <= MAX_REMEMBERED) entries.set(key, text)
  return text === '' ? undefined : text
}

/** By key; `''` if there can be none. Requests go to the same few destinations all day. */
const entries = new LRUCache<string, string>({ max: 1_000 })
/** Longer than any name of a host (RFC 1035 §2.3.4) with scheme and port. */
const MAX_REMEMBERED = 300

function entryOf(target: Target, key: string): string {
  const text = target.kind === 'messaging' ? key : originOf(target)
  try {
    const pattern = parsePattern(text)
    return !pattern.wildcard && keyOf(pattern) === key ? text : ''
  } catch {
    return ''
  }
}

function originOf({ scheme, host, port }: NetworkTarget): string {
  return `${scheme}://${host}${port === defaultPortOf(scheme) ? '' : `:${port}`}`
}

/** `*.internal.example` stands for exactly one label more: not for none, not for two. */
function parentOf(target: NetworkTarget): NetworkTarget | undefined {
  const dot = target.host.indexOf('.')
  return dot < 1 ? undefined : { ...target, host: target.host.slice(dot + 1) }
}
