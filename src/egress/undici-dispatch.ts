/** Binds what an undici dispatcher does for a caller to that caller's context, through queues, redirects and retries. */

import type { Context, Span } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { deleteCredential, getSlot } from '../context/credential-context.ts'
import { withCallPlace } from '../context/place.ts'
import { runIn } from '../context/run-in.ts'
import { createNotes } from '../token/notes.ts'
import { dispatchAfter } from './deferred-dispatch.ts'
import { entersProxy } from './undici-proxy.ts'
import { contextFor } from './undici-shared.ts'

/** The dispatch that is on the stack. An undici request is created inside the innermost one. */
export interface DispatchFrame {
  readonly binding: Binding
  /** The innermost so far: a pool has its clients dispatch what it is given. */
  dispatcher: object
  /** Two callers share the handler, so that nobody can say whose request this is. */
  ambiguous: boolean
  /** A forward proxy is on the way, which reads whatever is not encrypted to the destination. */
  proxied: boolean
  /** The client span, once an instrumentation has injected for it. */
  span: Span | undefined
  /** What to do when the dispatch returns: by then the client span is known, whatever the order of subscribers. */
  afterwards: (() => void) | undefined
  returned: boolean
}

type Dispatch = (this: object, options: unknown, handler: unknown) => boolean
type Compose = (this: object, ...interceptors: unknown[]) => object

/** Whose work a handler is. One that two callers share is nobody's. */
interface Binding {
  readonly dispatcher: object
  caller: Context
  ambiguous: boolean
  proxied: boolean
}

export interface DispatchBinder {
  /** Wraps `dispatch` and `compose` on `prototype` and on every prototype below it. Idempotent. */
  bind(prototype: object): void
  /** Makes known a class whose instances undici makes for one request each, and dispatches again by itself. */
  recognize(handlerClass: object): void
  readonly frame: DispatchFrame | undefined
  undo(): void
}

/** See {@link Before}. */
type BeforeDispatch = (caller: Context, dispatcher: object, options: object) => Promise<void> | undefined

