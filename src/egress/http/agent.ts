/** `http` and `https`: learns where a request goes from its agent, and decides when its header section is written. */

import type { ClientRequest } from 'node:http'
import { Agent as HttpAgent } from 'node:http'
import type { Context } from '@opentelemetry/api'
import { context, trace } from '@opentelemetry/api'
import { combineUndos, patchMethod } from '../../base/patch-method.ts'
import { withCallSite } from '../../context/call-sites.ts'
import { deleteCredential } from '../../context/credential-context.ts'
import type { Decide, Hop } from '../../destination/decision.ts'
import { eventOf, mayGetToken } from '../../destination/decision.ts'
import type { NetworkTarget } from '../../destination/pattern.ts'
import { networkTarget } from '../../destination/target.ts'
import { AUTHORIZATION } from '../../propagation/carrier.ts'
import type { WithholdReason } from '../../telemetry/events.ts'
import { recordOnSpan } from '../../telemetry/record.ts'
import { writeBearer } from '../../token/bearer.ts'
import { rememberSent } from '../rejected-answers.ts'
import { obstacleOnAgentSocket } from '../sockets/obstacle.ts'
import type { AgentMethods, AgentRequest, FirstSight } from './custom-agent.ts'
import {
  CLEAR_TEXT,
  ENCRYPTED,
  firstSightOf,
  isCustom,
  obstacleOfCaller,
  stopWatchingCreations,
} from './custom-agent.ts'
import { HeaderWriter } from './header.ts'

/** `addRequest` and what it reads of the agent, which Node's type definitions do not have. */
type AddRequest = (this: AgentInternals, request: AgentRequest, options: unknown, ...legacy: unknown[]) => unknown
interface AgentInternals extends AgentMethods {
  readonly options?: ConnectionOptions
  readonly protocol?: string
  readonly defaultPort?: number
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
        if (patch.isActive) authorizeRequest(this, request, options, authorizer)
        return previous.call(this, request, options, ...legacy)
      },
  )
  const authorizer: Authorizer = { decide, writer, outermost: (HttpAgent.prototype as AgentMethods).addRequest }
  return combineUndos([() => writer.undo(), undo, stopWatchingCreations])
}

interface Authorizer {
  readonly decide: Decide
  readonly writer: HeaderWriter
  /** What Node calls in the constructor of a request, unless other code has been put in front of it. */
  readonly outermost: unknown
}

/** Finds out where the request goes. Whether its caller may send a token there is decided when it is written. */
function authorizeRequest(
  agent: AgentInternals,
  request: AgentRequest,
  options: unknown,
  { decide, writer, outermost }: Authorizer,
): void {
  try {
    const isJudged = isCustom(agent)
    const isPassedOn = isJudged || request.agent !== agent || agent.addRequest !== outermost
    const first = isPassedOn ? firstSightOf(request, request.headersSent) : undefined
    // instrumentation-http has made its client span the active one by now.
    const ctx = withCallSite(first?.caller ?? context.active())
    const route = routeOf(agent, request, { options, isJudged, first })
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
    const ofCaller = route.first && obstacleOfCaller(request, route.first)
    const obstacle = ofCaller ?? fieldObstacleOf(header) ?? route.obstacle
    const onSocket = route.isJudged ? socketObstacleOf(request, header, route) : undefined
    const headerBytes = (): number => Buffer.byteLength(header, 'latin1')
    const sender = ofCaller === undefined ? ctx : deleteCredential(ctx)
    const decision = decide(sender, { ...route, obstacle: obstacle ?? onSocket, headerBytes })
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
interface HttpRoute extends Pick<Hop, 'obstacle'> {
  readonly target: NetworkTarget | undefined
  /** Whether other code than Node's opens or shares the connection, which may lead anywhere: its socket is judged. */
  readonly isJudged: boolean
  readonly first?: FirstSight | undefined
}

/** Judged for every request of such an agent: it must be known what each connection has carried. */
function socketObstacleOf(request: ClientRequest, header: string, { target }: HttpRoute): WithholdReason | undefined {
  return target && obstacleOnAgentSocket(request, target, header.startsWith('CONNECT '))
}

interface Given {
  readonly options: unknown
  readonly isJudged: boolean
  readonly first: FirstSight | undefined
}

function routeOf(agent: AgentInternals, request: ClientRequest, { options, isJudged, first }: Given): HttpRoute {
  // As in `addRequest` itself, the agent's options override the request's.
  const own = typeof options === 'object' ? (options as ConnectionOptions | null) : undefined
  const effective: ConnectionOptions = { ...own, ...agent.options }
  // The agent's `path` is one of a socket, too: it takes the place of the request's.
  if (effective.socketPath || agent.options?.path)
    return { target: undefined, obstacle: 'unix_socket', isJudged, first }
  const scheme = isJudged ? schemeOfRequest(request) : schemeOf(agent)
  const target =
    scheme === undefined || own === undefined
      ? undefined
      : networkTarget(scheme, effective.host ?? 'localhost', effective.port ?? agent.defaultPort)
  const isTooLate = first === undefined && request.headersSent
  const elsewhere = isVerifiedAsOther(request, target, effective)
  const obstacle = isTooLate ? 'headers_sent' : elsewhere ? 'custom_connection' : undefined
  return {
    target,
    obstacle: first?.obstacle ?? obstacle,
    isJudged: isLookedUp(agent, target, effective, isJudged) || isJudged,
    first,
  }
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
/** Stands for every host of an agent that other code has connected before, which may have stopped doing so. */
const ALL = 'all'

/** Whether the application may choose the address. TLS would notice; clear text does not. */
function isLookedUp(
  agent: AgentInternals,
  target: NetworkTarget | undefined,
  { lookup }: ConnectionOptions,
  isCustomAgent: boolean,
): boolean {
  if (target?.scheme !== 'http') return false
  const name = isCustomAgent ? ALL : `${target.host}:${target.port}`
  const known = lookedUp.get(agent)
  if (lookup === undefined && !isCustomAgent) return known !== undefined && (known.has(name) || known.has(ALL))
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

/** Goes by the function that the agent connects with: its option `protocol` may promise more than that. */
function schemeOf({ createConnection, protocol }: AgentInternals): 'http' | 'https' | undefined {
  if (protocol === 'https:') return createConnection === CLEAR_TEXT ? undefined : 'https'
  return protocol === 'http:' && createConnection !== ENCRYPTED ? 'http' : undefined
}

/** What the request says, which its socket must agree with: an agent may find out by the stack, which has our calls. */
function schemeOfRequest({ protocol }: ClientRequest): 'http' | 'https' | undefined {
  if (protocol === 'https:') return 'https'
  return protocol === 'http:' ? 'http' : undefined
}
