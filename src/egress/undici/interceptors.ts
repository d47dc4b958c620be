/** Binds the handlers that the interceptors of a composed dispatcher pass on to each other. */

import { isObject } from '../../base/own-property.ts'
import type { Patch } from '../../base/patch-method.ts'
import { runInContext } from '../../context/without-caller.ts'
import type { Bindings } from './bindings.ts'
import type { DispatchStack, OngoingCall } from './frames.ts'

export type Compose = (this: object, ...interceptors: unknown[]) => object
type PassOn = (options: unknown, handler: unknown) => unknown

export interface InterceptorOptions {
  readonly bindings: Bindings
  readonly stack: DispatchStack
  readonly patch: Patch
  /** Whether the relay knows all handlers of the copy that `prototype` belongs to. */
  readonly isKnownCopy: (prototype: object) => boolean
}

/**
 * Wraps `compose` of `prototype`. Between two interceptors there is no dispatcher: one that retries or redirects hands
 * its handler to the next one, which makes another handler of it. So the relay binds what each interceptor gets and
 * passes on.
 */
export function wrapCompose(previous: Compose, prototype: object, options: InterceptorOptions): Compose {
  return function (...args) {
    const interceptors: unknown[] = Array.isArray(args[0]) ? args[0] : args
    return previous.call(this, ...interceptors.map((each) => wrapInterceptor(each, prototype, options)))
  }
}

function wrapInterceptor(interceptor: unknown, prototype: object, options: InterceptorOptions): unknown {
  if (typeof interceptor !== 'function') return interceptor
  return (below: unknown, ...rest: unknown[]): unknown => {
    const bound = new BoundInterceptor(prototype, options)
    const passOn = typeof below === 'function' ? bound.wrapPassOn(below as PassOn) : below
    const dispatch: unknown = interceptor(passOn, ...rest)
    // undici refuses an interceptor that returns another function than this.
    return typeof dispatch === 'function' && dispatch.length === 2 ? bound.wrapDispatch(dispatch as PassOn) : dispatch
  }
}

class BoundInterceptor {
  readonly #prototype: object
  readonly #options: InterceptorOptions
  /** The call of this interceptor that is on the stack. */
  #call: OngoingCall | undefined = undefined
  #mayQueue = false

  constructor(prototype: object, options: InterceptorOptions) {
    this.#prototype = prototype
    this.#options = options
  }

  /** Wraps what the interceptor returns: the relay sees what the interceptor is called with. */
  wrapDispatch(dispatch: PassOn): PassOn {
    return (options, handler) => {
      const { bindings, patch, stack } = this.#options
      if (!patch.isActive || !isObject(handler)) return dispatch(options, handler)
      const binding = bindings.bindAtDispatcher(handler, options, stack.call, true)
      const call: OngoingCall = { binding, options, mayQueue: this.#mayQueue, hasPassedOn: false }
      const outer = this.#call
      this.#call = call
      try {
        return runInContext(binding.caller, () => dispatch(options, handler))
      } finally {
        this.#call = outer
        this.#mayQueue ||= !call.hasPassedOn
      }
    }
  }

  /** Wraps what the interceptor calls: the relay sees what the interceptor passes on. */
  wrapPassOn(below: PassOn): PassOn {
    return (options, handler) => {
      const { bindings, patch, stack, isKnownCopy } = this.#options
      if (!patch.isActive || !isObject(handler)) return below(options, handler)
      const binding = bindings.bindFromInterceptor(handler, options, this.#call, isKnownCopy(this.#prototype))
      return stack.runCall({ binding, options, mayQueue: false, hasPassedOn: false }, () =>
        runInContext(binding.caller, () => below(options, handler)),
      )
    }
  }
}
