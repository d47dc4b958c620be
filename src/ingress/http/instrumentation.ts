/** The relay's part in an OpenTelemetry SDK: the shape of an instrumentation, by which the gate joins the traces. */

import * as http from 'node:http'
import * as https from 'node:https'
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
  setImmediate(joinTracesNow)
}

/**
 * OpenTelemetry's instrumentation of `node:http` waits for a `require`, which an ES-module program never makes; without
 * a loader hook its requests would have no span to record events on. One `require` of ours is enough for all modules.
 */
export function joinTracesNow(): void {
  const require = createRequire(packageUrl)
  const isBehind = [
    isInstrumentedSince(require('node:http') as HttpModule, http),
    isInstrumentedSince(require('node:https') as HttpModule, https),
  ]
  // Copies every function of every built-in module to the names that ES modules import, a test double too, which would
  // stay there when the program restores the function. So only if it must.
  if (isBehind.includes(true)) syncBuiltinESMExports()
}

type HttpModule = Readonly<Record<'request' | 'get', unknown>>

/** Whether an instrumentation has wrapped a function of a module, and ES modules still import the one from before. */
function isInstrumentedSince(required: HttpModule, imported: HttpModule): boolean {
  return (['request', 'get'] as const).some((name) => required[name] !== imported[name] && isWrapped(required[name]))
}

/** OpenTelemetry marks the functions that it puts in place of others. */
function isWrapped(value: unknown): boolean {
  return typeof value === 'function' && Reflect.get(value, '__wrapped') === true
}
