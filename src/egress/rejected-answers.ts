/** Counts the answers 401 of destinations that a token was sent to. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createObjectMetadata } from '../base/object-metadata.ts'
import type { Decision } from '../destination/decision.ts'
import { measureDownstreamRejection } from '../telemetry/metrics.ts'

// The channels of undici and `fetch`, and of `node:http`: both have the request and its response.
const CHANNELS = ['undici:request:headers', 'http.client.response.finish']

/** The rule by which each request got its token. */
const rules = createObjectMetadata<string>()

/** Finds the rule by which a request got its token, if another part of the relay remembers it. */
export type FindRule = (request: object) => string | undefined

/** Remembers that `request` has left with a token. */
export function rememberSent(request: object, { rule }: Exclude<Decision, { readonly verdict: 'withhold' }>): void {
  rules.set(request, rule.to)
}

/** Counts from now on. Returns how to stop. */
export function watchRejectedAnswers(findRule: FindRule): () => void {
  const onAnswer = (message: unknown): void => countRejection(message, findRule)
  for (const channel of CHANNELS) subscribe(channel, onAnswer)
  return () => {
    for (const channel of CHANNELS) unsubscribe(channel, onAnswer)
  }
}

/** Never throws: Node reports what a subscriber throws as an uncaught exception. */
function countRejection(message: unknown, findRule: FindRule): void {
  const { request, response } = message as { request?: object; response?: { statusCode?: unknown } }
  if (response?.statusCode !== 401 || request === undefined) return
  const rule = rules.get(request) ?? findRule(request)
  if (rule !== undefined) measureDownstreamRejection(rule)
}
