/** Starts an OpenTelemetry SDK for programs that have none: configured by `OTEL_*`, with HTTP instrumentation. */

import { createRequire } from 'node:module'
import process from 'node:process'
import { setTimeout } from 'node:timers/promises'
import type { Tracer, TracerProvider } from '@opentelemetry/api'
import { diag, trace } from '@opentelemetry/api'
import { packageUrl } from '../base/package-url.ts'
import type { TokenRelay } from '../relay/relay.ts'
import { redactExports } from './redacted-sdk.ts'

/** The parts of the optional peer dependencies that are used here, the same in both lines of the SDK. */
interface Instrumentation {
  disable(): void
}
interface Sdk {
  start(): void
  shutdown(): Promise<void>
}
interface Peers {
  readonly NodeSDK: new (options: { instrumentations: readonly Instrumentation[] }) => Sdk
  readonly HttpInstrumentation: new () => Instrumentation
  readonly UndiciInstrumentation: new () => Instrumentation
}

export interface OwnSdk {
  /** Stops this SDK and hands its tracers over to an SDK that was registered later. */
  yield(): void
}

/** Starts the SDK. Returns `undefined` if it is disabled or not installed: then there are no spans. */
export function startOwnSdk(redact: TokenRelay['redact']): OwnSdk | undefined {
  if (process.env['OTEL_SDK_DISABLED']?.trim().toLowerCase() === 'true') return undefined
  const peers = loadPeers()
  if (peers === undefined) {
    diag.info('otel-token-relay: @opentelemetry/sdk-node and its HTTP instrumentations are not installed; no spans')
    return undefined
  }
  const undici = new peers.UndiciInstrumentation()
  const sdk = start(peers, undici, redact)
  if (sdk === undefined) return undefined
  const handOverTracers = makeTracersReplaceable()
  const stop = flushAtEnd(sdk)
  let yielded = false

  return {
    yield() {
      if (yielded) return
      yielded = true
      // Only the undici instrumentation: it listens on a channel, and every span would be made twice. A later http
      // instrumentation has replaced this one by its creation; disabling this one now would remove the later one.
      undici.disable()
      handOverTracers()
      stop()
      void sdk.shutdown().catch(() => undefined)
    },
  }
}

/** Starts the SDK; after a wrong `OTEL_*` variable there are no spans, and the program goes on. */
function start(peers: Peers, undici: Instrumentation, redact: TokenRelay['redact']): Sdk | undefined {
  try {
    const sdk = new peers.NodeSDK({ instrumentations: [new peers.HttpInstrumentation(), undici] })
    sdk.start()
    if (redactExports(sdk, redact)) return sdk
    void sdk.shutdown().catch(() => undefined)
    diag.error('otel-token-relay: this version of the OpenTelemetry SDK cannot be redacted; no spans are exported')
    return undefined
  } catch {
    diag.error('otel-token-relay: the OpenTelemetry SDK could not be started; check the OTEL_* variables; no spans')
    return undefined
  }
}

function loadPeers(): Peers | undefined {
  const require = createRequire(packageUrl)
  try {
    return {
      ...(require('@opentelemetry/sdk-node') as Pick<Peers, 'NodeSDK'>),
      ...(require('@opentelemetry/instrumentation-http') as Pick<Peers, 'HttpInstrumentation'>),
      ...(require('@opentelemetry/instrumentation-undici') as Pick<Peers, 'UndiciInstrumentation'>),
    }
  } catch {
    return undefined
  }
}

/** `ProxyTracerProvider` of the API: the type of the global provider. */
interface ProxyProvider {
  getDelegate(): TracerProvider
  setDelegate(provider: TracerProvider): void
}

/**
 * A later SDK gives tracers to its instrumentations before it registers its provider, so these are tracers of this SDK.
 * Makes those tracers use the later provider. Returns the function to call when it is registered.
 */
function makeTracersReplaceable(): () => void {
  const proxy = trace.getTracerProvider() as Partial<ProxyProvider>
  const own = proxy.getDelegate?.()
  if (own === undefined || !isProxy(proxy)) return () => undefined
  let current = (): TracerProvider => own
  proxy.setDelegate(createFollower(() => current()))
  return () => {
    // The proxy may be the global provider again: it must not lead back to the follower.
    proxy.setDelegate(own)
    current = () => trace.getTracerProvider()
  }
}

function isProxy(provider: Partial<ProxyProvider>): provider is ProxyProvider {
  return provider.getDelegate !== undefined && provider.setDelegate !== undefined
}

/** A provider whose tracers get their tracer from `current()` for every span. */
function createFollower(current: () => TracerProvider): TracerProvider {
  return {
    getTracer(...identity) {
      const tracer = (): Tracer => current().getTracer(...identity)
      return {
        startSpan: (...args) => tracer().startSpan(...args),
        startActiveSpan: (...args: unknown[]) => Reflect.apply(tracer().startActiveSpan, tracer(), args),
      } as Tracer
    },
  }
}

/** How long the end of the program waits for a back end that does not answer, in milliseconds. */
const FLUSH_MILLIS = 3_000

/** Exports the remaining spans when the program ends by itself, or by SIGTERM or SIGINT. */
function flushAtEnd(sdk: Sdk): () => void {
  const flush = async (): Promise<void> => {
    const shutdown = sdk.shutdown().catch(() => undefined)
    await Promise.race([shutdown, setTimeout(FLUSH_MILLIS, undefined, { ref: false })])
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    process.off(signal, onSignal)
    // Without another listener the default was to end the process, and this listener has replaced that default. The
    // others are counted now: a listener for one time is gone by the end of the flush.
    const alone = process.listenerCount(signal) === 0
    void flush().then(() => {
      if (alone) process.kill(process.pid, signal)
    })
  }
  process.once('beforeExit', flush)
  // First: a listener for one time that has run before this one could no longer be counted.
  process.prependListener('SIGTERM', onSignal)
  process.prependListener('SIGINT', onSignal)
  return () => {
    process.off('beforeExit', flush)
    process.off('SIGTERM', onSignal)
    process.off('SIGINT', onSignal)
  }
}
