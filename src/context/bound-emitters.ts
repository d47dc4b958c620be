/** Knows which context OpenTelemetry's context manager has bound each emitter to: the emitter does not say so. */

import { EventEmitter } from 'node:events'
import type { Context, ContextManager } from '@opentelemetry/api'
import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import { ignoreErrors } from '../base/ignore-errors.ts'
import { symbolOf } from '../base/own-property.ts'
import { patchMethod } from '../base/patch-method.ts'
import { registeredContextManager } from './context-manager.ts'

/** Where a context manager keeps what it has bound of an emitter. There a note costs Node's own objects nothing. */
interface PatchMap {
  [BOUND_TO]?: Context
  /** The method that binds. While the emitter has another one, it need not be bound any more. */
  [BOUND_BY]?: unknown
}

const BOUND_TO = Symbol('otel-token-relay bound to')
const BOUND_BY = Symbol('otel-token-relay bound by')

let watched: ContextManager | undefined
/** By this name {@link watched} keeps the map of an emitter that it has bound, and binds none that has one. */
let mark: symbol | undefined

/** From now on {@link boundContextOf} knows what the registered context manager binds. */
function watchBindings(): void {
  const manager = registeredContextManager()
  if (manager === undefined || manager === watched) return
  watched = manager
  mark = undefined
  // Of a manager that cannot be watched nothing is known, and each emitter is bound anew.
  ignoreErrors(() => watch(manager))
}

function watch(manager: ContextManager): void {
  const found = markOf(manager.bind(ROOT_CONTEXT, new EventEmitter()))
  if (found === undefined) return
  patchMethod<ContextManager['bind']>(manager, 'bind', (previous) => {
    return function (this: ContextManager, ctx, target) {
      if (typeof target === 'function' || !(target instanceof EventEmitter)) return previous.call(this, ctx, target)
      const isBound = mapOf(target, found) !== undefined
      const bound = previous.call(this, ctx, target)
      const map = isBound ? undefined : mapOf(target, found)
      if (map !== undefined) {
        map[BOUND_TO] = ctx
        map[BOUND_BY] = target.on
      }
      return bound
    } as ContextManager['bind']
  })
  mark = found
}

function mapOf(emitter: EventEmitter, name: symbol): PatchMap | undefined {
  return (emitter as unknown as Readonly<Record<symbol, PatchMap | undefined>>)[name]
}

/** The context that all listeners of `emitter` run in; `undefined` if it is not bound, or if that was not seen. */
export function boundContextOf(emitter: EventEmitter): Context | undefined {
  const map = mark === undefined ? undefined : mapOf(emitter, mark)
  return map !== undefined && map[BOUND_BY] === emitter.on ? map[BOUND_TO] : undefined
}

/** Binds all listeners of `emitter` to `ctx`, from now on, wherever they are added, and whatever it was bound to. */
export function bindAnew(ctx: Context, emitter: EventEmitter): void {
  watchBindings()
  // Node resets `on` of an upgraded socket at its first call (`socketListenerWrap`), which would undo the binding.
  const ignore = (): void => undefined
  emitter.on('removeListener', ignore)
  emitter.off('removeListener', ignore)
  const bound = markOf(emitter)
  // Not deleted: V8 makes a dictionary of an object that loses a property, and Node reads this one many times.
  if (bound !== undefined) Reflect.set(emitter, bound, undefined)
  context.bind(ctx, emitter)
}

/** Whether a context manager has bound `emitter`. */
export function isBound(emitter: EventEmitter): boolean {
  const bound = markOf(emitter)
  return bound !== undefined && Reflect.get(emitter, bound) !== undefined
}

/** Of whichever context manager: there may be several copies of OpenTelemetry. */
function markOf(emitter: EventEmitter): symbol | undefined {
  return symbolOf(emitter, 'OtListeners')
}
