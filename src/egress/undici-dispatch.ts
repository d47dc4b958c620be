/** Binds what an undici dispatcher does for a caller to that caller's context, through queues, redirects and retries. */

import type { Context, Span } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { deleteCredential, getSlot } from '../context/credential-context.ts'

/** The dispatch that is on the stack. An undici request is created inside the innermost one. */
export interface DispatchFrame {
  readonly dispatcher: object
  /** The client span, once an instrumentation has injected for it. */
  span: Span | undefined
  /** What to do when the dispatch returns: by then the client span is known, whatever the order of subscribers. */
  afterwards: ((frame: DispatchFrame) => void) | undefined
}

type Dispatch = (this: object, options: unknown, handler: unknown) => boolean

/** Whose work a handler is. One that two callers share is nobody's. */
interface Binding {
  readonly dispatcher: object
  readonly caller: Context
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
  function contextOf(dispatcher: object, handler: object): Context {
    const active = context.active()
    const bound = bindings.get(handler)
    if (bound === undefined) {
      bindings.set(handler, { dispatcher, caller: active, ambiguous: false })
      return active
    }
    // The same handler given to the same dispatcher by another caller: a shared handler, not a second hop.
    const slot = getSlot(active)
    if (bound.dispatcher === dispatcher && slot !== undefined && slot !== getSlot(bound.caller)) bound.ambiguous = true
    return bound.ambiguous ? deleteCredential(bound.caller) : bound.caller
  }

  function dispatchInFrame(dispatcher: object, run: () => boolean): boolean {
    const outer = frame
    const own: DispatchFrame = { dispatcher, span: undefined, afterwards: undefined }
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
      const caller = contextOf(this, handler)
      return context.with(caller, () => dispatchInFrame(this, () => previous.call(this, options, handler)))
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
