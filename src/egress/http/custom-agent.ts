/** Agents with code that is not Node's: what must be known of a request before such an agent gets it. */

import type { ClientRequest } from 'node:http'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { getCallSites } from 'node:util'
import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { createObjectMetadata } from '../../base/object-metadata.ts'
import { callerOf, deleteCredential } from '../../context/credential-context.ts'
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

const firstSights = createObjectMetadata<FirstSight>()

/** Whose request it is that a custom agent has got, whenever it passes the request on. */
export function firstSightOf(request: AgentRequest, agent: AgentMethods): FirstSight {
  const known = firstSights.get(request)
  if (known !== undefined) return known
  const obstacle = request.headersSent ? 'headers_sent' : undefined
  const active = context.active()
  const first: FirstSight =
    callerOf(active) === undefined || isFirst(agent, request) || isBeingCreated()
      ? { caller: active, obstacle }
      : { caller: deleteCredential(active), obstacle: 'ambiguous' }
  firstSights.set(request, first)
  return first
}

/** Whether no other code has had the request before Node's `addRequest`, which its constructor calls. */
function isFirst(agent: AgentMethods, request: AgentRequest): boolean {
  return request.agent === agent && agent.addRequest === Reflect.get(HttpAgent.prototype, 'addRequest')
}

/** Enough for all that may stand between the constructor of a request and this module. */
const MAX_FRAMES = 20

/** Whether a request is being created. Later its agent has queued it, and the active caller may be another one. */
function isBeingCreated(): boolean {
  return getCallSites(MAX_FRAMES).some(
    ({ functionName, scriptName }) => functionName === 'ClientRequest' && scriptName === 'node:_http_client',
  )
}
