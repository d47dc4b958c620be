/** undici and `fetch`: decides for each request that a client is about to write, redirects and retries included. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Context, Span } from '@opentelemetry/api'
import { context, trace } from '@opentelemetry/api'
import { LRUCache } from 'lru-cache'
import { withFirstCallPlace } from '../context/place.ts'
import type { Decide, Decision, Hop } from '../destination/decision.ts'
import { eventOf } from '../destination/hop-event.ts'
import type { NetworkTarget } from '../destination/pattern.ts'
import { originTarget } from '../destination/target.ts'
import type { AuthEvent, WithholdReason } from '../telemetry/auth-event.ts'
import { concealWrittenHeader } from '../telemetry/captured-headers.ts'
import { recordOnSpan } from '../telemetry/span-events.ts'
import { createNotes } from '../token/notes.ts'
import type { Before } from './deferred-dispatch.ts'
import { rememberSent } from './downstream.ts'
import type { Connection } from './undici-connection.ts'
import { watchConnections } from './undici-connection.ts'
import { watchUndiciCopies } from './undici-copies.ts'
import type { DispatchBinder, DispatchFrame } from './undici-dispatch.ts'
import { createDispatchBinder } from './undici-dispatch.ts'
import type { UndiciRequest } from './undici-header.ts'
import { addAuthorization, hasAuthorization, headerBytesOf, removeAuthorization } from './undici-header.ts'
import { isShared, markSharedResponses } from './undici-shared.ts'

export interface UndiciInterception {
  /** Tells which client span an instrumentation injects for; true where `inject` was called for an undici request. */
  onInject(ctx: Context): boolean
  undo(): void
}

const REQUEST_CREATE = 'undici:request:create'
const SEND_HEADERS = 'undici:client:sendHeaders'

export function interceptUndici(decide: Decide, before: Before): UndiciInterception {
  const binder = createDispatchBinder((ctx, dispatcher, options) => before(ctx, () => targetOf(dispatcher, options)))
  const stopWatching = watchCopies(binder)
  const routes = createNotes<Route>()

  /** Before the first byte on a new connection: decides what waited for it, and takes back what was meant for another. */
  function onConnection(requests: readonly unknown[], connection: Connection): void {
    for (const request of requests) {
      const route = typeof request === 'object' && request !== null ? routes.get(request) : undefined
      if (route !== undefined) connected(request as UndiciRequest, route, connection)
    }
  }

  function connected(request: UndiciRequest, route: Route, connection: Connection): void {
    if (connection.obstacle !== undefined && route.isWritten) {
      route.isWritten = false
      removeAuthorization(request)
    }
    if (!route.isWaiting) return
    route.isWaiting = false
    // Another subscriber may have added one since.
    if (hasAuthorization(request.headers)) route.obstacle ??= 'own_credential'
    authorize(request, route, connection)
  }
  const connections = watchConnections(onConnection)

  function onRequestCreate(message: unknown): void {
    try {
      const { request } = message as { request: UndiciRequest }
      const route = routeOf(request, withFirstCallPlace(context.active()), binder.frame)
      const connection = route.frame === undefined ? undefined : connections.of(route.frame.dispatcher)
      route.isWaiting = route.obstacle === undefined && connection === undefined
      routes.set(request, route)
      if (!route.isWaiting) authorize(request, route, connection)
    } catch {
      // Deciding must never break a request; an undecided one leaves without a token.
    }
  }

  function authorize(request: UndiciRequest, route: Route, connection: Connection | undefined): void {
    try {
      const decision = decisionFor(request, route, connection, decide)
      if (decision !== undefined && decision.verdict !== 'withhold') {
        addAuthorization(request, `Bearer ${decision.credential.reveal()}`)
        route.isWritten = true
        rememberSent(request, decision)
      }
      if (decision === undefined) return
      route.isTold = true
      tell(route, eventOf(decision))
    } catch {
      // As above.
    }
  }

  /** When instrumentation-undici captures headers, before or after this. */
  function onSendHeaders(message: unknown): void {
    const { request } = message as { request: UndiciRequest }
    const route = routes.get(request)
    const span = route?.isTold === true ? spanOf(route) : undefined
    if (span?.isRecording() === true) concealWrittenHeader(span)
  }
  subscribe(REQUEST_CREATE, onRequestCreate)
  subscribe(SEND_HEADERS, onSendHeaders)

  return {
    onInject(ctx) {
      if (binder.frame === undefined) return false
      binder.frame.span = trace.getSpan(ctx)
      return true
    },
    undo() {
      unsubscribe(REQUEST_CREATE, onRequestCreate)
      unsubscribe(SEND_HEADERS, onSendHeaders)
      connections.undo()
      stopWatching()
      binder.undo()
    },
  }
}

function watchCopies(binder: DispatchBinder): () => void {
  const marked = new Map<object, () => void>()
  const stop = watchUndiciCopies({
    onDispatcher: (prototype) => binder.bind(prototype),
    onHandler: (handlerClass) => binder.recognize(handlerClass),
    onInterceptors(interceptors) {
      if (!marked.has(interceptors)) marked.set(interceptors, markSharedResponses(interceptors))
    },
  })
  return () => {
    stop()
    for (const undo of marked.values()) undo()
  }
}

