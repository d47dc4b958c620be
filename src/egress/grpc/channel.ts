/** gRPC clients: decides when the stream of a call is made, for the caller who has made the call. */

import type { Context } from '@opentelemetry/api'
import { context, trace } from '@opentelemetry/api'
import { watchModules } from '../../base/module-watcher.ts'
import type { Undo } from '../../base/patch-method.ts'
import { combineUndos, patchMethod } from '../../base/patch-method.ts'
import { callerOf } from '../../context/credential-context.ts'
import { runWithoutCaller } from '../../context/without-caller.ts'
import type { Decide, Hop } from '../../destination/decision.ts'
import { eventOf, mayGetToken } from '../../destination/decision.ts'
import { AUTHORIZATION, hasOwnCredential } from '../../propagation/carrier.ts'
import { recordOnSpan } from '../../telemetry/record.ts'
import { writeBearer } from '../../token/bearer.ts'
import { addLateToken } from '../http/http2.ts'
import type { LateToken } from '../http/http2-submission.ts'
import { addsCredentials, routeOf } from './route.ts'

/** What is used of grpc-js, alike in all its versions that have channels of their own. */
interface Metadata {
  get(key: string): readonly unknown[]
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
  const undos = new Map<object, Undo>()
  const stopWatching = watchModules(FILES, (exported) => {
    const prototype = channelPrototypeOf(exported)
    if (prototype !== undefined && !undos.has(prototype)) undos.set(prototype, patchChannel(prototype, decide))
  })
  return () => {
    stopWatching()
    combineUndos([...undos.values()])()
  }
}

function channelPrototypeOf(exported: unknown): object | undefined {
  // Any package may have a module of that name, and export anything.
  if (typeof exported !== 'object' || exported === null) return undefined
  const channel = Object.getOwnPropertyDescriptor(exported, 'ChannelImplementation')?.value as unknown
  const prototype = typeof channel === 'function' ? (channel.prototype as { createCall?: unknown }) : undefined
  return typeof prototype?.createCall === 'function' ? prototype : undefined
}

function patchChannel(prototype: object, decide: Decide): Undo {
  return patchMethod<CreateCall>(prototype, 'createCall', (previous, patch) => {
    const decideWhileActive: Decide = (ctx, hop) => (patch.isActive ? decide(ctx, hop) : undefined)
    return function (method, deadline, host, ...rest) {
      const call = previous.call(this, method, deadline, host, ...rest)
      if (patch.isActive) bindToCaller(call, this, { method, host }, decideWhileActive)
      return call
    }
  })
}

interface CallOptions {
  readonly method: unknown
  readonly host: unknown
}

/**
 * Binds a call to the caller in whose context it is made. Interceptors may start it later, and the channel goes on when
 * it has a connection, which may be in the context of another caller. So the channel works without a caller, and the
 * listener is called as the caller again.
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
    const authorized = authorizeMetadata(metadata, caller, hop, decide)
    return runWithoutCaller(() => start.call(call, authorized, bindListener(listener, caller)))
  }
}

/** Returns the metadata to send. The application's object is never changed: it may be used for another call. */
function authorizeMetadata(metadata: Metadata, caller: Context, hop: () => Hop, decide: Decide): Metadata {
  const token: LateToken = () => tokenFor(caller, hop, decide)
  try {
    if (mayGetToken(caller, hop(), decide)) return withLateToken(withoutToken(metadata), token)
    token()
    // `inject` has written it for an earlier call, or for a destination that the caller has only announced.
    const isInjected = !hasOwnCredential(metadata) && metadata.get(AUTHORIZATION).length > 0
    return isInjected ? withoutToken(metadata) : metadata
  } catch {
    // Deciding must never break a call; an undecided one leaves without a token.
    return metadata
  }
}

function tokenFor(caller: Context, hop: () => Hop, decide: Decide): string | undefined {
  try {
    const decision = decide(caller, hop())
    if (decision !== undefined) recordOnSpan(trace.getSpan(caller), eventOf(decision))
    return decision === undefined || decision.verdict === 'withhold' ? undefined : writeBearer(decision.credential)
  } catch {
    return undefined
  }
}

function withoutToken(metadata: Metadata): Metadata {
  const copy = metadata.clone()
  copy.remove(AUTHORIZATION)
  return copy
}

/**
 * Lets metadata carry a token that is decided when its stream is made. Until then a call waits for a connection, a
 * resolver or its next attempt, and its metadata is copied. The last copy is asked for its HTTP/2 fields, which the
 * session adds it to.
 */
function withLateToken(metadata: Metadata, token: LateToken): Metadata {
  const { clone, toHttp2Headers } = metadata
  const methods: Pick<Metadata, 'clone' | 'toHttp2Headers'> = {
    clone: () => withLateToken(clone.call(metadata), token),
    toHttp2Headers() {
      const fields = toHttp2Headers.call(metadata)
      addLateToken(fields, token)
      return fields
    },
  }
  for (const [name, value] of Object.entries(methods)) Object.defineProperty(metadata, name, { value })
  return metadata
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
    onReceiveMetadata: (metadata) => runAsCaller(caller, () => listener.onReceiveMetadata(metadata)),
    onReceiveMessage: (message) => runAsCaller(caller, () => listener.onReceiveMessage(message)),
    onReceiveStatus: (status) => runAsCaller(caller, () => listener.onReceiveStatus(status)),
  }
}

function runAsCaller<T>(caller: Context, fn: () => T): T {
  return callerOf(context.active()) === callerOf(caller) ? fn() : context.with(caller, fn)
}
