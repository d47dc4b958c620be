/** Decides for each undici request that a client is about to write, those of redirects and retries included. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Context, Span } from '@opentelemetry/api'
import { context, trace } from '@opentelemetry/api'
import { createObjectMetadata } from '../../base/object-metadata.ts'
import { withFirstCallSite } from '../../context/call-sites.ts'
import type { Decide, Hop } from '../../destination/decision.ts'
import { eventOf } from '../../destination/decision.ts'
import type { AuthEvent, WithholdReason } from '../../telemetry/events.ts'
import { recordOnSpan } from '../../telemetry/record.ts'
import { redactWrittenHeader } from '../../telemetry/redaction/captured-headers.ts'
import { writeBearer } from '../../token/bearer.ts'
import { bindCopies } from './bind-copies.ts'
import type { Connection, Connections } from './connections.ts'
import { watchConnections } from './connections.ts'
import type { BeforeDispatch } from './delay.ts'
import type { DispatchFrame, DispatchStack } from './frames.ts'
import type { UndiciRequest } from './headers.ts'
import { createTextWriter, hasAuthorization, headerBytesOf } from './headers.ts'
import type { Origin } from './origin.ts'
import { connectedOriginOf, parseOrigin, targetOfDispatch } from './origin.ts'
import { isShared } from './shared-responses.ts'

export interface UndiciInterception {
  /** Learns the client span that an instrumentation injects for. Returns whether it injects into an undici request. */
  onInject(ctx: Context): boolean
  /** The rule by which `request` got its token; `undefined` if it has none. */
  ruleOf(request: object): string | undefined
  undo(): void
}

const REQUEST_CREATE = 'undici:request:create'
const SEND_HEADERS = 'undici:client:sendHeaders'

export function interceptUndici(decide: Decide, before: BeforeDispatch): UndiciInterception {
  const { stack, undo } = bindCopies((ctx, dispatcher, options) =>
    before(ctx, () => targetOfDispatch(dispatcher, options)),
  )
  const requests = new RequestAuthorizer(decide, stack)
  const onRequestCreate = requests.onRequestCreate.bind(requests)
  const onSendHeaders = requests.onSendHeaders.bind(requests)
  subscribe(REQUEST_CREATE, onRequestCreate)
  subscribe(SEND_HEADERS, onSendHeaders)

  return {
    onInject(ctx) {
      if (stack.frame === undefined) return false
      stack.frame.span = trace.getSpan(ctx)
      return true
    },
    ruleOf: (request) => requests.ruleOf(request),
    undo() {
      unsubscribe(REQUEST_CREATE, onRequestCreate)
      unsubscribe(SEND_HEADERS, onSendHeaders)
      requests.undo()
      undo()
    },
  }
}

type Headers = UndiciRequest['headers']

/** What the relay knows of a request when undici creates it, in its caller's context. */
interface UndiciRoute extends Pick<Hop, 'target'> {
  readonly caller: Context
  readonly frame: DispatchFrame | undefined
  /** Why the request never gets a token. */
  readonly obstacle: WithholdReason | undefined
  isRecorded: boolean
  /** The rule by which it got its token, once it has one. */
  sentBy: string | undefined
}

class RequestAuthorizer {
  readonly #decide: Decide
  readonly #stack: DispatchStack
  readonly #routes = createObjectMetadata<UndiciRoute>()
  readonly #connections: Connections
  /**
   * undici 5 keeps its fields in one text; undici 6 to 8 have a method of the connection that writes a list of them.
   */
  readonly #interceptText: (request: UndiciRequest, client: object) => void

