/** undici and `fetch`: decides for each request that a client is about to write, redirects and retries included. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Context } from '@opentelemetry/api'
import { context, trace } from '@opentelemetry/api'
import type { Decide, Decision, Hop } from '../destination/decision.ts'
import { eventOf } from '../destination/hop-event.ts'
import type { NetworkTarget } from '../destination/pattern.ts'
import { originTarget } from '../destination/target.ts'
import { AUTHORIZATION } from '../propagation/carrier.ts'
import type { WithholdReason } from '../telemetry/auth-event.ts'
import { recordOnSpan } from '../telemetry/span-events.ts'
import type { Before } from './deferred-dispatch.ts'
import { watchUndiciCopies } from './undici-copies.ts'
import type { DispatchFrame } from './undici-dispatch.ts'
import { createDispatchBinder } from './undici-dispatch.ts'

/** The parts of undici's internal request that its channel hands out, alike in versions 5 to 8. */
interface UndiciRequest {
  readonly origin?: unknown
  readonly method?: unknown
  readonly path?: unknown
  headers: string | unknown[]
  addHeader?(name: string, value: string): unknown
}

export interface UndiciInterception {
  /** Tells which client span an instrumentation injects for; true where `inject` was called for an undici request. */
  onInject(ctx: Context): boolean
  undo(): void
}

const REQUEST_CREATE = 'undici:request:create'

export function interceptUndici(decide: Decide, before: Before): UndiciInterception {
  const binder = createDispatchBinder((ctx, dispatcher, options) => {
    const target = targetOf(dispatcher, options)
    return target === undefined ? undefined : before(ctx, target)
  })
  const stopWatching = watchUndiciCopies((prototype) => binder.bind(prototype))

  function onRequestCreate(message: unknown): void {
    try {
      authorize((message as { request: UndiciRequest }).request, binder.frame, decide)
    } catch {
      // Deciding must never break a request; an undecided one leaves without a token.
    }
  }
  subscribe(REQUEST_CREATE, onRequestCreate)

  return {
    onInject(ctx) {
      if (binder.frame === undefined) return false
      binder.frame.span = trace.getSpan(ctx)
      return true
    },
    undo() {
      unsubscribe(REQUEST_CREATE, onRequestCreate)
      stopWatching()
      binder.undo()
    },
  }
}

/** The context has no credential left to decide about; the span shall say why. */
const AMBIGUOUS: Decision = { verdict: 'withhold', reason: 'ambiguous', rule: undefined, target: undefined }

function authorize(request: UndiciRequest, frame: DispatchFrame | undefined, decide: Decide): void {
  const ctx = context.active()
  const decision = frame?.ambiguous ? AMBIGUOUS : decide(ctx, hopOf(request, frame))
  if (decision === undefined) return
  if (decision.verdict !== 'withhold') addHeader(request, `Bearer ${decision.credential.reveal()}`)
  const event = eventOf(decision)
  if (frame === undefined) return recordOnSpan(trace.getSpan(ctx), event)
  // instrumentation-undici may subscribe before or after us, and never makes its span the active one.
  frame.afterwards = ({ span }) => recordOnSpan(span ?? trace.getSpan(ctx), event)
}

/** Where a dispatch goes, before there is a request. */
function targetOf(dispatcher: object, options: object): NetworkTarget | undefined {
  const origin = parseOrigin(connectedOrigin(dispatcher) ?? (options as { origin?: unknown }).origin)
  return origin === undefined ? undefined : originTarget(origin)
}

function hopOf(request: UndiciRequest, frame: DispatchFrame | undefined): Hop {
  const origin = parseOrigin(request.origin)
  const target = origin === undefined ? undefined : originTarget(origin)
  return { target, obstacle: obstacleOf(request, origin, frame), headerBytes: () => headerBytesOf(request) }
}

function obstacleOf(
  request: UndiciRequest,
  origin: URL | undefined,
  frame: DispatchFrame | undefined,
): WithholdReason | undefined {
  if (headerNames(request.headers).includes(AUTHORIZATION)) return 'own_credential'
  if (request.method === 'CONNECT' || typeof request.path !== 'string' || !request.path.startsWith('/'))
    return 'proxied'
  // Not a dispatcher that we have wrapped: whose request this is cannot be known.
  if (frame === undefined) return 'unbound_dispatcher'
  if (frame.proxied && origin?.protocol === 'http:') return 'proxied'
  // `origin` is what the caller wrote; the client is connected to where it was made for.
  return connectedOrigin(frame.dispatcher) === origin?.origin ? undefined : 'custom_connection'
}

/** Request line and fields as they will be written, near enough. */
function headerBytesOf({ headers, path }: UndiciRequest): number {
  const line = String(path).length + 20
  if (typeof headers === 'string') return line + headers.length
  return headers.reduce<number>((sum, part) => sum + String(part).length + 2, line)
}

function parseOrigin(origin: unknown): URL | undefined {
  const text = origin instanceof URL ? origin.href : origin
  return typeof text === 'string' && URL.canParse(text) ? new URL(text) : undefined
}

/** undici keeps the URL that a client connects to under a symbol of its own. */
function connectedOrigin(dispatcher: object): string | undefined {
  const key = Object.getOwnPropertySymbols(dispatcher).find((symbol) => symbol.description === 'url')
  const url: unknown = key === undefined ? undefined : Reflect.get(dispatcher, key)
  return url instanceof URL ? url.origin : undefined
}

function headerNames(headers: string | unknown[]): string[] {
  return typeof headers === 'string'
    ? headers.split('\r\n').map((line) => line.slice(0, line.indexOf(':')).trim().toLowerCase())
    : headers.filter((_, i) => i % 2 === 0).map((name) => String(name).toLowerCase())
}

function addHeader(request: UndiciRequest, value: string): void {
  if (typeof request.addHeader === 'function') request.addHeader(AUTHORIZATION, value)
  else if (Array.isArray(request.headers)) request.headers.push(AUTHORIZATION, value)
}
