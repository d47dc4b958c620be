/** Runs what an undici dispatcher does for a caller in that caller's context, through queues, redirects and retries. */

import type { Context } from '@opentelemetry/api'
import { isObject } from '../../base/own-property.ts'
import type { Patch } from '../../base/patch-method.ts'
import { runInContext } from '../../context/without-caller.ts'
import type { Bindings } from './bindings.ts'
import type { Delays, Handler } from './delay.ts'
import type { Binding, DispatchStack, OngoingCall } from './frames.ts'
import { DispatchFrame } from './frames.ts'
import { entersProxy } from './proxy.ts'
import { isShared } from './shared-responses.ts'

/** `dispatch` of a dispatcher, and the method that it calls inside. */
export type Dispatch = (this: object, options: unknown, handler: unknown) => boolean

export interface DispatchWrapperOptions {
  readonly bindings: Bindings
  readonly stack: DispatchStack
  readonly delays: Delays
  readonly patch: Patch
  /** What to wait for before `dispatcher` dispatches for `caller`. */
  readonly beforeDispatch: (caller: Context, dispatcher: object, options: object) => Promise<void> | undefined
  /** Called for every dispatcher, before its first dispatch. */
  readonly onNewDispatcher: (dispatcher: object) => void
  /** A dispatcher that was composed before the relay sends a request, and its caller or its readers are not known. */
  readonly onUnseenRequest: () => void
}

/** A call of a dispatch method. `previous` is what the relay has replaced. */
interface DispatchCall {
  readonly dispatcher: object
  readonly options: unknown
  readonly handler: object
  readonly previous: Dispatch
}

/** Does what would have been done without the relay. */
function runCall({ dispatcher, options, handler, previous }: DispatchCall): boolean {
  return previous.call(dispatcher, options, handler)
}

export class DispatchWrapper {
  readonly #options: DispatchWrapperOptions
  readonly #seenDispatchers = new WeakSet<object>()
  /** Dispatchers that have returned without passing on what they were called with. */
  readonly #queueing = new WeakSet<object>()

  constructor(options: DispatchWrapperOptions) {
    this.#options = options
  }

  /** Wraps `dispatch`, which the application calls, and dispatchers call of each other. */
  wrapDispatch(previous: Dispatch): Dispatch {
    const dispatchForCaller = this.#dispatchForCaller.bind(this)
    const { patch } = this.#options
    return function (options, handler) {
      if (!patch.isActive || !isObject(handler)) return previous.call(this, options, handler)
      return dispatchForCaller({ dispatcher: this, options, handler, previous })
    }
  }

  /**
   * Wraps the method that `dispatch` calls inside. Interceptors that were composed before the relay have kept the
   * `dispatch` of that time, which leads to this method and to no other that the relay sees.
   */
  wrapInnerDispatch(previous: Dispatch): Dispatch {
    const continueDispatch = this.#continueDispatch.bind(this)
    const { bindings, patch, stack } = this.#options
    return function (options, handler) {
      if (!patch.isActive || !isObject(handler)) return previous.call(this, options, handler)
      const frame = stack.arriveAt(this)
      if (frame?.isPrepared === true && bindings.bindingOf(handler) !== undefined)
        return previous.call(this, options, handler)
      return continueDispatch(frame, { dispatcher: this, options, handler, previous })
    }
  }

  /** Does what `dispatch` of `dispatcher` does, for a dispatcher that was composed before the relay. */
  dispatchToComposed(dispatcher: object, options: unknown, handler: unknown): unknown {
    const { bindings, patch, stack } = this.#options
    const run = (): unknown =>
      Reflect.apply(Reflect.get(dispatcher, 'dispatch') as Dispatch, dispatcher, [options, handler])
    if (!patch.isActive || !isObject(handler)) return run()
    return runInContext(bindings.bindAtDispatcher(handler, options, stack.call, true).caller, run)
  }

  #dispatchForCaller(dispatched: DispatchCall): boolean {
    const { dispatcher, options, handler } = dispatched
    const { bindings, stack } = this.#options
    this.#prepareDispatcher(dispatcher)
    const binding = bindings.bindAtDispatcher(handler, options, stack.call, true)
    // Kept with the handler: a queue dispatches it again without the proxy agent on the stack.
    binding.isProxied ||= entersProxy(dispatcher, stack.frame?.dispatcher)
    const call: OngoingCall = { binding, options, mayQueue: this.#queueing.has(dispatcher), hasPassedOn: false }
    try {
      return stack.runDispatch(new DispatchFrame(binding, dispatcher, stack.frame, false), call, runCall, dispatched)
    } finally {
      if (!call.hasPassedOn) this.#queueing.add(dispatcher)
    }
  }

  #prepareDispatcher(dispatcher: object): void {
    if (this.#seenDispatchers.has(dispatcher)) return
    this.#seenDispatchers.add(dispatcher)
    this.#options.onNewDispatcher(dispatcher)
  }

  #runInFrame(binding: Binding, dispatcher: object, isPrepared: boolean, run: () => boolean): boolean {
    const { stack } = this.#options
    return runInContext(binding.caller, () =>
      stack.runFrame(new DispatchFrame(binding, dispatcher, stack.frame, isPrepared), run),
    )
  }

  /** `frame`: of the `dispatch` that the call comes out of, if there is one. */
  #continueDispatch(frame: DispatchFrame | undefined, call: DispatchCall): boolean {
    const { bindings } = this.#options
    if (frame === undefined) return this.#dispatchUnseen(call)
    if (bindings.bindingOf(call.handler) === undefined) bindings.assign(call.handler, frame.binding)
    return this.#dispatchPrepared(frame, call)
  }

  /** The call bypassed `dispatch`, so only its handler tells its caller. */
  #dispatchUnseen(call: DispatchCall): boolean {
    const { bindings, stack, onUnseenRequest } = this.#options
    const { dispatcher, handler, options } = call
    const binding = bindings.bindAtDispatcher(handler, options, undefined, false)
    if (binding.doubt !== undefined || isShared(binding.caller)) onUnseenRequest()
    return this.#runInFrame(binding, dispatcher, false, () => this.#dispatchPrepared(stack.frame, call))
  }

  /** Dispatches at once, or when the token is there that the caller's token has to be exchanged for. */
  #dispatchPrepared(frame: DispatchFrame | undefined, call: DispatchCall): boolean {
    if (frame === undefined || frame.isPrepared) return runCall(call)
    frame.isPrepared = true
    const { dispatcher, options } = call
    const { caller } = frame.binding
    const waiting = isObject(options) ? this.#options.beforeDispatch(caller, dispatcher, options) : undefined
    return waiting === undefined ? runCall(call) : this.#dispatchAfter(waiting, frame.binding, call)
  }

  #dispatchAfter(waiting: Promise<void>, binding: Binding, call: DispatchCall): boolean {
    const { dispatcher, options, handler } = call
    const dispatchLater = (): boolean => this.#runInFrame(binding, dispatcher, true, () => runCall(call))
    return this.#options.delays.delay(dispatcher, waiting, dispatchLater, handler as Handler, options as object)
  }
}
