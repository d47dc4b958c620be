/** `http` and `https`: decides where Node hands a request to its agent, before any header is rendered. */

import type { ClientRequest } from 'node:http'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { context, trace } from '@opentelemetry/api'
import type { Decide, Hop } from '../destination/decision.ts'
import { eventOf } from '../destination/hop-event.ts'
import type { NetworkTarget } from '../destination/pattern.ts'
import { networkTarget } from '../destination/target.ts'
import { AUTHORIZATION } from '../propagation/carrier.ts'
import type { WithholdReason } from '../telemetry/auth-event.ts'
import { recordOnSpan } from '../telemetry/span-events.ts'

/** What `addRequest` is called with, and what it reads of the agent. Not in Node's type definitions. */
type AddRequest = (this: AgentInternals, request: ClientRequest, options: unknown, ...legacy: unknown[]) => unknown
interface AgentInternals {
  readonly options?: ConnectionOptions
  readonly protocol?: string
  readonly defaultPort?: number
  readonly createConnection?: unknown
  readonly createSocket?: unknown
  readonly getName?: unknown
}
interface ConnectionOptions {
  readonly host?: unknown
  readonly port?: unknown
  readonly socketPath?: unknown
  readonly path?: unknown
  readonly lookup?: unknown
}

/**
 * Wraps `Agent.prototype.addRequest`: it is called inside the `ClientRequest` constructor, in the caller's context, with
 * the options that the connection will be made with. Requests without an agent never come here and get no token.
 */
export function interceptAgents(decide: Decide): () => void {
  const prototype = HttpAgent.prototype as unknown as { addRequest: AddRequest }
  const previous = prototype.addRequest
  let active = true

  const addRequest: AddRequest = function (request, options, ...legacy) {
    if (active) authorize(this, request, options, decide)
    return previous.call(this, request, options, ...legacy)
  }
  prototype.addRequest = addRequest

  return () => {
    active = false
    if (prototype.addRequest === addRequest) prototype.addRequest = previous
  }
}

function authorize(agent: AgentInternals, request: ClientRequest, options: unknown, decide: Decide): void {
  const ctx = context.active()
  try {
    const decision = decide(ctx, hopOf(agent, request, options))
    if (decision === undefined) return
    if (decision.verdict !== 'withhold') request.setHeader(AUTHORIZATION, `Bearer ${decision.credential.reveal()}`)
    // instrumentation-http has made its client span the active one by now.
    recordOnSpan(trace.getSpan(ctx), eventOf(decision))
  } catch {
    // Deciding must never break a request; an undecided one leaves without a token.
  }
}

function hopOf(agent: AgentInternals, request: ClientRequest, options: unknown): Hop {
  // What `addRequest` itself does: the agent's options override the request's.
  const own = typeof options === 'object' ? (options as ConnectionOptions | null) : undefined
  const effective: ConnectionOptions = { ...own, ...agent.options }
  // The agent's own `path` is one of a socket too: it takes the place of the request's.
  if (effective.socketPath || agent.options?.path) return { target: undefined, obstacle: 'unix_socket' }
  const scheme = agent.protocol === 'https:' ? 'https' : agent.protocol === 'http:' ? 'http' : undefined
  const target =
    scheme === undefined || own === undefined
      ? undefined
      : networkTarget(scheme, effective.host ?? 'localhost', effective.port ?? agent.defaultPort)
  const obstacle = obstacleOf(agent, request, target, effective)
  return { target, obstacle, headerBytes: () => headerBytesOf(request) }
}

/** Request line and fields as they will be written, near enough. */
function headerBytesOf(request: ClientRequest): number {
  const fields = Object.entries(request.getHeaders()).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((each) => name.length + String(each).length + 4),
  )
  return fields.reduce((sum, bytes) => sum + bytes, request.path.length + 20)
}

function obstacleOf(
  agent: AgentInternals,
  request: ClientRequest,
  target: NetworkTarget | undefined,
  options: ConnectionOptions,
): WithholdReason | undefined {
  if (request.hasHeader(AUTHORIZATION)) return 'own_credential'
  if (request.headersSent) return 'headers_sent'
  // An absolute-form target is meant for a forward proxy, which would read the token (RFC 9112 §3.2.2).
  if (!request.path.startsWith('/')) return 'proxied'
  return connectsItself(agent) || isLookedUp(agent, target, options) ? 'custom_connection' : undefined
}

/** Hosts that a `lookup` of the application's own has resolved, by agent: later requests may reuse those sockets. */
const lookedUp = new WeakMap<object, Set<string>>()

/** Whether the address may be one of the application's choice. TLS would notice; clear text does not. */
function isLookedUp(agent: AgentInternals, target: NetworkTarget | undefined, options: ConnectionOptions): boolean {
  if (target?.scheme !== 'http') return false
  const name = `${target.host}:${target.port}`
  const known = lookedUp.get(agent)
  if (options.lookup === undefined) return known?.has(name) === true
  lookedUp.set(agent, (known ?? new Set()).add(name))
  return true
}

const BUILT_IN_CONNECTIONS: readonly unknown[] = [
  (HttpAgent.prototype as AgentInternals).createConnection,
  (HttpsAgent.prototype as AgentInternals).createConnection,
]
const BUILT_IN_NAMES: readonly unknown[] = [
  (HttpAgent.prototype as AgentInternals).getName,
  (HttpsAgent.prototype as AgentInternals).getName,
]
const BUILT_IN_SOCKETS: unknown = (HttpAgent.prototype as AgentInternals).createSocket

/** Whether the agent opens or shares its connections by code of its own, which may lead anywhere. */
function connectsItself(agent: AgentInternals): boolean {
  return (
    !BUILT_IN_CONNECTIONS.includes(agent.createConnection) ||
    !BUILT_IN_NAMES.includes(agent.getName) ||
    agent.createSocket !== BUILT_IN_SOCKETS
  )
}