export function createDispatchBinder(before: BeforeDispatch): DispatchBinder {
  const bindings = createNotes<Binding>()
  const byOptions = createNotes<Binding>()
  const fronts = new WeakMap<object, object>()
  const ownClasses = new WeakSet<object>()
  const restores = new Map<object, () => void>()
  let frame: DispatchFrame | undefined

  /**
   * The same handler object travels through a pool's queue, a redirect and a retry, each of which dispatches it again in
   * a context that is somebody else's: the socket's, or that of the caller whose response has just come in.
   */
  function bindingOf(dispatcher: object, handler: object, options: unknown): Binding {
    const active = context.active()
    const bound = bindings.get(handler) ?? queuedBindingOf(handler, options)
    if (bound === undefined) {
      const caller = withCallPlace(contextFor(active, handler, options))
      const binding = { dispatcher, caller, ambiguous: false, proxied: false }
      bindings.set(handler, binding)
      rememberOptions(options, binding)
      return binding
    }
    if (isGivenAgain(bound, dispatcher, handler)) {
      const slot = getSlot(active)
      if (slot !== undefined && slot !== getSlot(bound.caller)) {
        bound.ambiguous = true
        bound.caller = deleteCredential(bound.caller)
      }
    }
    rememberOptions(options, bound)
    return bound
  }

  /**
   * By the application: a shared handler, not a second hop. A pool that drains its queue dispatches it to another
   * dispatcher, possibly while another caller's dispatch is on the stack.
   */
  function isGivenAgain(bound: Binding, dispatcher: object, handler: object): boolean {
    if (frame !== undefined) return bound.dispatcher === dispatcher && !isOwnHandler(handler)
    return !isBehind(dispatcher, bound.dispatcher) && !isOwnHandler(handler)
  }

  /** undici 7 wraps some handlers before a pool queues them: what comes out is known by its options only. */
  function queuedBindingOf(handler: object, options: unknown): Binding | undefined {
    if (frame !== undefined || handler.constructor?.name !== 'UnwrapHandler') return undefined
    // A class of another's with that name has no queue to come out of.
    const bound = isOwnHandler(handler) && isObject(options) ? byOptions.get(options) : undefined
    // Out of a queue, and nobody knows whose: it must not become that of whoever drains the queue.
    const nobody = { dispatcher: handler, caller: deleteCredential(context.active()), ambiguous: true, proxied: false }
    bindings.set(handler, bound ?? nobody)
    return bound ?? nobody
  }

  function rememberOptions(options: unknown, binding: Binding): void {
    if (!isObject(options)) return
    const known = byOptions.get(options)
    if (known === binding) return
    const shared = known !== undefined && getSlot(known.caller) !== getSlot(binding.caller)
    byOptions.set(options, shared ? { ...binding, caller: deleteCredential(binding.caller), ambiguous: true } : binding)
  }

  /**
   * Whether `dispatcher` has been handed requests by `front`, as a pool's client by its pool: then a request that comes to
   * it alone comes out of the queue of `front`, in the context of whoever has made room by an abort.
   */
  function isBehind(dispatcher: object, front: object): boolean {
    for (let each = fronts.get(dispatcher); each !== undefined; each = fronts.get(each)) if (each === front) return true
    return false
  }

  function dispatchInFrame(dispatcher: object, binding: Binding, run: () => boolean): boolean {
    const outer = frame
    if (outer !== undefined && outer.dispatcher !== dispatcher && !isBehind(outer.dispatcher, dispatcher)) {
      fronts.set(dispatcher, outer.dispatcher)
    }
    // As a pool has one of its clients do: the same request, one dispatcher further.
    const isSame = outer?.binding === binding && outer.span === undefined && outer.afterwards === undefined
    return isSame ? dispatchWithin(outer, dispatcher, run) : dispatchAnew(dispatcher, binding, run)
  }

  function dispatchWithin(own: DispatchFrame, dispatcher: object, run: () => boolean): boolean {
    const front = own.dispatcher
    own.dispatcher = dispatcher
    own.proxied ||= own.binding.proxied
    own.ambiguous ||= own.binding.ambiguous
    try {
      return run()
    } finally {
      own.dispatcher = front
    }
  }

  function dispatchAnew(dispatcher: object, binding: Binding, run: () => boolean): boolean {
    const outer = frame
    const own: DispatchFrame = {
      binding,
      dispatcher,
      ambiguous: binding.ambiguous || outer?.ambiguous === true,
      proxied: binding.proxied || outer?.proxied === true,
      span: undefined,
      afterwards: undefined,
      returned: false,
    }
    frame = own
    try {
      return run()
    } finally {
      frame = outer
      own.returned = true
      own.afterwards?.()
    }
  }

  /**
   * undici makes some of these per request and dispatches them again from timers that requests of all callers share. By
   * identity: an application's class of the same name may well be given to two callers.
   */
  function isOwnHandler(handler: object): boolean {
    return typeof handler.constructor === 'function' && ownClasses.has(handler.constructor)
  }

  function wrapDispatch(owner: { dispatch: Dispatch }): () => void {
    const previous = owner.dispatch
    let active = true
    const dispatch: Dispatch = function (options, handler) {
      if (!active || !isObject(handler)) return previous.call(this, options, handler)
      const binding = bindingOf(this, handler, options)
      // Kept with the handler: a queue dispatches it again without the proxy agent on the stack.
      binding.proxied ||= entersProxy(this, frame?.dispatcher)
      const run = (): boolean => previous.call(this, options, handler)
      const dispatchBound = (): boolean => runIn(binding.caller, () => dispatchInFrame(this, binding, run))
      const waiting = frame === undefined && isObject(options) ? before(binding.caller, this, options) : undefined
      return waiting === undefined ? dispatchBound() : dispatchAfter(waiting, dispatchBound, handler, options)
    }
    owner.dispatch = dispatch
    return () => {
      active = false
      if (owner.dispatch === dispatch) owner.dispatch = previous
    }
  }

  /**
   * Between two interceptors there is no dispatcher: one that retries or redirects hands its handler to the next one,
   * which makes another of it. So what each of them dispatches is bound as well.
   */
  function wrapCompose(owner: { compose: Compose }): () => void {
    const previous = owner.compose
    let active = true
    const between = (dispatch: unknown): unknown => {
      if (typeof dispatch !== 'function' || dispatch.length !== 2) return dispatch
      const run = dispatch as (options: unknown, handler: unknown) => unknown
      return (options: unknown, handler: unknown) => {
        if (!active || !isObject(handler)) return run(options, handler)
        return runIn(bindingOf(run, handler, options).caller, () => run(options, handler))
      }
    }
    const bindInterceptor = (interceptor: unknown): unknown =>
      typeof interceptor === 'function' ? (...args: unknown[]) => between(interceptor(...args)) : interceptor
    const compose: Compose = function (...args) {
      const interceptors: unknown[] = Array.isArray(args[0]) ? args[0] : args
      return previous.call(this, ...interceptors.map(bindInterceptor))
    }
    owner.compose = compose
    return () => {
      active = false
      if (owner.compose === compose) owner.compose = previous
    }
  }

  function wrap(owner: object): void {
    if (!owns(owner, 'dispatch')) return
    const undoDispatch = wrapDispatch(owner as { dispatch: Dispatch })
    const undoCompose = owns(owner, 'compose') ? wrapCompose(owner as { compose: Compose }) : undefined
    restores.set(owner, () => {
      undoDispatch()
      undoCompose?.()
    })
  }

  return {
    bind(prototype) {
      for (let owner: object | null = prototype; owner !== null; owner = Object.getPrototypeOf(owner)) {
        if (!restores.has(owner)) wrap(owner)
      }
    },
    recognize: (handlerClass) => void ownClasses.add(handlerClass),
    get frame() {
      return frame
    },
    undo() {
      for (const restore of restores.values()) restore()
      restores.clear()
    },
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function owns(owner: object, name: 'dispatch' | 'compose'): boolean {
  return typeof Object.getOwnPropertyDescriptor(owner, name)?.value === 'function'
}
