/** What is on the stack: the dispatch that undici creates a request in, and the call that a handler is passed on in. */

import type { Context, Span } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'

/** The caller that a handler works for. */
export interface Binding {
  readonly caller: Context
  /** Why the caller is not known; `undefined` if it is. */
  readonly doubt: 'ambiguous' | 'unbound_dispatcher' | undefined
  /** A forward proxy is on the way. */
  isProxied: boolean
}

/** One dispatch of one dispatcher. A pool has a client dispatch the same handler, which is a frame inside its frame. */
export class DispatchFrame {
  readonly binding: Binding
  readonly dispatcher: object
  /** A forward proxy is on the way, which reads what is not encrypted to the destination. */
  readonly isProxied: boolean
  /** Whether the relay has asked if there is a token to wait for. Once is enough for all dispatchers on the way. */
  isPrepared: boolean
  /** The client span, once an instrumentation has injected for it. */
  span: Span | undefined = undefined
  #onReturned: (() => void) | undefined = undefined
  #hasReturned = false

  constructor(binding: Binding, dispatcher: object, outer: DispatchFrame | undefined, isPrepared: boolean) {
    this.binding = binding
    this.dispatcher = dispatcher
    this.isProxied = binding.isProxied || outer?.isProxied === true
    this.isPrepared = isPrepared || outer?.hasPrepared(binding) === true
  }

  /**
   * Whether the handler of `binding` needs no further preparation here. Once there is a request, another may follow.
   */
  hasPrepared(binding: Binding): boolean {
    return this.binding === binding && this.isPrepared && this.span === undefined && this.#onReturned === undefined
  }

  /** Calls `fn` when the dispatch has returned: by then the client span is known, whatever the order of subscribers. */
  whenReturned(fn: () => void): void {
    if (this.#hasReturned) fn()
    else this.#onReturned = fn
  }

  setReturned(): void {
    this.#hasReturned = true
    this.#onReturned?.()
  }
}

/**
 * A call of a dispatcher or an interceptor that has not returned. It is expected to pass on what it was called with.
 */
export interface OngoingCall {
  readonly binding: Binding
  readonly options: unknown
  /** Whether the callee has returned before without passing on: what it passes on now may be an earlier call's. */
  readonly mayQueue: boolean
  hasPassedOn: boolean
}

export class DispatchStack {
  frame: DispatchFrame | undefined = undefined
  call: OngoingCall | undefined = undefined
  /** The dispatcher whose `dispatch` has been entered, until it calls the method inside. */
  #entered: object | undefined = undefined

  /**
   * Calls `run` with `arg`, a `dispatch`, in the context of its caller. In one function and without a closure: it is
   * called three times for each `fetch`.
   */
  runDispatch<A, T>(frame: DispatchFrame, call: OngoingCall, run: (arg: A) => T, arg: A): T {
    const { caller } = frame.binding
    const { call: outerCall, frame: outerFrame } = this
    const outerEntered = this.#entered
    this.call = call
    this.frame = frame
    this.#entered = frame.dispatcher
    try {
      return context.active() === caller ? run(arg) : context.with(caller, run, undefined, arg)
    } finally {
      this.call = outerCall
      this.frame = outerFrame
      this.#entered = outerEntered
      frame.setReturned()
    }
  }

  runCall<T>(call: OngoingCall, run: () => T): T {
    const outer = this.call
    this.call = call
    try {
      return run()
    } finally {
      this.call = outer
    }
  }

  runFrame<T>(frame: DispatchFrame, run: () => T): T {
    const outer = this.frame
    this.frame = frame
    try {
      return run()
    } finally {
      this.frame = outer
      frame.setReturned()
    }
  }

  /**
   * The frame of the `dispatch` that `dispatcher` has just entered; `undefined` if it was not called through
   * `dispatch`.
   */
  arriveAt(dispatcher: object): DispatchFrame | undefined {
    const isArriving = this.#entered === dispatcher
    this.#entered = undefined
    if (!isArriving || this.frame === undefined) return undefined
    if (this.call !== undefined) this.call.hasPassedOn = true
    return this.frame
  }
}
