/** Binds what an undici dispatcher does for a caller to that caller's context, through queues, redirects and retries. */

import type { Context, Span } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { deleteCredential, getSlot } from '../context/credential-context.ts'

/** The dispatch that is on the stack. An undici request is created inside the innermost one. */
export interface DispatchFrame {
  readonly dispatcher: object
  /** Two callers share the handler, so that nobody can say whose request this is. */
  readonly ambiguous: boolean
  /** The client span, once an instrumentation has injected for it. */
  span: Span | undefined
  /** What to do when the dispatch returns: by then the client span is known, whatever the order of subscribers. */
  afterwards: ((frame: DispatchFrame) => void) | undefined
}

type Dispatch = (this: object, options: unknown, handler: unknown) => boolean

/** Whose work a handler is. One that two callers share is nobody's. */
interface Binding {
  readonly dispatcher: object
  caller: Context
  ambiguous: boolean
}

export interface DispatchBinder {
  /** Wraps `dispatch` on `prototype` and on every prototype below it. Idempotent. */
  bind(prototype: object): void
  readonly frame: DispatchFrame | undefined
  undo(): void
}

export function createDispatchBinder(): DispatchBinder {
  const bindings = new WeakMap<object, Binding>()
  const restores = new Map<object, () => void>()
  let frame: DispatchFrame | undefined

  /**
   * The same handler object travels through a pool's queue, a redirect and a retry, each of which dispatches it again in
   * a context that is somebody else's: the socket's, or that of the caller whose response has just come in.
   */
  function bindingOf(dispatcher: object, handler: object): Binding {
    const active = context.active()
    const bound = bindings.get(handler)
    if (bound === undefined) {
      const binding = { dispatcher, caller: active, ambiguous: false }
      bindings.set(handler, binding)
      return binding
    }
    // The same handler given to the same dispatcher by another caller: a shared handler, not a second hop.
    const slot = getSlot(active)
    if (bound.dispatcher === dispatcher && slot !== undefined && slot !== getSlot(bound.caller)) {
      bound.ambiguous = true
      bound.caller = deleteCredential(bound.caller)
    }
    return bound
  }

  function dispatchInFrame(dispatcher: object, binding: Binding, run: () => boolean): boolean {
    const outer = frame
    const ambiguous = binding.ambiguous || outer?.ambiguous === true
    const own: DispatchFrame = { dispatcher, ambiguous, span: undefined, afterwards: undefined }
    frame = own
    try {
      return run()
    } finally {
      frame = outer
      own.afterwards?.(own)
    }
  }

  function wrap(owner: { dispatch: Dispatch }): void {
    const previous = owner.dispatch
    let active = true
    const dispatch: Dispatch = function (options, handler) {
      if (!active || typeof handler !== 'object' || handler === null) return previous.call(this, options, handler)
      const binding = bindingOf(this, handler)
      const run = (): boolean => previous.call(this, options, handler)
      return context.with(binding.caller, () => dispatchInFrame(this, binding, run))
    }
    owner.dispatch = dispatch
    restores.set(owner, () => {
      active = false
      if (owner.dispatch === dispatch) owner.dispatch = previous
    })
  }

  return {
    bind(prototype) {
      for (let owner: object | null = prototype; owner !== null; owner = Object.getPrototypeOf(owner)) {
        if (ownsDispatch(owner) && !restores.has(owner)) wrap(owner)
      }
    },
    get frame() {
      return frame
    },
    undo() {
      for (const restore of restores.values()) restore()
      restores.clear()
    },
  }
}

function ownsDispatch(owner: object): owner is { dispatch: Dispatch } {
  return Object.hasOwn(owner, 'dispatch') && typeof (owner as { dispatch?: unknown }).dispatch === 'function'
}
