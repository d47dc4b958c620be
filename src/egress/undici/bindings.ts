/** The caller of each undici handler: bound when first seen, and the same through queues, redirects and retries. */

import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { createObjectMetadata } from '../../base/object-metadata.ts'
import { isObject } from '../../base/own-property.ts'
import { withCallSite } from '../../context/call-sites.ts'
import { callerOf, deleteCredential } from '../../context/credential-context.ts'
import type { Binding, OngoingCall } from './frames.ts'
import type { Handlers } from './handlers.ts'
import { contextOfCall, isCallHandler } from './handlers.ts'
import { isShared, isUnsafe, markShared } from './shared-responses.ts'

export interface Bindings {
  bindingOf(handler: object): Binding | undefined
  /** Says that `handler` does the same work as `binding`. */
  assign(handler: object, binding: Binding): void
  /**
   * Binds a handler that a dispatcher is called with. `call` is the call on the stack that it comes out of, if there is
   * one; `isSeen` is whether the relay has seen all that lies between the caller and the dispatcher.
   */
  bindAtDispatcher(handler: object, options: unknown, call: OngoingCall | undefined, isSeen: boolean): Binding
  /** Binds a handler that an interceptor passes on. `call` is the call of it that is on the stack, if there is one. */
  bindFromInterceptor(handler: object, options: unknown, call: OngoingCall | undefined, isKnownCopy: boolean): Binding
}

export function createBindings(handlers: Handlers): Bindings {
  return new HandlerBindings(handlers)
}

class HandlerBindings implements Bindings {
  readonly #handlers: Handlers
  readonly #byHandler = createObjectMetadata<Binding>()
  readonly #byOptions = createObjectMetadata<Binding>()

  constructor(handlers: Handlers) {
    this.#handlers = handlers
  }

  bindingOf(handler: object): Binding | undefined {
    return this.#byHandler.get(handler)
  }

  assign(handler: object, binding: Binding): Binding {
    this.#byHandler.set(handler, binding)
    return binding
  }

  bindAtDispatcher(handler: object, options: unknown, call: OngoingCall | undefined, isSeen: boolean): Binding {
    const binding =
      this.#findUsable(handler, options, call) ??
      this.#findAround(handler) ??
      this.#bindNew(handler, options, call, isSeen)
    if (call !== undefined && binding === call.binding) call.hasPassedOn = true
    this.#rememberOptions(options, binding)
    return binding
  }

  bindFromInterceptor(handler: object, options: unknown, call: OngoingCall | undefined, isKnownCopy: boolean): Binding {
    const known = this.#findUsable(handler, options, call) ?? this.#findAround(handler)
    if (call !== undefined && known === call.binding) call.hasPassedOn = true
    if (known !== undefined) return this.assign(handler, known)
    if (call !== undefined && mayCopy(options, call.options))
      return this.#bindWithin(handler, options, call, isKnownCopy)
    // From a queue of the interceptor, in the context of the caller whose request has made room.
    const owner = this.#ownerOf(options)
    return owner === undefined
      ? this.assign(handler, ambiguousBinding())
      : this.#bindCopy(handler, options, owner, isKnownCopy)
  }