/** Where a dispatch goes, before there is a request. */
function targetOf(dispatcher: object, options: object): NetworkTarget | undefined {
  return parseOrigin(connectedOrigin(dispatcher) ?? (options as { origin?: unknown }).origin)?.target
}

/** What is known of a request when it is created, in its caller's context. */
interface Route extends Pick<Hop, 'target'> {
  readonly caller: Context
  readonly frame: DispatchFrame | undefined
  obstacle: WithholdReason | undefined
  /** For its connection, without which nothing can be decided. */
  isWaiting: boolean
  /** Has our field. */
  isWritten: boolean
  /** Has an event. */
  isTold: boolean
}

function routeOf(request: UndiciRequest, caller: Context, frame: DispatchFrame | undefined): Route {
  const origin = parseOrigin(request.origin)
  const obstacle = obstacleOf(request, origin, caller, frame)
  return { target: origin?.target, obstacle, caller, frame, isWaiting: false, isWritten: false, isTold: false }
}

function decisionFor(
  request: UndiciRequest,
  { target, obstacle, caller }: Route,
  connection: Connection | undefined,
  decide: Decide,
): Decision | undefined {
  const headerBytes = (): number => headerBytesOf(request)
  return decide(caller, { target, obstacle: obstacle ?? connection?.obstacle, headerBytes })
}

/** instrumentation-undici may subscribe before or after us, and never makes its span the active one. */
function tell(route: Route, event: AuthEvent): void {
  const { frame } = route
  const record = (): void => recordOnSpan(spanOf(route), event)
  if (frame === undefined || frame.returned) record()
  else frame.afterwards = record
}

function spanOf({ caller, frame }: Route): Span | undefined {
  return frame?.span ?? trace.getSpan(caller)
}

function obstacleOf(
  request: UndiciRequest,
  origin: Origin | undefined,
  caller: Context,
  frame: DispatchFrame | undefined,
): WithholdReason | undefined {
  // The context has no credential left to decide about.
  if (frame?.ambiguous) return 'ambiguous'
  if (hasAuthorization(request.headers)) return 'own_credential'
  if (request.method === 'CONNECT' || typeof request.path !== 'string' || !request.path.startsWith('/'))
    return 'proxied'
  // Not a dispatcher that we have wrapped: whose request this is cannot be known.
  if (frame === undefined) return 'unbound_dispatcher'
  if (frame.proxied && origin?.protocol === 'http:') return 'proxied'
  if (isShared(caller)) return 'shared_response'
  if (isVerifiedAs(request, origin)) return 'custom_connection'
  // `origin` is what the caller wrote; the client is connected to where it was made for.
  return connectedOrigin(frame.dispatcher) === origin?.text ? undefined : 'custom_connection'
}

/** What is asked of an origin for every request. */
interface Origin {
  /** As it is serialized (WHATWG URL). */
  readonly text: string
  readonly protocol: string
  readonly hostname: string
  readonly target: NetworkTarget | undefined
}

/** Origins are few, and to parse one takes as long as to decide about it. */
const parsed = new LRUCache<string, Origin>({ max: 1_000 })
const MAX_REMEMBERED = 300
/** Most services ask one other. */
let latest: { readonly written: string; readonly origin: Origin } | undefined

function parseOrigin(written: unknown): Origin | undefined {
  const text = written instanceof URL ? written.href : written
  if (typeof text !== 'string') return undefined
  if (latest?.written === text) return latest.origin
  const origin = parsed.get(text) ?? read(text)
  if (origin === undefined || text.length > MAX_REMEMBERED) return origin
  latest = { written: text, origin }
  parsed.set(text, origin)
  return origin
}

function read(text: string): Origin | undefined {
  const url = URL.parse(text)
  if (url === null) return undefined
  const { origin, protocol, hostname } = url
  return { text: origin, protocol, hostname, target: originTarget(url) }
}

/** Whether the certificate would be checked for the name in a `Host` field, and not for that of the origin. */
function isVerifiedAs({ servername }: UndiciRequest, origin: Origin | undefined): boolean {
  return origin?.protocol === 'https:' && Boolean(servername) && servername !== origin.hostname
}

/** Made for it once and for all; `null` where a dispatcher is for any. */
const origins = createNotes<string | null>()

function connectedOrigin(dispatcher: object): string | undefined {
  let origin = origins.get(dispatcher)
  if (origin === undefined) {
    origin = originIn(dispatcher)
    origins.set(dispatcher, origin)
  }
  return origin ?? undefined
}

/** undici keeps the URL that a client connects to under a symbol of its own. */
function originIn(dispatcher: object): string | null {
  const key = Object.getOwnPropertySymbols(dispatcher).find((symbol) => symbol.description === 'url')
  const url: unknown = key === undefined ? undefined : Reflect.get(dispatcher, key)
  return url instanceof URL ? url.origin : null
}
