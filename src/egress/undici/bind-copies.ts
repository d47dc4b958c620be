/** Binds the dispatchers of every copy of undici in the process, and learns the handlers that each copy makes. */

import { types } from 'node:util'
import type { Undo } from '../../base/patch-method.ts'
import { combineUndos } from '../../base/patch-method.ts'
import { reportProblem } from '../../telemetry/log-entries.ts'
import { createBindings } from './bindings.ts'
import type { GlobalDispatcher } from './copies.ts'
import { globalDispatchers, watchUndiciCopies } from './copies.ts'
import { Delays } from './delay.ts'
import type { DispatchWrapperOptions } from './dispatch.ts'
import { DispatchWrapper } from './dispatch.ts'
import { DispatchStack } from './frames.ts'
import type { HandlerClass, Handlers } from './handlers.ts'
import { createHandlers } from './handlers.ts'
import type { InterceptorOptions } from './interceptors.ts'
import { wrapCompose } from './interceptors.ts'
import { DispatcherPrototypes } from './prototypes.ts'
import { markSharedResponses } from './shared-responses.ts'

export interface BoundCopies {
  /** What is on the stack of the dispatchers that are bound. */
  readonly stack: DispatchStack
  undo(): void
}

export function bindCopies(beforeDispatch: DispatchWrapperOptions['beforeDispatch']): BoundCopies {
  const [handlers, stack, delays, patch] = [createHandlers(), new DispatchStack(), new Delays(), { isActive: true }]
  const [bindings, knownCopies] = [createBindings(handlers), new WeakSet<object>()]
  const wrapper: DispatchWrapper = new DispatchWrapper({
    bindings,
    stack,
    delays,
    patch,
    beforeDispatch,
    onNewDispatcher: (dispatcher) => prototypes.patchInstance(dispatcher),
    onUnseenRequest() {
      // The application may have made its dispatcher the global one since.
      globals.replace()
      warnOfUnseenRequests()
    },
  })
  const options: InterceptorOptions = { bindings, stack, patch, isKnownCopy: (prototype) => knownCopies.has(prototype) }
  const prototypes = new DispatcherPrototypes({
    wrapper,
    delays,
    wrapCompose: (previous, prototype) => wrapCompose(previous, prototype, options),
  })
  const globals = new GlobalDispatchers(wrapper)
  const warnOfUnseenRequests = createWarning()
  const stopWatching = learnCopies(handlers, prototypes, knownCopies)
  globals.replace()

  return {
    stack,
    undo() {
      patch.isActive = false
      stopWatching()
      globals.undo()
      prototypes.undo()
      handlers.undo()
    },
  }
}

function learnCopies(handlers: Handlers, prototypes: DispatcherPrototypes, knownCopies: WeakSet<object>): Undo {
  const undos = new Map<object, Undo>()
  const stopWatching = watchUndiciCopies({
    onDispatcher(prototype) {
      prototypes.patch(prototype)
      // `wrapHandler` of undici 8 makes handlers for the callers of older copies.
      if (Object.hasOwn(prototype.constructor, 'wrapHandler')) handlers.learnOwn(prototype.constructor as HandlerClass)
    },
    onHandler: (handlerClass) => handlers.learnOwn(handlerClass),
    onSharingHandler: (handlerClass) => handlers.learnSharing(handlerClass),
    onInterceptors(interceptors, prototype) {
      knownCopies.add(prototype)
      if (undos.has(interceptors)) return
      handlers.learnInterceptors(interceptors)
      undos.set(interceptors, markSharedResponses(interceptors))
    },
  })
  return () => combineUndos([...undos.values(), stopWatching])()
}

function createWarning(): () => void {
  let hasWarned = false
  return () => {
    if (hasWarned) return
    hasWarned = true
    reportProblem({
      message:
        'an undici dispatcher was composed before the relay was created: some of its requests leave without a token. ' +
        'Create the relay before you compose a dispatcher',
    })
  }
}

/** The proxies that stand in for global dispatchers, of every relay in this process. */
const standIns = new WeakSet<object>()

/**
 * A global dispatcher that was composed before the relay calls nothing of the relay's at first. A proxy takes its
 * place, which sees who calls it, and is the same but for that.
 */
class GlobalDispatchers {
  readonly #wrapper: DispatchWrapper
  readonly #undos: Undo[] = []

  constructor(wrapper: DispatchWrapper) {
    this.#wrapper = wrapper
  }

  /** Replaces those that are composed dispatchers, and are not replaced yet. */
  replace(): void {
    for (const each of globalDispatchers()) {
      if (types.isProxy(each.dispatcher) && !standIns.has(each.dispatcher)) this.#replaceOne(each)
    }
  }

  undo(): void {
    combineUndos(this.#undos.splice(0))()
  }

  #replaceOne({ owner, key, dispatcher }: GlobalDispatcher): void {
    const dispatch = (options: unknown, handler: unknown): unknown =>
      this.#wrapper.dispatchToComposed(dispatcher, options, handler)
    const standIn = new Proxy(dispatcher, {
      get: (target, name) => (name === 'dispatch' ? dispatch : Reflect.get(target, name)),
    })
    standIns.add(standIn)
    Reflect.set(owner, key, standIn)
    this.#undos.push(() => {
      if (Reflect.get(owner, key) === standIn) Reflect.set(owner, key, dispatcher)
    })
  }
}