  /** The binding of a handler that was seen before, unless the application uses it again for another caller. */
  #findUsable(handler: object, options: unknown, call: OngoingCall | undefined): Binding | undefined {
    const binding = this.#byHandler.get(handler)
    // Within a dispatch that is on the stack, as a pool calls a client.
    if (binding === undefined || binding === call?.binding) return binding
    return this.#isReusedByApplication(handler, options, call, binding)
      ? this.assign(handler, ambiguousBinding())
      : binding
  }

  /**
   * Whether a handler of the application may come from another caller than the one it is bound to. It does not in a
   * call of that caller, nor outside of a call with the options that it came with.
   */
  #isReusedByApplication(
    handler: object,
    options: unknown,
    call: OngoingCall | undefined,
    { caller, doubt }: Binding,
  ): boolean {
    if (doubt !== undefined || isShared(caller) || this.#answersOneCall(handler)) return false
    const owner = call?.binding ?? this.#ownerOf(options)
    const isSame = owner !== undefined && callerOf(owner.caller) === callerOf(caller)
    // Options that several callers use do not say which of them it is.
    const isOpen = call === undefined && owner?.doubt === 'ambiguous'
    return !isSame && !isOpen
  }

  /** Finds the binding of the handler inside `handler`, through known handlers. */
  #findAround(handler: object): Binding | undefined {
    for (const each of this.#chainOf(handler)) {
      const binding = this.#byHandler.get(each) ?? this.#bindCall(each)
      if (binding !== undefined) return this.assign(handler, binding)
    }
    return undefined
  }

  /**
   * Binds a handler of undici's own API to the context of the API call. The handler of `fetch` does not hold that
   * context.
   */
  #bindCall(handler: object): Binding | undefined {
    const caller = isCallHandler(handler) ? contextOfCall(handler) : undefined
    return caller === undefined ? undefined : this.#bind(handler, withCallSite(caller), undefined)
  }

  #bindNew(handler: object, options: unknown, call: OngoingCall | undefined, isSeen: boolean): Binding {
    const inner = this.#handlers.unwrapAdapter(handler)
    if (isSeen && isCallHandler(inner))
      return this.assign(handler, this.#bind(inner, withCallSite(context.active()), undefined))
    // By a dispatcher class of the application: the handlers that it makes may share a response.
    return call !== undefined && mayCopy(options, call.options)
      ? this.#bindWithin(handler, options, call, false)
      : this.#bindUnknown(handler, options)
  }

  /**
   * Binds a handler around that of the call on the stack. A callee that queued an earlier call may send that one now.
   * Only options that no other call uses exclude this.
   */
  #bindWithin(handler: object, options: unknown, call: OngoingCall, isKnownCopy: boolean): Binding {
    const owner = this.#ownerOf(options)
    const isOwn = owner !== undefined && callerOf(owner.caller) === callerOf(call.binding.caller)
    const isForeign = owner !== undefined && !isOwn && options !== call.options
    if (isForeign || (call.mayQueue && !isOwn)) return this.assign(handler, ambiguousBinding())
    call.hasPassedOn = true
    return this.#bindCopy(handler, options, call.binding, isKnownCopy)
  }

  /** Binds a handler around that of `binding`. Unless undici has made it, it may share the response. */
  #bindCopy(handler: object, options: unknown, { caller, doubt }: Binding, isKnownCopy: boolean): Binding {
    const mayShare = !isKnownCopy || this.#chainOf(handler).some((each) => this.#handlers.shares(each))
    return this.#bind(handler, mayShare && !isUnsafe(options) ? markShared(caller) : caller, doubt)
  }

  /**
   * Binds a handler of the application, or of an interceptor that was composed before the relay. It may give the
   * response to another caller, and may have waited in a queue. If undici has made it for `fetch`, it does not share
   * the response.
   */
  #bindUnknown(handler: object, options: unknown): Binding {
    const caller = withCallSite(context.active())
    const isUnshared = isUnsafe(options) || this.#answersOneCall(handler)
    return isUnshared
      ? this.#bind(handler, caller, 'unbound_dispatcher')
      : this.#bind(handler, markShared(caller), undefined)
  }

  #bind(handler: object, caller: Context, doubt: Binding['doubt']): Binding {
    return this.assign(handler, { caller, doubt, isProxied: false })
  }

  #ownerOf(options: unknown): Binding | undefined {
    return isObject(options) ? this.#byOptions.get(options) : undefined
  }

  #rememberOptions(options: unknown, binding: Binding): void {
    if (!isObject(options)) return
    const known = this.#byOptions.get(options)
    if (known === binding) return
    const isReused = known !== undefined && callerOf(known.caller) !== callerOf(binding.caller)
    this.#byOptions.set(options, isReused ? ambiguousBinding() : binding)
  }

  /** Whether undici has made `handler`, or a handler inside it, for one call of its API or of `fetch`. */
  #answersOneCall(handler: object): boolean {
    return this.#chainOf(handler).some(isCallHandler)
  }

  /** `handler`, the handler inside it, and so on, as far as they are known. */
  #chainOf(handler: object): object[] {
    const chain = [handler]
    for (let each = this.#handlers.innerOf(handler); each !== undefined && chain.length < MAX_DEPTH; ) {
      chain.push(each)
      each = this.#handlers.innerOf(each)
    }
    return chain
  }
}

const MAX_DEPTH = 32

function ambiguousBinding(): Binding {
  return { caller: deleteCredential(context.active()), doubt: 'ambiguous', isProxied: false }
}

/** Whether `options` are `given`, or may be a copy of them. */
function mayCopy(options: unknown, given: unknown): boolean {
  if (options === given) return true
  if (!isObject(options) || !isObject(given)) return false
  return ['path', 'method'].every((name) => Reflect.get(options, name) === Reflect.get(given, name))
}
