/** Remembers where the application has bound contexts and made calls, for warnings of lost callers. Off by default. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { isAbsolute } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CallSiteObject } from 'node:util'
import type { Context } from '@opentelemetry/api'
import { context, createContextKey } from '@opentelemetry/api'
import { getCallSites } from '../base/newer-functions.ts'
import { patchMethod } from '../base/patch-method.ts'

const BOUND = createContextKey('otel-token-relay kept at')
const CALLED = createContextKey('otel-token-relay called at')

interface BindSite {
  readonly site: string
  /** The caller of the context: contexts of other callers may be made of it, and this says nothing about them. */
  readonly owner: object | undefined
}

/** Where `fetch` was called that is not dispatched yet. Not in the context, which is lost without a context manager. */
const fetching = new AsyncLocalStorage<string | undefined>()

let recorders = 0

/** A copy of `ctx`, which is of `owner`, that knows where the application binds it. */
export function withBindSite(ctx: Context, owner: object | undefined): Context {
  const site = recorders === 0 ? undefined : currentCallSite()
  return site === undefined ? ctx : ctx.setValue(BOUND, { site, owner } satisfies BindSite)
}

/** Where `ctx`, which is of `owner` now, was bound; `undefined` if that was not recorded. */
export function bindSiteOf(ctx: Context, owner: object | undefined): string | undefined {
  const bound = ctx.getValue(BOUND) as BindSite | undefined
  return bound !== undefined && bound.owner === owner ? bound.site : undefined
}

/** A copy of `ctx` that knows where the application makes a call, for clients that go on without it on the stack. */
export function withCallSite(ctx: Context): Context {
  const site = recorders === 0 ? undefined : (currentCallSite() ?? fetching.getStore())
  return site === undefined ? ctx : ctx.setValue(CALLED, site)
}

/** The same, unless `ctx` knows that. */
export function withFirstCallSite(ctx: Context): Context {
  return recorders === 0 || ctx.getValue(CALLED) !== undefined ? ctx : withCallSite(ctx)
}

/** Where the call that `ctx` is of was made. */
export function callSiteOf(ctx: Context): string | undefined {
  return (ctx.getValue(CALLED) as string | undefined) ?? currentCallSite()
}

/** The folder of this package; `undefined` in a bundle in CommonJS, which does not know. */
const url = import.meta.url as string | undefined
const OWN = url === undefined ? undefined : fileURLToPath(new URL('..', url))
const MODULES = /[\\/]node_modules[\\/]/
const MAX_FRAMES = 50
const MAX_SITES = 3

/** The innermost frames of the application: where they are, and nothing of what they hold. */
function currentCallSite(): string | undefined {
  const frames = getCallSites(MAX_FRAMES).filter(isOfApplication)
  return frames.length === 0 ? undefined : formatCallSites(frames)
}

/** The frames of the application among `sites`; `undefined` if it is a package that is calling. */
export function applicationFrames(sites: readonly CallSiteObject[]): readonly CallSiteObject[] | undefined {
  const calling = sites.map(({ scriptName }) => fileOf(scriptName)).find((file) => file !== undefined && !isOwn(file))
  return calling !== undefined && MODULES.test(calling) ? undefined : sites.filter(isOfApplication)
}

export function formatCallSites(frames: readonly CallSiteObject[]): string {
  return frames
    .slice(0, MAX_SITES)
    .map(({ scriptName, lineNumber, columnNumber }) => `${fileOf(scriptName)}:${lineNumber}:${columnNumber}`)
    .join(' < ')
}

function isOfApplication({ scriptName }: CallSiteObject): boolean {
  const file = fileOf(scriptName)
  return file !== undefined && !isOwn(file) && !MODULES.test(file)
}

function isOwn(file: string): boolean {
  return OWN !== undefined && file.startsWith(OWN)
}

/**
 * Without the query that a module may be loaded with. Code that was evaluated, or is part of a `data:` URL, is no file.
 */
function fileOf(scriptName: string): string | undefined {
  if (isAbsolute(scriptName)) return scriptName
  return scriptName.startsWith('file:') ? fileURLToPath(scriptName) : undefined
}

type Run = () => unknown
type OwnerOf = (ctx: Context) => object | undefined

/** Records from now on, `fetch` and timers of the global object included. Returns how to stop. */
export function recordCallSites(ownerOf: OwnerOf): () => void {
  recorders += 1
  const keep = (run: Run): unknown => {
    const active = context.active()
    return context.with(withBindSite(active, ownerOf(active)), run)
  }
  const undo = [
    replaceGlobal('fetch', (run) => fetching.run(currentCallSite(), run)),
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
  return patchMethod<(...args: unknown[]) => unknown>(globalThis, name, (previous) => (...args) => {
    const run = (): unknown => previous(...args)
    return recorders === 0 ? run() : around(run)
  })
}
