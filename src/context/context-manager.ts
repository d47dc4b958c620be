/** Makes sure that contexts survive `await`, where no OpenTelemetry SDK has seen to it. */

import { context, createContextKey, ROOT_CONTEXT } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'

const PROBE = createContextKey('otel-token-relay probe')
let ensured = false

/**
 * Registers OpenTelemetry's context manager if nobody has. Called as late as possible (the first request, the first
 * `runWithToken`), because the first registration wins and an SDK that comes later would be refused.
 */
export function ensureContextManager(): void {
  if (ensured) return
  ensured = true
  if (!works()) context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
}

function works(): boolean {
  return context.with(ROOT_CONTEXT.setValue(PROBE, true), () => context.active().getValue(PROBE) === true)
}
