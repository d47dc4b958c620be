/** Makes contexts survive `await` if no OpenTelemetry SDK does. */

import process from 'node:process'
import type { ContextManager } from '@opentelemetry/api'
import { context, createContextKey, diag, ROOT_CONTEXT } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'

const PROBE = createContextKey('otel-token-relay probe')
let ensured = false

/**
 * Registers OpenTelemetry's context manager if there is none. Called as late as possible (the first request, the first
 * `runWithToken`), because the first registration wins and an SDK that comes later would be refused.
 */
export function ensureContextManager(): void {
  if (ensured) return
  ensured = true
  const own = new AsyncLocalStorageContextManager().enable()
  if (isWorking(context) || (context.setGlobalContextManager(own) && isWorking(context))) return
  shareContexts(own)
  if (isWorking(context)) return
  const problem = 'otel-token-relay: contexts do not survive `await`, so that every caller is lost'
  diag.error(problem)
  // With another version of the API in the process the logger may be out of reach, too.
  process.emitWarning(problem)
}

/** Where all copies of @opentelemetry/api 1.x keep what was registered. */
const API = Symbol.for('opentelemetry.js.api.1')

/** The context manager that is registered, by whichever copy of the API. */
export function registeredContextManager(): ContextManager | undefined {
  return (Reflect.get(globalThis, API) as { readonly context?: ContextManager } | undefined)?.context
}

/**
 * An older copy of @opentelemetry/api has registered first. Our copy neither sees that nor may register beside it, and
 * every caller would be lost. Contexts are the same in all copies, though: so our copy uses the context manager that is
 * registered there, or `own` while there is none.
 */
function shareContexts(own: ContextManager): void {
  let known: { readonly registered: unknown; readonly manager: ContextManager } | undefined
  const managerOf = (): ContextManager => {
    const registered = registeredContextManager()
    if (known === undefined || known.registered !== registered) {
      known = { registered, manager: registered !== undefined && isWorking(registered) ? registered : own }
    }
    return known.manager
  }
  Object.defineProperty(context, '_getContextManager', { value: managerOf, configurable: true, writable: true })
}

function isWorking(manager: Pick<ContextManager, 'active' | 'with'>): boolean {
  try {
    return manager.with(ROOT_CONTEXT.setValue(PROBE, true), () => manager.active().getValue(PROBE) === true)
  } catch {
    return false
  }
}
