/** gRPC clients: decides when a call starts, for whoever made it, however long it then waits in its channel. */

import type { Context } from '@opentelemetry/api'
import { context, trace } from '@opentelemetry/api'
import { getSlot } from '../context/credential-context.ts'
import { runAsNobody } from '../context/nobody.ts'
import type { Decide, Hop } from '../destination/decision.ts'
import { eventOf } from '../destination/hop-event.ts'
import { AUTHORIZATION, hasOwnCredential } from '../propagation/carrier.ts'
import { recordOnSpan } from '../telemetry/span-events.ts'
import { addsCredentials, routeOf } from './grpc-route.ts'
import { watchModules } from './loaded-modules.ts'

/** What is used of grpc-js, alike in all its versions that have channels of their own. */
interface Metadata {
  get(key: string): readonly unknown[]
  set(key: string, value: string): void
  remove(key: string): void
  clone(): Metadata
  toHttp2Headers(): Readonly<Record<string, unknown>>
}
interface Listener {
  onReceiveMetadata(metadata: unknown): void
  onReceiveMessage(message: unknown): void
  onReceiveStatus(status: unknown): void
}
interface Call {
  start(metadata: Metadata, listener: Listener): unknown
  setCredentials(credentials: unknown): unknown
}
type CreateCall = (this: object, method: unknown, deadline: unknown, host: unknown, ...rest: unknown[]) => Call

const FILES = /[\\/]channel(?:\.js)?$/

/** Wraps `createCall` of the channel class of every copy of `@grpc/grpc-js`. Returns how to undo it. */
export function interceptGrpc(decide: Decide): () => void {
  const restores = new Map<object, () => void>()
  const stopWatching = watchModules(FILES, (exported) => {
    const prototype = channelPrototypeOf(exported)
    if (prototype !== undefined && !restores.has(prototype)) restores.set(prototype, wrap(prototype, decide))
  })
  return () => {
    stopWatching()
    for (const restore of restores.values()) restore()
  }
}

function channelPrototypeOf(exported: unknown): { createCall: CreateCall } | undefined {
  // Any package may have a module of that name, and export anything.
  if (typeof exported !== 'object' || exported === null) return undefined
  const channel = Object.getOwnPropertyDescriptor(exported, 'ChannelImplementation')?.value as unknown
  const prototype = typeof channel === 'function' ? (channel.prototype as { createCall?: unknown }) : undefined
  return typeof prototype?.createCall === 'function' ? (prototype as { createCall: CreateCall }) : undefined
}

function wrap(prototype: { createCall: CreateCall }, decide: Decide): () => void {
  const previous = prototype.createCall
  let active = true
  const decideWhileActive: Decide = (ctx, hop) => (active ? decide(ctx, hop) : undefined)

  const createCall: CreateCall = function (method, deadline, host, ...rest) {
    const call = previous.call(this, method, deadline, host, ...rest)
    if (active) bindToCaller(call, this, { method, host }, decideWhileActive)
    return call
  }
  prototype.createCall = createCall

  return () => {
    active = false
    if (prototype.createCall === createCall) prototype.createCall = previous
  }
}

interface CallOptions {
  readonly method: unknown
  readonly host: unknown
}

/**
 * A call is made in its caller's context. Interceptors may start it later, and the channel goes on with it whenever a
 * connection is there, which may be in the context of another caller: so what the channel does is nobody's work, and
 * what comes back is the caller's again.
 */
function bindToCaller(call: Call, channel: object, options: CallOptions, decide: Decide): void {
  const caller = context.active()
  const { start, setCredentials } = call
  let hasCallCredentials = false

  call.setCredentials = (credentials) => {
    hasCallCredentials = addsCredentials(credentials)
    return setCredentials.call(call, credentials)
  }
  call.start = (metadata, listener) => {
    const hop = (): Hop => hopOf(channel, options, metadata, hasCallCredentials)
    const authorized = authorize(metadata, caller, hop, decide)
    return runAsNobody(() => start.call(call, authorized, bindListener(listener, caller)))
  }
}

/** The metadata to send: the application's own object is never written to, because it may be used for another call. */
function authorize(metadata: Metadata, caller: Context, hop: () => Hop, decide: Decide): Metadata {
  try {
    const decision = decide(caller, hop())
    const isOwn = hasOwnCredential(metadata)
    if (decision !== undefined) recordOnSpan(trace.getSpan(caller), eventOf(decision))
    if (decision !== undefined && decision.verdict !== 'withhold')
      return withToken(metadata, `Bearer ${decision.credential.reveal()}`)
    // What `inject` wrote for an earlier call, or for a destination that the caller only announced.
    return isOwn || metadata.get(AUTHORIZATION).length === 0 ? metadata : withToken(metadata, undefined)
  } catch {
    // Deciding must never break a call; an undecided one leaves without a token.
    return metadata
  }
}

function withToken(metadata: Metadata, value: string | undefined): Metadata {
  const copy = metadata.clone()
  if (value === undefined) copy.remove(AUTHORIZATION)
  else copy.set(AUTHORIZATION, value)
  return copy
}

function hopOf(channel: object, { method, host }: CallOptions, metadata: Metadata, hasCallCredentials: boolean): Hop {
  const { target, obstacle, authority } = routeOf(channel)
  const isOwn = hasCallCredentials || hasOwnCredential(metadata)
  const isElsewhere = host !== undefined && host !== null && host !== authority
  return {
    target,
    obstacle: obstacle ?? (isOwn ? 'own_credential' : isElsewhere ? 'custom_connection' : undefined),
    headerBytes: () => headerBytesOf(metadata, String(method)),
  }
}

/** Pseudo-header fields and those that gRPC adds, `authority` aside. */
const FIXED_BYTES = 256

/** The header list as HTTP/2 counts it, near enough (RFC 9113 §6.5.2: 32 bytes more for each field). */
function headerBytesOf(metadata: Metadata, method: string): number {
  const fields = Object.entries(metadata.toHttp2Headers()).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((each) => name.length + String(each).length + 32),
  )
  return fields.reduce((sum, bytes) => sum + bytes, method.length + FIXED_BYTES)
}

function bindListener(listener: Listener, caller: Context): Listener {
  return {
    onReceiveMetadata: (metadata) => asCaller(caller, () => listener.onReceiveMetadata(metadata)),
    onReceiveMessage: (message) => asCaller(caller, () => listener.onReceiveMessage(message)),
    onReceiveStatus: (status) => asCaller(caller, () => listener.onReceiveStatus(status)),
  }
}

function asCaller<T>(caller: Context, fn: () => T): T {
  return getSlot(context.active()) === getSlot(caller) ? fn() : context.with(caller, fn)
}
