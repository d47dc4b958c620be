/** Sees which of the destinations that a token was sent to did not accept it. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Decision } from '../destination/decision.ts'
import { measureDownstreamRejection } from '../telemetry/downstream-metrics.ts'
import { createNotes } from '../token/notes.ts'

// That of undici and fetch, and that of `node:http`: both say which request is answered, and with what.
const CHANNELS = ['undici:request:headers', 'http.client.response.finish']

/** The rules by which requests got their tokens. */
const rules = createNotes<string>()

/** Remembers that `request` has left with a token. */
export function rememberSent(request: object, { rule }: Exclude<Decision, { readonly verdict: 'withhold' }>): void {
  rules.set(request, rule.to)
}

export function watchAnswers(): () => void {
  for (const channel of CHANNELS) subscribe(channel, onAnswer)
  return () => {
    for (const channel of CHANNELS) unsubscribe(channel, onAnswer)
  }
}

/** Never throws: Node reports what a subscriber throws as an uncaught exception. */
function onAnswer(message: unknown): void {
  const { request, response } = message as { request?: object; response?: { statusCode?: unknown } }
  if (response?.statusCode !== 401 || request === undefined) return
  const rule = rules.get(request)
  if (rule !== undefined) measureDownstreamRejection(rule)
}
