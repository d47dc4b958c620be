/** `http` and `https`: learns where a request goes from its agent, and decides when its header section is written. */

import type { ClientRequest } from 'node:http'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Context } from '@opentelemetry/api'
import { context, trace } from '@opentelemetry/api'
import { combineUndos, patchMethod } from '../../base/patch-method.ts'
import { withCallSite } from '../../context/call-sites.ts'
import type { Decide, Hop } from '../../destination/decision.ts'
import { eventOf, mayGetToken } from '../../destination/decision.ts'
import type { NetworkTarget } from '../../destination/pattern.ts'
import { networkTarget } from '../../destination/target.ts'
import { AUTHORIZATION } from '../../propagation/carrier.ts'
import type { WithholdReason } from '../../telemetry/events.ts'
import { recordOnSpan } from '../../telemetry/record.ts'
import { writeBearer } from '../../token/bearer.ts'
import { rememberSent } from '../rejected-answers.ts'
import { HeaderWriter } from './header.ts'

/** `addRequest` and what it reads of the agent, which Node's type definitions do not have. */
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
 * Wraps `Agent.prototype.addRequest`. Node calls it inside the `ClientRequest` constructor, in the caller's context,
 * with the options that the connection will be made with. Requests without an agent never come here, and get no token.
 */
export function interceptAgents(decide: Decide): () => void {
  const writer = new HeaderWriter()
  const undo = patchMethod<AddRequest>(
    HttpAgent.prototype,
    'addRequest',
    (previous, patch) =>
      function (request, options, ...legacy) {
        if (patch.isActive) authorizeRequest(this, request, options, { decide, writer })
        return previous.call(this, request, options, ...legacy)
      },
  )
  return combineUndos([() => writer.undo(), undo])
}

interface Authorizer {
  readonly decide: Decide
  readonly writer: HeaderWriter
}

/** Finds out where the request goes. Whether its caller may send a token there is decided when it is written. */
function authorizeRequest(
  agent: AgentInternals,
  request: ClientRequest,
  options: unknown,
  { decide, writer }: Authorizer,
): void {
  // instrumentation-http has made its client span the active one by now.
  const ctx = withCallSite(context.active())
  try {
    const { target, obstacle } = routeOf(agent, request, options)
    const route: HttpRoute = { target, obstacle: request.headersSent ? 'headers_sent' : obstacle }
    const waits = mayGetToken(ctx, route, decide)
    const decideValue = (header: string): string | undefined => valueFor(ctx, request, { header, route }, decide)
    writer.addWhenWritten(request, { waits, decideValue })
  } catch {
    // Deciding must never break a request; an undecided one leaves without a token.
  }
}

/** A request whose header section is rendered. */
interface RenderedRequest {
  readonly header: string
  readonly route: HttpRoute
}

function valueFor(
  ctx: Context,
  request: ClientRequest,
  { header, route }: RenderedRequest,
  decide: Decide,
): string | undefined {
  try {
    const obstacle = fieldObstacleOf(header) ?? route.obstacle
    const headerBytes = (): number => Buffer.byteLength(header, 'latin1')
    const decision = decide(ctx, { ...route, obstacle, headerBytes })
    if (decision === undefined) return undefined
    recordOnSpan(trace.getSpan(ctx), eventOf(decision))
    if (decision.verdict === 'withhold') return undefined
    rememberSent(request, decision)
    return writeBearer(decision.credential)
  } catch {
    return undefined
  }
}

/** Where the connection leads, and what is wrong with it. */
type HttpRoute = Pick<Hop, 'target' | 'obstacle'>

function routeOf(agent: AgentInternals, request: ClientRequest, options: unknown): HttpRoute {
  // As in `addRequest` itself, the agent's options override the request's.
  const own = typeof options === 'object' ? (options as ConnectionOptions | null) : undefined
  const effective: ConnectionOptions = { ...own, ...agent.options }
  // The agent's `path` is one of a socket, too: it takes the place of the request's.
  if (effective.socketPath || agent.options?.path) return { target: undefined, obstacle: 'unix_socket' }
  const scheme = schemeOf(agent)
  const target =
    scheme === undefined || own === undefined
      ? undefined
      : networkTarget(scheme, effective.host ?? 'localhost', effective.port ?? agent.defaultPort)
  const elsewhere =
    connectsItself(agent) || isLookedUp(agent, target, effective) || isVerifiedAsOther(request, target, effective)
  return { target, obstacle: elsewhere ? 'custom_connection' : undefined }
}

function fieldObstacleOf(header: string): WithholdReason | undefined {
  if (OWN_CREDENTIAL.test(header)) return 'own_credential'
  // An absolute-form target is meant for a forward proxy, which would read the token (RFC 9112 §3.2.2).
  return ABSOLUTE_FORM.test(header) ? 'proxied' : undefined
}

/** Names of fields may be in any spelling. */
const OWN_CREDENTIAL = new RegExp(`\\r\\n${AUTHORIZATION}:`, 'i')
const ABSOLUTE_FORM = /^\S+ [^/]/

/** The hosts that a `lookup` of the application has resolved, by agent: later requests may reuse those sockets. */
const lookedUp = new WeakMap<object, Set<string>>()

/** Whether the application may have chosen the address. TLS would notice; clear text does not. */
function isLookedUp(agent: AgentInternals, target: NetworkTarget | undefined, options: ConnectionOptions): boolean {
  if (target?.scheme !== 'http') return false
  const name = `${target.host}:${target.port}`
  const known = lookedUp.get(agent)
  if (options.lookup === undefined) return known?.has(name) === true
  lookedUp.set(agent, (known ?? new Set()).add(name))
  return true
}

/**
 * Whether TLS would check the certificate for another name: without `servername` Node takes the name from the `Host`
 * field, which a proxy may have repeated from its client.
 */
function isVerifiedAsOther(
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

/** Goes by the function that the agent connects with: its option `protocol` may promise more than that. */
function schemeOf({ createConnection, protocol }: AgentInternals): 'http' | 'https' | undefined {
  if (protocol === 'https:') return createConnection === CLEAR_TEXT ? undefined : 'https'
  return protocol === 'http:' && createConnection !== ENCRYPTED ? 'http' : undefined
}

/** Whether other code than Node's opens or shares the agent's connections, which may lead anywhere. */
function connectsItself(agent: AgentInternals): boolean {
  return (
    (agent.createConnection !== CLEAR_TEXT && agent.createConnection !== ENCRYPTED) ||
    !BUILT_IN_NAMES.includes(agent.getName) ||
    agent.createSocket !== BUILT_IN_SOCKETS
  )
}
