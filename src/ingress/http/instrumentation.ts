/** The relay's part in an OpenTelemetry SDK: the shape of an instrumentation, by which the gate joins the traces. */

import { createRequire, syncBuiltinESMExports } from 'node:module'
import { diag } from '@opentelemetry/api'
import { packageUrl } from '../../base/package-url.ts'

/**
 * What `NodeSDK({ instrumentations: […] })` and `registerInstrumentations` ask of an instrumentation. Structurally
 * `Instrumentation` of `@opentelemetry/instrumentation`, without depending on a version of it.
 *
 * The gate does not depend on it: it stands as soon as `relay.instrumentation` has been read, whatever an SDK does
 * then.
 */
export interface RelayInstrumentation {
  readonly instrumentationName: string
  readonly instrumentationVersion: string
  /** Lets the gate find the spans of requests, also in ES modules. The gate itself stands already. */
  enable(): void
  /**
   * Changes nothing: an SDK that unloads its instrumentations, or is configured to disable them, must not let requests
   * pass unverified. To open the servers, shut the relay down and create one with `ingress.mode: 'off'`.
   */
  disable(): void
  setTracerProvider(provider: unknown): void
  setMeterProvider(provider: unknown): void
  setConfig(config: { enabled?: boolean }): void
  /** `enabled` says whether the gate stands and this relay keeps it. */
  getConfig(): { enabled?: boolean }
}

export function createInstrumentation(keepsGate: () => boolean, version: string): RelayInstrumentation {
  return {
    instrumentationName: 'otel-token-relay',
    instrumentationVersion: version,
    enable: joinTraces,
    disable: () =>
      diag.info('otel-token-relay: the gate stands on: only another relay, with ingress.mode off, opens it'),
    // The gate writes on the spans that are there; it starts none and measures nothing by itself.
    setTracerProvider: joinTraces,
    setMeterProvider: () => undefined,
    setConfig: () => undefined,
    getConfig: () => ({ enabled: keepsGate() }),
  }
}

/**
 * Lets the instrumentations that the program itself makes patch `node:http`. Later, so that they are in place: a module
 * is patched when it is first required, and those that come after that are not asked.
 */
export function joinTraces(): void {
  setImmediate(loadHttpForInstrumentations)
}

/**
 * OpenTelemetry's instrumentation of `node:http` waits for a `require`, which an ES-module program never makes; without
 * a loader hook its requests would have no span to record events on. One `require` of ours is enough for all modules.
 */
function loadHttpForInstrumentations(): void {
  const require = createRequire(packageUrl)
  require('node:http')
  require('node:https')
  syncBuiltinESMExports()
}
