/** What the gate answers by itself, without a token: metadata of this service, and whether it is ready. */

import type { Answer } from '../../token/challenge.ts'
import type { Incoming } from './incoming.ts'
import type { ResourceMetadata } from './resource-metadata.ts'

/** The answer to one request; `undefined` for a request that is not for the gate. */
export type OwnAnswer = (event: string, incoming: Incoming) => Answer | undefined

export interface OwnAnswersOptions {
  readonly metadata: ResourceMetadata | undefined
  readonly readyPath: string | undefined
  readonly isReady: () => boolean
}

export function createOwnAnswers({ metadata, readyPath, isReady }: OwnAnswersOptions): readonly OwnAnswer[] {
  const answers: OwnAnswer[] = []
  if (metadata !== undefined) answers.push((_, { method, target }) => metadata.answerTo(method, target))
  if (readyPath !== undefined) answers.push(createReadinessAnswer(readyPath, isReady))
  return answers
}

/** The first answer that there is; `undefined` if none of `answers` could ever be one. */
export function firstOf(answers: readonly OwnAnswer[]): OwnAnswer | undefined {
  const [first, ...others] = answers
  if (first === undefined || others.length === 0) return first
  return (event, incoming) => {
    for (const answer of answers) {
      const found = answer(event, incoming)
      if (found !== undefined) return found
    }
    return undefined
  }
}

/** For probes: what is missing is in metrics and logs, for the operator alone. */
function createReadinessAnswer(path: string, isReady: () => boolean): OwnAnswer {
  const headers = { 'cache-control': 'no-store', 'content-length': '0' }
  const ready: Answer = { status: 200, reason: 'OK', headers, body: '' }
  const notReady: Answer = { status: 503, reason: 'Service Unavailable', headers, body: '' }
  return (_, { method, target }) => {
    if (method !== 'GET' && method !== 'HEAD') return undefined
    if (target !== path && !target.startsWith(`${path}?`)) return undefined
    return isReady() ? ready : notReady
  }
}
