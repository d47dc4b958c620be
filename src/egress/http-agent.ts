/** `http` and `https`: sees where Node hands a request to its agent, and decides when its header is rendered. */

import type { ClientRequest } from 'node:http'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Context } from '@opentelemetry/api'
import { context, trace } from '@opentelemetry/api'
import { withCallPlace } from '../context/place.ts'
import type { Decide, Hop } from '../destination/decision.ts'
import { eventOf } from '../destination/hop-event.ts'
import type { NetworkTarget } from '../destination/pattern.ts'
import { networkTarget } from '../destination/target.ts'
import { AUTHORIZATION } from '../propagation/carrier.ts'
import type { WithholdReason } from '../telemetry/auth-event.ts'
import { recordOnSpan } from '../telemetry/span-events.ts'
import { rememberSent } from './downstream.ts'
import type { HeaderWriter } from './http-header.ts'
import { interceptRendering } from './http-header.ts'

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
  readonly servername?: unknown
}

/**
 * Wraps `Agent.prototype.addRequest`: it is called inside the `ClientRequest` constructor, in the caller's context, with
 * the options that the connection will be made with. Requests without an agent never come here and get no token.
 */
export function interceptAgents(decide: Decide): () => void {
  const prototype = HttpAgent.prototype as unknown as { addRequest: AddRequest }
  const previous = prototype.addRequest
  const writer = interceptRendering()
  let active = true

  const addRequest: AddRequest = function (request, options, ...legacy) {
    if (active) authorize(this, request, options, { decide, writer })
    return previous.call(this, request, options, ...legacy)
  }
  prototype.addRequest = addRequest

  return () => {
    active = false
    if (prototype.addRequest === addRequest) prototype.addRequest = previous
    writer.undo()
  }
}

interface Authorizing {
  readonly decide: Decide
  readonly writer: HeaderWriter
}

/** Where the request goes is known here; what it says of itself may change until it is rendered. */
function authorize(
  agent: AgentInternals,
  request: ClientRequest,
  options: unknown,
  { decide, writer }: Authorizing,
): void {
  // instrumentation-http has made its client span the active one by now.
  const ctx = withCallPlace(context.active())
  try {
    const route = routeOf(agent, request, options)
    if (request.headersSent) valueFor(ctx, request, route, decide)
    else writer.whenRendered(request, () => valueFor(ctx, request, route, decide))
  } catch {
    // Deciding must never break a request; an undecided one leaves without a token.
  }
}

function valueFor(ctx: Context, request: ClientRequest, route: Route, decide: Decide): string | undefined {
  try {
    const obstacle = fieldObstacleOf(request) ?? route.obstacle
    const decision = decide(ctx, { ...route, obstacle, headerBytes: () => headerBytesOf(request) })
    if (decision === undefined) return undefined
    recordOnSpan(trace.getSpan(ctx), eventOf(decision))
    if (decision.verdict === 'withhold') return undefined
    rememberSent(request, decision)
    return `Bearer ${decision.credential.reveal()}`
  } catch {
    return undefined
  }
}

/** Where the connection leads, and what is wrong with it. */
type Route = Pick<Hop, 'target' | 'obstacle'>

function routeOf(agent: AgentInternals, request: ClientRequest, options: unknown): Route {
  // What `addRequest` itself does: the agent's options override the request's.
  const own = typeof options === 'object' ? (options as ConnectionOptions | null) : undefined
  const effective: ConnectionOptions = { ...own, ...agent.options }
  // The agent's own `path` is one of a socket too: it takes the place of the request's.
  if (effective.socketPath || agent.options?.path) return { target: undefined, obstacle: 'unix_socket' }
  const scheme = schemeOf(agent)
  const target =
    scheme === undefined || own === undefined
      ? undefined
      : networkTarget(scheme, effective.host ?? 'localhost', effective.port ?? agent.defaultPort)
  const elsewhere =
    connectsItself(agent) || isLookedUp(agent, target, effective) || isVerifiedAs(request, target, effective)
  return { target, obstacle: elsewhere ? 'custom_connection' : undefined }
}

/** The rest of the request line, `connection`, and how the body is framed: rendered after this. */
const LATER_BYTES = 96

/** Request line and fields as they will be written, near enough. */
function headerBytesOf(request: ClientRequest): number {
  const fields = Object.entries(request.getHeaders()).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((each) => name.length + String(each).length + 4),
  )
  return fields.reduce((sum, bytes) => sum + bytes, request.path.length + LATER_BYTES)
}

function fieldObstacleOf(request: ClientRequest): WithholdReason | undefined {
  if (request.hasHeader(AUTHORIZATION)) return 'own_credential'
  if (request.headersSent) return 'headers_sent'
  // An absolute-form target is meant for a forward proxy, which would read the token (RFC 9112 §3.2.2).
  return request.path.startsWith('/') ? undefined : 'proxied'
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

/**
 * Whether the certificate would be checked for somebody else: without `servername` Node takes the name from the `Host`
 * field, which may be a client's and repeated by a proxy.
 */
function isVerifiedAs(
  request: ClientRequest,
  target: NetworkTarget | undefined,
  { servername }: ConnectionOptions,
): boolean {
  const field = request.getHeader('host')
  if (target?.scheme !== 'https' || servername || field === undefined) return false
  return networkTarget('https', String(field).replace(/:\d*$/, ''), target.port)?.host !== target.host
}

const CLEAR_TEXT: unknown = Reflect.get(HttpAgent.prototype, 'createConnection')
const ENCRYPTED: unknown = Reflect.get(HttpsAgent.prototype, 'createConnection')
const BUILT_IN_NAMES: readonly unknown[] = [
  Reflect.get(HttpAgent.prototype, 'getName'),
  Reflect.get(HttpsAgent.prototype, 'getName'),
]
const BUILT_IN_SOCKETS: unknown = Reflect.get(HttpAgent.prototype, 'createSocket')

/** By what the agent connects with: `protocol` is an option of it, and may promise more than that. */
function schemeOf({ createConnection, protocol }: AgentInternals): 'http' | 'https' | undefined {
  if (protocol === 'https:') return createConnection === CLEAR_TEXT ? undefined : 'https'
  return protocol === 'http:' && createConnection !== ENCRYPTED ? 'http' : undefined
}

/** Whether the agent opens or shares its connections by code of its own, which may lead anywhere. */
function connectsItself(agent: AgentInternals): boolean {
  return (
    (agent.createConnection !== CLEAR_TEXT && agent.createConnection !== ENCRYPTED) ||
    !BUILT_IN_NAMES.includes(agent.getName) ||
    agent.createSocket !== BUILT_IN_SOCKETS
  )
}
