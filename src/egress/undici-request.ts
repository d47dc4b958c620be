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
import { concealCapturedHeader } from '../telemetry/captured-headers.ts'
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
  const binder = createDispatchBinder((ctx, dispatcher, options) => {
    const target = targetOf(dispatcher, options)
    return target === undefined ? undefined : before(ctx, target)
  })
  const stopWatching = watchCopies(binder)
  const waiting = createNotes<((connection: Connection) => void) | undefined>()
  const written = createNotes<boolean>()
  const told = createNotes<Route>()

  /** Before the first byte on a new connection: decides what waited for it, and takes back what was meant for another. */
  function onConnection(requests: readonly unknown[], connection: Connection): void {
    for (const request of requests) {
      if (typeof request !== 'object' || request === null) continue
      if (connection.obstacle !== undefined && written.get(request) === true) {
        written.set(request, false)
        removeAuthorization(request as UndiciRequest)
      }
      const decideNow = waiting.get(request)
      if (decideNow === undefined) continue
      decideNow(connection)
      waiting.set(request, undefined)
    }
  }
  const connections = watchConnections(onConnection)

  function onRequestCreate(message: unknown): void {
    try {
      const { request } = message as { request: UndiciRequest }
      const route = routeOf(request, withFirstCallPlace(context.active()), binder.frame)
      const connection = route.frame === undefined ? undefined : connections.of(route.frame.dispatcher)
      if (route.obstacle !== undefined || connection !== undefined) return authorize(request, route, connection)
      waiting.set(request, (opened) => authorize(request, route, opened))
    } catch {
      // Deciding must never break a request; an undecided one leaves without a token.
    }
  }

  function authorize(request: UndiciRequest, route: Route, connection: Connection | undefined): void {
    try {
      const decision = decisionFor(request, route, connection, decide)
      if (decision !== undefined && decision.verdict !== 'withhold') {
        addAuthorization(request, `Bearer ${decision.credential.reveal()}`)
        written.set(request, true)
        rememberSent(request, decision)
      }
      if (decision === undefined) return
      tell(route, eventOf(decision))
      told.set(request, route)
    } catch {
      // As above.
    }
  }

  /** When instrumentation-undici captures headers, before or after this. */
  function onSendHeaders(message: unknown): void {
    const { request } = message as { request: UndiciRequest }
    const route = told.get(request)
    const span = route === undefined ? undefined : spanOf(route)
    if (span?.isRecording() === true) concealCapturedHeader(span)
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
  const origin = parseOrigin(connectedOrigin(dispatcher) ?? (options as { origin?: unknown }).origin)
  return origin === undefined ? undefined : originTarget(origin)
}

/** What is known of a request when it is created, in its caller's context. */
interface Route extends Pick<Hop, 'target' | 'obstacle'> {
  readonly caller: Context
  readonly frame: DispatchFrame | undefined
}

function routeOf(request: UndiciRequest, caller: Context, frame: DispatchFrame | undefined): Route {
  const origin = parseOrigin(request.origin)
  const target = origin === undefined ? undefined : originTarget(origin)
  const obstacle = obstacleOf(request, origin, caller, frame)
  return { target, obstacle, caller, frame }
}

function decisionFor(
  request: UndiciRequest,
  { target, obstacle, caller }: Route,
  connection: Connection | undefined,
  decide: Decide,
): Decision | undefined {
  const headerBytes = (): number => headerBytesOf(request)
  // Another subscriber may have added one since.
  const own = hasAuthorization(request.headers) ? 'own_credential' : undefined
  return decide(caller, { target, obstacle: obstacle ?? own ?? connection?.obstacle, headerBytes })
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
  origin: URL | undefined,
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
  return connectedOrigin(frame.dispatcher) === origin?.origin ? undefined : 'custom_connection'
}

/** Origins are few, and to parse one takes as long as to decide about it. */
const parsed = new LRUCache<string, URL>({ max: 1_000 })
const MAX_REMEMBERED = 300

function parseOrigin(origin: unknown): URL | undefined {
  const text = origin instanceof URL ? origin.href : origin
  if (typeof text !== 'string') return undefined
  const known = parsed.get(text)
  if (known !== undefined) return known
  const url = URL.parse(text)
  if (url !== null && text.length <= MAX_REMEMBERED) parsed.set(text, url)
  return url ?? undefined
}

/** Whether the certificate would be checked for the name in a `Host` field, and not for that of the origin. */
function isVerifiedAs({ servername }: UndiciRequest, origin: URL | undefined): boolean {
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
