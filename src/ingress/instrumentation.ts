/** The ingress gate in the shape of an OpenTelemetry instrumentation, so that an SDK switches it on with the others. */

import { createRequire, syncBuiltinESMExports } from 'node:module'
import type { Interceptor } from './server-events.ts'
import { interceptServers } from './server-events.ts'

/**
 * What `NodeSDK({ instrumentations: […] })` and `registerInstrumentations` ask of an instrumentation. Structurally
 * `Instrumentation` of `@opentelemetry/instrumentation`, without depending on a version of it.
 */
export interface RelayInstrumentation {
  readonly instrumentationName: string
  readonly instrumentationVersion: string
  /** Puts the gate in front of every HTTP server of the process, those that exist included. */
  enable(): void
  /** Takes the gate away again. Servers are then unprotected. */
  disable(): void
  setTracerProvider(provider: unknown): void
  setMeterProvider(provider: unknown): void
  setConfig(config: { enabled?: boolean }): void
  getConfig(): { enabled?: boolean }
}

export function createInstrumentation(gate: Interceptor, version: string): RelayInstrumentation {
  let undo: (() => void) | undefined

  return {
    instrumentationName: 'otel-token-relay',
    instrumentationVersion: version,
    enable() {
      if (undo !== undefined) return
      undo = interceptServers(gate)
      // Later, so that instrumentations which the program itself makes are in place: a module is patched when it is
      // first required, and those that come after that are not asked.
      setImmediate(loadHttpForInstrumentations)
    },
    disable() {
      undo?.()
      undo = undefined
    },
    // The gate writes on the spans that are there; it starts none and measures nothing by itself.
    setTracerProvider: () => undefined,
    setMeterProvider: () => undefined,
    setConfig: () => undefined,
    getConfig: () => ({ enabled: undo !== undefined }),
  }
}

/**
 * OpenTelemetry's instrumentation of `node:http` waits for a `require`, which an ES-module program never makes; without
 * a loader hook its requests would have no span to record events on. One `require` of ours is enough for all modules.
 */
export function loadHttpForInstrumentations(): void {
  const require = createRequire(import.meta.url)
  require('node:http')
  require('node:https')
  syncBuiltinESMExports()
}
