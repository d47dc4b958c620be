/** For the detector: remembers where in the application contexts were kept, and calls were made. Off unless asked for. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { isAbsolute } from 'node:path'
import { fileURLToPath } from 'node:url'
import { getCallSites } from 'node:util'
import type { Context } from '@opentelemetry/api'
import { context, createContextKey } from '@opentelemetry/api'

const KEPT = createContextKey('otel-token-relay kept at')
const CALLED = createContextKey('otel-token-relay called at')

interface Kept {
  readonly place: string
  /** Whom the context was of: it says nothing about the contexts of others that are made of it. */
  readonly owner: object | undefined
}

/** Where `fetch` was called that has no dispatch yet. Not in the context, which is lost while no context manager is there. */
const fetching = new AsyncLocalStorage<string | undefined>()

let recorders = 0

/** A copy of `ctx`, which is of `owner`, that knows where the application keeps it. */
export function withKeptPlace(ctx: Context, owner: object | undefined): Context {
  const place = recorders === 0 ? undefined : currentPlace()
  return place === undefined ? ctx : ctx.setValue(KEPT, { place, owner } satisfies Kept)
}

/** Where `ctx`, which is of `owner` now, was kept; `undefined` where nobody has recorded that. */
export function keptPlaceOf(ctx: Context, owner: object | undefined): string | undefined {
  const kept = ctx.getValue(KEPT) as Kept | undefined
  return kept !== undefined && kept.owner === owner ? kept.place : undefined
}

/** A copy of `ctx` that knows where the application makes a call, for clients that go on without it on the stack. */
export function withCallPlace(ctx: Context): Context {
  const place = recorders === 0 ? undefined : (currentPlace() ?? fetching.getStore())
  return place === undefined ? ctx : ctx.setValue(CALLED, place)
}

/** The same, unless `ctx` knows that. */
export function withFirstCallPlace(ctx: Context): Context {
  return recorders === 0 || ctx.getValue(CALLED) !== undefined ? ctx : withCallPlace(ctx)
}

/** Where the call that `ctx` is of was made. */
export function callPlaceOf(ctx: Context): string | undefined {
  return (ctx.getValue(CALLED) as string | undefined) ?? currentPlace()
}

/** Our own files, wherever the package lies. */
const OWN = fileURLToPath(new URL('..', import.meta.url))
const MODULES = /[\\/]node_modules[\\/]/
const MAX_FRAMES = 50
const MAX_PLACES = 3

/** The innermost frames of the application: where they are, and nothing of what they hold. */
function currentPlace(): string | undefined {
  const places = getCallSites(MAX_FRAMES).flatMap(({ scriptName, lineNumber, columnNumber }) => {
    const file = fileOf(scriptName)
    return file === undefined || file.startsWith(OWN) || MODULES.test(file)
      ? []
      : [`${file}:${lineNumber}:${columnNumber}`]
  })
  return places.length === 0 ? undefined : places.slice(0, MAX_PLACES).join(' < ')
}

/** Without the query that a module may be loaded with. Code that was evaluated, or is part of a `data:` URL, is no file. */
function fileOf(scriptName: string): string | undefined {
  if (isAbsolute(scriptName)) return scriptName
  return scriptName.startsWith('file:') ? fileURLToPath(scriptName) : undefined
}

type Run = () => unknown
type OwnerOf = (ctx: Context) => object | undefined

/** Records from now on, `fetch` and timers of the global object included. Returns how to stop. */
export function recordPlaces(ownerOf: OwnerOf): () => void {
  recorders += 1
  const keep = (run: Run): unknown => {
    const active = context.active()
    return context.with(withKeptPlace(active, ownerOf(active)), run)
  }
  const undo = [
    replaceGlobal('fetch', (run) => fetching.run(currentPlace(), run)),
    replaceGlobal('setTimeout', keep),
    replaceGlobal('setInterval', keep),
    replaceGlobal('setImmediate', keep),
  ]
  return () => {
    recorders -= 1
    for (const each of undo) each()
  }
}

function replaceGlobal(
  name: 'fetch' | `set${'Timeout' | 'Interval' | 'Immediate'}`,
  around: (run: Run) => unknown,
): Run {
  const globals = globalThis as unknown as Record<typeof name, (...args: unknown[]) => unknown>
  const previous = globals[name]
  const replaced = (...args: unknown[]): unknown => {
    const run = (): unknown => previous(...args)
    // Somebody may have kept it.
    return recorders === 0 ? run() : around(run)
  }
  // What `util.promisify` finds there, for one.
  Object.defineProperties(replaced, Object.getOwnPropertyDescriptors(previous))
  globals[name] = replaced
  return () => {
    if (globals[name] === replaced) globals[name] = previous
  }
}
