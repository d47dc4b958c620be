/** Marks what undici's cache and deduplicate interceptors send: the response is given to others than who asked. */

import type { Context } from '@opentelemetry/api'
import { context, createContextKey } from '@opentelemetry/api'

const SHARED = createContextKey('otel-token-relay shared response')
const INTERCEPTORS = ['cache', 'deduplicate'] as const
/** Responses to these are never stored, nor given to two callers (RFC 9110 §9.2.1, RFC 9111 §3). */
const UNSAFE_METHODS: readonly unknown[] = ['POST', 'PUT', 'PATCH', 'DELETE']
const HANDLERS: readonly unknown[] = ['CacheHandler', 'CacheRevalidationHandler', 'DeduplicationHandler']

type Dispatch = (options: unknown, handler: unknown) => unknown
type Interceptor = (dispatch: Dispatch, ...rest: unknown[]) => Dispatch
type CreateInterceptor = (this: unknown, ...options: unknown[]) => Interceptor

/** Whether the response to a request under `ctx` may be given to other callers. */
export function isShared(ctx: Context): boolean {
  return ctx.getValue(SHARED) === true
}

/** `ctx` for what `handler` is dispatched for: marked where its class, or that of one behind it, shares responses. */
export function contextFor(ctx: Context, handler: object, options: unknown): Context {
  let each: unknown = handler
  for (let depth = 0; depth < 8 && typeof each === 'object' && each !== null; depth += 1) {
    if (HANDLERS.includes(each.constructor?.name) && !isUnsafe(options)) return markShared(ctx)
    each = Object.getOwnPropertyDescriptor(each, 'handler')?.value
  }
  return ctx
}

/**
 * Wraps both interceptors in undici's own object of them, so that all they send is sent in a marked context: whatever is
 * composed around them, and however late they send it. Returns how to undo it.
 */
export function markSharedResponses(interceptors: object): () => void {
  const undo = INTERCEPTORS.map((name) => replace(interceptors as Record<string, CreateInterceptor>, name))
  return () => {
    for (const each of undo) each()
  }
}

function replace(owner: Record<string, CreateInterceptor>, name: string): () => void {
  const previous = owner[name]
  if (typeof previous !== 'function') return () => undefined
  let active = true
  const create: CreateInterceptor = function (...options) {
    const interceptor = previous.apply(this, options)
    return active ? marking(interceptor) : interceptor
  }
  owner[name] = create
  return () => {
    active = false
    if (owner[name] === create) owner[name] = previous
  }
}

function marking(interceptor: Interceptor): Interceptor {
  return (dispatch, ...rest) => {
    // A handler that is passed on as it came answers its own caller only.
    const given = new WeakSet<object>()
    const send: Dispatch = (options, handler) =>
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

function markShared(ctx: Context): Context {
  return ctx.setValue(SHARED, true)
}

function isUnsafe(options: unknown): boolean {
  return isObject(options) && UNSAFE_METHODS.includes(Reflect.get(options, 'method'))
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
