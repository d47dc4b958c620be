/** Marks the requests of undici's cache and deduplicate interceptors: their responses go to other callers, too. */

import type { Context } from '@opentelemetry/api'
import { context, createContextKey } from '@opentelemetry/api'
import { isObject } from '../../base/own-property.ts'
import { combineUndos, patchMethod } from '../../base/patch-method.ts'
import type { DispatchFunction } from './handlers.ts'

const SHARED = createContextKey('otel-token-relay shared response')
const INTERCEPTORS = ['cache', 'deduplicate'] as const
/** Their responses are never stored, nor given to two callers (RFC 9110 §9.2.1, RFC 9111 §3). */
const UNSAFE_METHODS: readonly unknown[] = ['POST', 'PUT', 'PATCH', 'DELETE']

type Interceptor = (dispatch: DispatchFunction, ...rest: unknown[]) => DispatchFunction
type CreateInterceptor = (this: unknown, ...options: unknown[]) => Interceptor

/** A call of `fetch` whose response another cache than undici's may store. */
export interface StorableCall {
  mayBeStored: boolean
  /** Whether its own request was made; otherwise its response is that of another call. */
  wasSent: boolean
}

/** Whether the response to a request that is made in `ctx` may go to several callers. */
export function isShared(ctx: Context): boolean {
  const shared = ctx.getValue(SHARED) as StorableCall | true | undefined
  if (shared === undefined || shared === true) return shared === true
  shared.wasSent = true
  return shared.mayBeStored
}

export function markStorable(ctx: Context, call: StorableCall): Context {
  return ctx.getValue(SHARED) === true ? ctx : ctx.setValue(SHARED, call)
}

export function storableCallOf(ctx: Context): StorableCall | undefined {
  const shared = ctx.getValue(SHARED) as StorableCall | true | undefined
  return shared === true ? undefined : shared
}

/**
 * Wraps both interceptors in undici's own object of them. All they send is sent in a marked context, whatever is
 * composed around them, and however late they send it. Returns how to undo it.
 */
export function markSharedResponses(interceptors: object): () => void {
  return combineUndos(
    INTERCEPTORS.map((name) =>
      patchMethod<CreateInterceptor>(
        interceptors,
        name,
        (previous, patch) =>
          function (...options) {
            const interceptor = previous.apply(this, options)
            return patch.isActive ? markRequestsOf(interceptor) : interceptor
          },
      ),
    ),
  )
}

function markRequestsOf(interceptor: Interceptor): Interceptor {
  return (dispatch, ...rest) => {
    // A handler that the interceptor passes on as it came answers its own caller only.
    const given = new WeakSet<object>()
    const send: DispatchFunction = (options, handler) =>
      (isObject(handler) && given.has(handler)) || isUnsafe(options)
        ? dispatch(options, handler)
        : context.with(markShared(context.active()), () => dispatch(options, handler))
    const intercepted = interceptor(send, ...rest)
    return (options, handler) => {
      if (isObject(handler)) given.add(handler)
      return intercepted(options, handler)
    }
  }
}

export function markShared(ctx: Context): Context {
  return ctx.setValue(SHARED, true)
}

export function isUnsafe(options: unknown): boolean {
  return isObject(options) && UNSAFE_METHODS.includes(Reflect.get(options, 'method'))
}
