/** Agents with code that is not Node's: what must be known of a request before such an agent gets it. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ClientRequest } from 'node:http'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { createObjectMetadata } from '../../base/object-metadata.ts'
import { callerOf } from '../../context/credential-context.ts'
import type { WithholdReason } from '../../telemetry/events.ts'

export type AgentRequest = ClientRequest & { readonly agent?: unknown }

/** What is read of an agent, which Node's type definitions do not have. */
export interface AgentMethods {
  readonly addRequest?: unknown
  readonly createConnection?: unknown
  readonly createSocket?: unknown
  readonly getName?: unknown
}

export const CLEAR_TEXT: unknown = Reflect.get(HttpAgent.prototype, 'createConnection')
export const ENCRYPTED: unknown = Reflect.get(HttpsAgent.prototype, 'createConnection')
const BUILT_IN_NAMES: readonly unknown[] = [
  Reflect.get(HttpAgent.prototype, 'getName'),
  Reflect.get(HttpsAgent.prototype, 'getName'),
]
const BUILT_IN_SOCKETS: unknown = Reflect.get(HttpAgent.prototype, 'createSocket')

/** Whether other code than Node's opens or shares the agent's connections, which may lead anywhere. */
export function isCustom(agent: AgentMethods): boolean {
  return (
    (agent.createConnection !== CLEAR_TEXT && agent.createConnection !== ENCRYPTED) ||
    !BUILT_IN_NAMES.includes(agent.getName) ||
    agent.createSocket !== BUILT_IN_SOCKETS ||
    agent.addRequest !== Reflect.get(HttpAgent.prototype, 'addRequest')
  )
}

/**
 * What was known when the first agent got the request. It may pass the request on to another agent, as those of
 * `agent-base` do, after the request has waited: in the context of another caller, and with a header section that is
 * rendered, but not written.
 */
export interface FirstSight {
  readonly caller: Context
  readonly obstacle: WithholdReason | undefined
}

interface Sight extends FirstSight {
  /** Whether the request was created after it was seen, and so by the caller that was active then. */
  isOfCreator: boolean
}

const firstSights = createObjectMetadata<Sight>()

/** Whose request it is that other code than Node's has got, whenever it passes the request on. */
export function firstSightOf(request: object, headersSent: boolean): FirstSight {
  const known = firstSights.get(request)
  if (known !== undefined) return known
  watchCreations()
  const obstacle = headersSent ? 'headers_sent' : undefined
  const first: Sight = { caller: context.active(), obstacle, isOfCreator: false }
  firstSights.set(request, first)
  return first
}

/**
 * Why the request must not be sent as the caller of `first`, now that it is written: an agent had queued it before it
 * was seen, and another caller may have been active by then, such as one who was creating a request as well.
 */
export function obstacleOfCaller(request: object, first: FirstSight): WithholdReason | undefined {
  const isAnyone = callerOf(first.caller) === undefined || firstSights.get(request)?.isOfCreator === true
  return isAnyone ? undefined : 'ambiguous'
}

/** Node publishes each request at the end of its constructor, in which the agent gets it. */
const CREATED = 'http.client.request.created'
let isWatching = false

/** From the first request on that matters: without such agents nothing has to be known. */
function watchCreations(): void {
  if (isWatching) return
  isWatching = true
  subscribe(CREATED, recordCreation)
}

export function stopWatchingCreations(): void {
  isWatching = false
  unsubscribe(CREATED, recordCreation)
}

function recordCreation(message: unknown): void {
  const { request } = message as { readonly request: object }
  const first = firstSights.get(request)
  if (first !== undefined) first.isOfCreator = true
}
