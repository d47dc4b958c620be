/** DataLoader 2: a batch that several callers have filled does not run as the first of them. */

import type { Context } from '@opentelemetry/api'
import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import { watchModules } from '../../base/module-watcher.ts'
import type { Patch, Undo } from '../../base/patch-method.ts'
import { combineUndos, patchMethod } from '../../base/patch-method.ts'
import { runAsAll } from '../per-caller.ts'

/** What the relay uses of a loader, beside `load`; alike in all versions 2. */
interface Internals {
  /** The batch that the last load went to. */
  readonly _batch?: { readonly keys?: unknown }
}
type Load = (this: Internals, key: unknown) => unknown
type Batch = (this: unknown, keys: unknown) => unknown

const FILES = /(?:^|[\\/])dataloader(?:[\\/]index(?:\.js)?)?$/

/** Wraps `load` of every copy, so that each batch runs as {@link runAsAll} says. Returns how to undo it. */
export function separateDataLoaders(): () => void {
  const undos = new Map<object, Undo>()
  const stopWatching = watchModules(FILES, (exported) => {
    const prototype = prototypeOf(exported)
    if (prototype !== undefined && !undos.has(prototype)) undos.set(prototype, patchLoad(prototype))
  })
  return () => {
    stopWatching()
    combineUndos([...undos.values()])()
  }
}

function prototypeOf(exported: unknown): object | undefined {
  const prototype =
    typeof exported === 'function' ? (exported.prototype as Record<string, unknown> | undefined) : undefined
  const isLoader = ['load', 'loadMany', 'prime', 'clear'].every((name) => typeof prototype?.[name] === 'function')
  return isLoader ? prototype : undefined
}

function patchLoad(prototype: object): Undo {
  return patchMethod<Load>(prototype, 'load', (previous, patch) => {
    const guarded = new WeakSet<object>()
    return function (key) {
      if (patch.isActive && !guarded.has(this)) {
        guarded.add(this)
        guardBatch(this, patch)
      }
      const result = previous.call(this, key)
      if (patch.isActive) rememberLoad(this._batch?.keys)
      return result
    }
  })
}

function guardBatch(loader: Internals, patch: Patch): void {
  patchMethod<Batch>(
    loader,
    '_batchLoadFn',
    (previous) =>
      function (keys) {
        const contexts = typeof keys === 'object' && keys !== null ? loadContexts.get(keys) : undefined
        const run = (): unknown => previous.call(this, keys)
        return contexts === undefined || !patch.isActive ? run() : runAsAll(contexts, run)
      },
  )
}

/** The contexts in which the keys of a batch were loaded, in the order of the keys. */
const loadContexts = new WeakMap<object, Context[]>()

/** A load that the cache answers adds no key, so its caller has no part in the batch. */
function rememberLoad(keys: unknown): void {
  if (!Array.isArray(keys)) return
  const contexts = loadContexts.get(keys) ?? []
  loadContexts.set(keys, contexts)
  // Keys that were loaded before the relay watched are not this caller's.
  while (contexts.length < keys.length - 1) contexts.push(ROOT_CONTEXT)
  if (contexts.length < keys.length) contexts.push(context.active())
}
