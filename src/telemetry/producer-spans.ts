/** Remembers what producer spans were started with, sampled or not: the one place where a message says where it goes. */

import { createRequire } from 'node:module'
import type { Attributes, Span, SpanOptions, Tracer, TracerProvider } from '@opentelemetry/api'
import { ProxyTracerProvider, SpanKind, trace } from '@opentelemetry/api'

export interface ProducerSpans {
  /** What `span` was started with, and was told since; `undefined` where it is no producer's, or was not seen. */
  attributesOf(span: Span | undefined): Attributes | undefined
  /**
   * Looks whether there is another tracer provider. To be called before anybody has a token that could be sent: spans that
   * were started before are not known. Costs a comparison.
   */
  discover(): void
  uninstall(): void
}

type StartSpan = Tracer['startSpan']

/**
 * Hooks into the classes of tracers: instrumentations keep theirs, from before there was a provider, and an unsampled span
 * tells nothing itself. One hook per class, so that two copies of an SDK are both seen.
 */
export function watchProducerSpans(): ProducerSpans {
  const started = new WeakMap<Span, Record<string, unknown>>()
  const restores = new Map<object, () => void>()
  let known: TracerProvider | undefined

  function remember(span: Span, options: SpanOptions): void {
    const attributes: Record<string, unknown> = { ...options.attributes }
    started.set(span, attributes)
    // Some set them afterwards. The span itself may cut values short, or count them, or drop them.
    intercept(span, 'setAttribute', ([name, value]) => Object.assign(attributes, { [String(name)]: value }))
    intercept(span, 'setAttributes', ([values]) => Object.assign(attributes, values))
  }

  function hook(tracer: Tracer): void {
    const type = Object.getPrototypeOf(tracer) as { startSpan?: StartSpan }
    const { startSpan } = type
    if (restores.has(type) || typeof startSpan !== 'function') return
    const hooked: StartSpan = function hooked(this: Tracer, name, options, context) {
      const span = startSpan.call(this, name, options, context)
      if (options?.kind === SpanKind.PRODUCER) quietly(() => remember(span, options))
      return span
    }
    type.startSpan = hooked
    restores.set(type, () => {
      // Whoever has hooked in later stays, and calls ours, which is harmless.
      if (type.startSpan === hooked) type.startSpan = startSpan
    })
  }

  function discover(): void {
    const proxy = trace.getTracerProvider()
    const provider = proxy instanceof ProxyTracerProvider || 'getDelegate' in proxy ? delegateOf(proxy) : proxy
    if (provider === known) return
    known = provider
    quietly(() => hook(provider.getTracer('otel-token-relay')))
  }

  // Where there is no provider yet, or never, spans come from here. The API has two builds, each with its own classes.
  for (const api of [{ ProxyTracerProvider }, requiredApi()]) {
    quietly(() => hook(new api.ProxyTracerProvider().getDelegate().getTracer('otel-token-relay')))
  }
  discover()
  return {
    attributesOf: (span) => (span === undefined ? undefined : (started.get(span) as Attributes | undefined)),
    discover,
    uninstall() {
      for (const restore of restores.values()) restore()
      restores.clear()
    },
  }
}

/** The API as CommonJS modules have it, which instrumentations are. */
function requiredApi(): { readonly ProxyTracerProvider: typeof ProxyTracerProvider } {
  try {
    return createRequire(import.meta.url)('@opentelemetry/api') as typeof import('@opentelemetry/api')
  } catch {
    return { ProxyTracerProvider }
  }
}

/** By its shape: every copy of the API has a class of its own. */
function delegateOf(proxy: TracerProvider): TracerProvider {
  return (proxy as ProxyTracerProvider).getDelegate()
}

/** Own members of this one span; its class stays as it is. */
function intercept(
  span: Span,
  name: 'setAttribute' | 'setAttributes',
  observe: (args: readonly unknown[]) => void,
): void {
  const original = span[name] as (...args: unknown[]) => Span
  Object.defineProperty(span, name, {
    configurable: true,
    writable: true,
    value(...args: unknown[]): Span {
      observe(args)
      return original.apply(span, args)
    },
  })
}

/** A broken SDK must not break a message. */
function quietly(act: () => void): void {
  try {
    act()
  } catch {
    // Nothing is known of its spans, so nothing is sent.
  }
}
