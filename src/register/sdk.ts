/** An OpenTelemetry SDK of our own, for programs that have none: configured by `OTEL_*`, with HTTP instrumentation. */

import { createRequire } from 'node:module'
import process from 'node:process'
import { setTimeout } from 'node:timers/promises'
import type { Tracer, TracerProvider } from '@opentelemetry/api'
import { diag, trace } from '@opentelemetry/api'

/** The parts of the optional peer dependencies that are used, alike in both lines of the SDK. */
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
  /** Leaves the field to an SDK that came later. */
  yield(): void
}

/** Starts the SDK. Returns `undefined` where it is disabled or not installed: then there are no spans. */
export function startOwnSdk(): OwnSdk | undefined {
  if (process.env['OTEL_SDK_DISABLED']?.trim().toLowerCase() === 'true') return undefined
  const peers = loadPeers()
  if (peers === undefined) {
    diag.info('otel-token-relay: @opentelemetry/sdk-node and its HTTP instrumentations are not installed; no spans')
    return undefined
  }
  const undici = new peers.UndiciInstrumentation()
  const sdk = start(peers, undici)
  if (sdk === undefined) return undefined
  const handOverTracers = makeTracersReplaceable()
  const stop = flushAtEnd(sdk)
  let yielded = false

  return {
    yield() {
      if (yielded) return
      yielded = true
      // Only this one: it listens on a channel and would make every span twice. Another http instrumentation has
      // replaced ours when it was made, and to disable ours now would take that one away.
      undici.disable()
      handOverTracers()
      stop()
      void sdk.shutdown().catch(() => undefined)
    },
  }
}

/** A wrong `OTEL_*` variable costs the spans, and nothing else. */
function start(peers: Peers, undici: Instrumentation): Sdk | undefined {
  try {
    const sdk = new peers.NodeSDK({ instrumentations: [new peers.HttpInstrumentation(), undici] })
    sdk.start()
    return sdk
  } catch {
    diag.error('otel-token-relay: the OpenTelemetry SDK could not be started; check the OTEL_* variables; no spans')
    return undefined
  }
}

function loadPeers(): Peers | undefined {
  const require = createRequire(import.meta.url)
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

/** `ProxyTracerProvider` of the API, as which the global provider presents itself. */
interface ProxyProvider {
  getDelegate(): TracerProvider
  setDelegate(provider: TracerProvider): void
}

/**
 * An SDK that comes later gives its instrumentations tracers before it registers its provider: ours, until then. Makes
 * those tracers follow the change. Returns what to call when it comes.
 */
function makeTracersReplaceable(): () => void {
  const proxy = trace.getTracerProvider() as Partial<ProxyProvider>
  const own = proxy.getDelegate?.()
  if (own === undefined || !isProxy(proxy)) return () => undefined
  let current = (): TracerProvider => own
  proxy.setDelegate(createFollower(() => current()))
  return () => {
    // The proxy may be the global one again: it must not lead back to the follower.
    proxy.setDelegate(own)
    current = () => trace.getTracerProvider()
  }
}

function isProxy(provider: Partial<ProxyProvider>): provider is ProxyProvider {
  return provider.getDelegate !== undefined && provider.setDelegate !== undefined
}

/** A provider whose tracers ask `current` anew for every span. */
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

/** How long the end of the program waits for a back end that does not answer. */
const FLUSH_MILLIS = 3_000

/** Exports what is left when the program ends by itself or is asked to. */
function flushAtEnd(sdk: Sdk): () => void {
  const flush = async (): Promise<void> => {
    const shutdown = sdk.shutdown().catch(() => undefined)
    await Promise.race([shutdown, setTimeout(FLUSH_MILLIS, undefined, { ref: false })])
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    process.off(signal, onSignal)
    // With nobody else listening, ending the process was the default, and our listener has taken it away. Who else
    // listens is asked now: a listener for one time has gone by the end of the flush.
    const alone = process.listenerCount(signal) === 0
    void flush().then(() => {
      if (alone) process.kill(process.pid, signal)
    })
  }
  process.once('beforeExit', flush)
  // First in line: a listener for one time that has run before ours could not be counted any more.
  process.prependListener('SIGTERM', onSignal)
  process.prependListener('SIGINT', onSignal)
  return () => {
    process.off('beforeExit', flush)
    process.off('SIGTERM', onSignal)
    process.off('SIGINT', onSignal)
  }
}
