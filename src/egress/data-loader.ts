/** DataLoader 2: a batch that several callers have filled is not run as the first of them. */

import type { Context } from '@opentelemetry/api'
import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import { runAsAll } from '../context/callers.ts'
import { watchModules } from './loaded-modules.ts'

/** What is used of a loader, beside `load`; alike in all versions 2. */
interface Internals {
  /** The batch that the last load went to. */
  readonly _batch?: { readonly keys?: unknown }
  _batchLoadFn?: unknown
}
type Load = (this: Internals, key: unknown) => unknown
type Batch = (this: unknown, keys: unknown) => unknown

const FILES = /(?:^|[\\/])dataloader(?:[\\/]index(?:\.js)?)?$/

/** Wraps `load` of every copy, so that batches run as {@link runAsAll} says. Returns how to undo it. */
export function guardDataLoaders(): () => void {
  const restores = new Map<object, () => void>()
  const stopWatching = watchModules(FILES, (exported) => {
    const prototype = prototypeOf(exported)
    if (prototype !== undefined && !restores.has(prototype)) restores.set(prototype, wrap(prototype))
  })
  return () => {
    stopWatching()
    for (const restore of restores.values()) restore()
  }
}

function prototypeOf(exported: unknown): { load: Load } | undefined {
  const prototype =
    typeof exported === 'function' ? (exported.prototype as Record<string, unknown> | undefined) : undefined
  const isLoader = ['load', 'loadMany', 'prime', 'clear'].every((name) => typeof prototype?.[name] === 'function')
  return isLoader ? (prototype as unknown as { load: Load }) : undefined
}

function wrap(prototype: { load: Load }): () => void {
  const previous = prototype.load
  /** The contexts in which the keys of a batch were loaded, in their order. */
  const loaded = new WeakMap<object, Context[]>()
  const guarded = new WeakSet<object>()
  let active = true

  function guardBatch(loader: Internals): void {
    if (guarded.has(loader)) return
    guarded.add(loader)
    const batch = loader._batchLoadFn
    if (typeof batch !== 'function') return
    const guardedBatch: Batch = function (keys) {
      const contexts = typeof keys === 'object' && keys !== null ? loaded.get(keys) : undefined
      const run = (): unknown => Reflect.apply(batch, this, [keys]) as unknown
      return contexts === undefined || !active ? run() : runAsAll(contexts, run)
    }
    loader._batchLoadFn = guardedBatch
  }

  /** A load that is answered from the cache adds no key, and its caller has no part in the batch. */
  function record(keys: unknown): void {
    if (!Array.isArray(keys)) return
    const contexts = loaded.get(keys) ?? []
    loaded.set(keys, contexts)
    // Loaded before anybody looked: not by this caller.
    while (contexts.length < keys.length - 1) contexts.push(ROOT_CONTEXT)
    if (contexts.length < keys.length) contexts.push(context.active())
  }

  const load: Load = function (key) {
    if (active) guardBatch(this)
    const result = previous.call(this, key)
    if (active) record(this._batch?.keys)
    return result
  }
  prototype.load = load
  return () => {
    active = false
    if (prototype.load === load) prototype.load = previous
  }
}
