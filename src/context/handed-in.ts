/** Sees results that one caller gets from the context of another, for warnings of mixed callers. Off by default. */

import type { CallSiteObject } from 'node:util'
import { getCallSites } from '../base/newer-functions.ts'
import { applicationFrames, formatCallSites } from './call-sites.ts'

/** A promise that code of the application has made for a caller, to be fulfilled later. */
export interface HandedIn {
  /** The caller that it was made for. */
  readonly owner: object
  /** Where it was made. */
  readonly place: string
  /** How many were made before. */
  readonly number: number
}

export interface HandOverObserver {
  /** The caller of now; `undefined` if there is none. */
  readonly ownerOf: () => object | undefined
  /** `handedIn` is being fulfilled in the context of another caller, by the code that has made it. */
  readonly onForeign: (handedIn: HandedIn) => void
}

let made = 0
/** How many promises have been made so far: what was made later has a higher number. */
export function handedInSoFar(): number {
  return made
}

type Resolve = (value: unknown) => void
type Executor = (resolve: Resolve, reject: Resolve) => void

/**
 * A home-made queue gives each caller a promise, and fulfils it when the task of that caller is done. If it does so in
 * the context of another caller, the task has run as that one, which AsyncLocalStorage cannot know. Watches `new
 * Promise` of the application's own code. A waiter of a mutex or a pool is fulfilled by another caller, too, but by
 * that caller's call of `release`, with nothing, or with what others have had before: that is none. Returns how to
 * stop.
 */
export function watchHandOvers({ ownerOf, onForeign }: HandOverObserver): () => void {
  const Original = globalThis.Promise
  const given = new WeakSet<object>()

  const isNew = (value: unknown): boolean => {
    if (typeof value !== 'object' || value === null) return value !== undefined
    const seen = given.has(value)
    given.add(value)
    return !seen
  }
  const watched = (executor: Executor, owner: object): Executor => {
    const frames = applicationFrames(getCallSites(50))
    if (frames === undefined || frames.length < 2) return executor
    made += 1
    const handedIn = { owner, place: formatCallSites(frames), number: made }
    const callers = new Set(frames.slice(1).map(functionOf))
    return (resolve, reject) => {
      const settle: Resolve = (value) => {
        const current = ownerOf()
        if (isNew(value) && current !== undefined && current !== owner && !isCalledBy(callers)) onForeign(handedIn)
        resolve(value)
      }
      executor(settle, reject)
    }
  }
  const Watching: PromiseConstructor = new Proxy(Original, {
    construct(target, [executor, ...rest]: unknown[], newTarget): object {
      const owner = typeof executor === 'function' ? ownerOf() : undefined
      const run = owner === undefined ? executor : watched(executor as Executor, owner)
      return Reflect.construct(target, [run, ...rest], newTarget === Watching ? target : newTarget) as object
    },
  })
  globalThis.Promise = Watching
  return () => {
    if (globalThis.Promise === Watching) globalThis.Promise = Original
  }
}

/** Whether a function that asked for such a promise is on the stack: then it fulfils one itself, as `release` does. */
function isCalledBy(callers: ReadonlySet<string>): boolean {
  return applicationFrames(getCallSites(50))?.some((frame) => callers.has(functionOf(frame))) === true
}

function functionOf({ scriptName, functionName }: CallSiteObject): string {
  return `${scriptName} ${functionName}`
}