  constructor(decide: Decide, stack: DispatchStack) {
    this.#decide = decide
    this.#stack = stack
    this.#connections = watchConnections((request, headers, connection) =>
      this.#valueOnConnection(request, headers, connection),
    )
    this.#interceptText = createTextWriter((request, headers, client) =>
      this.#valueOnConnection(request, headers, this.#connections.connectionOf(client)),
    )
  }

  /** Finds out where the request goes. Whether its caller's token goes with it is decided when it is written. */
  onRequestCreate(message: unknown): void {
    try {
      const { request } = message as { request: UndiciRequest }
      const { frame } = this.#stack
      const route = routeOf(request, withFirstCallSite(context.active()), frame)
      this.#routes.set(request, route)
      // It never gets a token, and may never be written either: so it is decided now.
      if (frame === undefined || route.obstacle !== undefined)
        return void this.#decideValue(request, request.headers, route, undefined)
      this.#connections.connectionOf(frame.dispatcher)
      if (typeof request.headers === 'string') this.#interceptText(request, frame.dispatcher)
    } catch {
      // Deciding must never break a request; an undecided one leaves without a token.
    }
  }

  /** Conceals the token from instrumentation-undici, which captures headers before or after this. */
  onSendHeaders(message: unknown): void {
    const { request } = message as { request: UndiciRequest }
    const route = this.#routes.get(request)
    const span = route?.isRecorded === true ? spanOf(route) : undefined
    if (span?.isRecording() === true) redactWrittenHeader(span)
  }

  ruleOf(request: object): string | undefined {
    return this.#routes.get(request)?.sentBy
  }

  undo(): void {
    this.#connections.undo()
  }

  #valueOnConnection(request: UndiciRequest, headers: Headers, connection: Connection | undefined): string | undefined {
    const route = this.#routes.get(request)
    if (route === undefined || route.obstacle !== undefined || connection === undefined) return undefined
    return this.#decideValue(request, headers, route, connection)
  }

  /** The value of `Authorization`; `undefined` leaves the request as it is. */
  #decideValue(
    request: UndiciRequest,
    headers: Headers,
    route: UndiciRoute,
    connection: Connection | undefined,
  ): string | undefined {
    try {
      const decision = this.#decide(route.caller, {
        target: route.target,
        obstacle: obstacleNow(route, headers, connection),
        headerBytes: () => headerBytesOf(request, headers),
      })
      if (decision === undefined) return undefined
      recordDecision(route, eventOf(decision))
      if (decision.verdict === 'withhold') return undefined
      route.sentBy = decision.rule.to
      return writeBearer(decision.credential)
    } catch {
      // As above.
      return undefined
    }
  }
}

function routeOf(request: UndiciRequest, caller: Context, frame: DispatchFrame | undefined): UndiciRoute {
  const origin = parseOrigin(request.origin)
  const obstacle = obstacleOf(request, origin, caller, frame)
  return { target: origin?.target, obstacle, caller, frame, isRecorded: false, sentBy: undefined }
}

/** Until a request is written, another subscriber may have added the application's own credential. */
function obstacleNow(
  route: UndiciRoute,
  headers: Headers,
  connection: Connection | undefined,
): WithholdReason | undefined {
  return route.obstacle ?? (hasAuthorization(headers) ? 'own_credential' : connection?.obstacle)
}

/** instrumentation-undici may subscribe before or after the relay, and never makes its span the active one. */
function recordDecision(route: UndiciRoute, event: AuthEvent): void {
  route.isRecorded = true
  const record = (): void => recordOnSpan(spanOf(route), event)
  if (route.frame === undefined) record()
  else route.frame.whenReturned(record)
}

function spanOf({ caller, frame }: UndiciRoute): Span | undefined {
  return frame?.span ?? trace.getSpan(caller)
}

function obstacleOf(
  request: UndiciRequest,
  origin: Origin | undefined,
  caller: Context,
  frame: DispatchFrame | undefined,
): WithholdReason | undefined {
  const isSharedResponse = isShared(caller)
  // The context has no credential left to decide about.
  if (frame?.binding.doubt === 'ambiguous') return 'ambiguous'
  if (hasAuthorization(request.headers)) return 'own_credential'
  if (request.method === 'CONNECT' || typeof request.path !== 'string' || !request.path.startsWith('/'))
    return 'proxied'
  // Of a dispatcher that the relay has not wrapped: whose request this is cannot be known.
  if (frame === undefined || frame.binding.doubt !== undefined) return 'unbound_dispatcher'
  if (frame.isProxied && origin?.protocol === 'http:') return 'proxied'
  if (isSharedResponse) return 'shared_response'
  if (isVerifiedAsOther(request, origin)) return 'custom_connection'
  // `origin` is what the caller wrote; the client is connected to the origin that it was made for.
  return connectedOriginOf(frame.dispatcher) === origin?.text ? undefined : 'custom_connection'
}

/** Whether TLS would check the certificate for the name in a `Host` field, and not for that of the origin. */
function isVerifiedAsOther({ servername }: UndiciRequest, origin: Origin | undefined): boolean {
  return origin?.protocol === 'https:' && Boolean(servername) && servername !== origin.hostname
}
