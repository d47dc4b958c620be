/** Remembers the attributes of producer spans, sampled or not: the only place where a message says where it goes. */

import type { Attributes, Context, Span, SpanOptions, Tracer, TracerProvider } from '@opentelemetry/api'
import { context as active, ProxyTracerProvider, SpanKind, trace } from '@opentelemetry/api'
import { ignoreErrors } from '../base/ignore-errors.ts'
import { watchModules } from '../base/module-watcher.ts'
import { isObject } from '../base/own-property.ts'
import { hasMessageSpans, markBelowMessage } from './message-spans.ts'

export interface ProducerSpans {
  /**
   * Attributes that `span` was started with or was given since; `undefined` if it is no producer span that was seen.
   */
  attributesOf(span: Span | undefined): Attributes | undefined
  /**
   * Looks for a new tracer provider. Call it before a caller has a token that could be sent: spans that started before
   * are not known. Costs a comparison.
   */
  discoverTracers(): void
  uninstall(): void
}

/**
 * Hooks into the classes of tracers: instrumentations keep the tracer that they got before there was a provider, and an
 * unsampled span does not show its attributes. One hook per class, so that the tracers of two copies of an SDK are both
 * seen.
 */
export function watchProducerSpans(): ProducerSpans {
  const watch = new ProducerSpanWatch()
  // Without a provider, or before there is one, spans come from the API. Each copy of it has its own classes.
  watch.hookApi({ ProxyTracerProvider })
  watch.onUninstall(watchModules(API_MODULES, (api) => watch.hookApi(api)))
  watch.discoverTracers()
  return watch
}

/** The API as CommonJS modules load it, which most instrumentations are: by its name, and by the path of its file. */
const API_MODULES = /@opentelemetry[\\/]api(?:[\\/](?:build|dist)[\\/](?:src[\\/])?index\.c?js)?$/

type StartSpan = Tracer['startSpan']

class ProducerSpanWatch implements ProducerSpans {
  readonly #attributes = new WeakMap<Span, Record<string, unknown>>()
  readonly #undo = new Map<object, () => void>()
  #provider: TracerProvider | undefined

  attributesOf(span: Span | undefined): Attributes | undefined {
    return span === undefined ? undefined : (this.#attributes.get(span) as Attributes | undefined)
  }

  discoverTracers(): void {
    const proxy = trace.getTracerProvider()
    const provider = proxy instanceof ProxyTracerProvider || 'getDelegate' in proxy ? delegateOf(proxy) : proxy
    if (provider === this.#provider) return
    this.#provider = provider
    ignoreErrors(() => this.hook(provider.getTracer('otel-token-relay')))
  }

  /** Once per copy: each `require` of it comes here. */
  hookApi(api: unknown): void {
    if (!isObject(api) || this.#undo.has(api)) return
    this.#undo.set(api, () => undefined)
    const { ProxyTracerProvider: Provider } = api as { readonly ProxyTracerProvider: typeof ProxyTracerProvider }
    ignoreErrors(() => this.hook(new Provider().getDelegate().getTracer('otel-token-relay')))
  }

  hook(tracer: Tracer): void {
    const type = Object.getPrototypeOf(tracer) as { startSpan?: StartSpan }
    const { startSpan } = type
    if (this.#undo.has(type) || typeof startSpan !== 'function') return
    const remember = (span: Span, options: SpanOptions): void => ignoreErrors(() => this.#remember(span, options))
    const hooked: StartSpan = function hooked(this: Tracer, name, options, context) {
      const span = startSpan.call(this, name, options, context)
      if (options?.kind === SpanKind.PRODUCER) remember(span, options)
      if (options?.kind === SpanKind.CLIENT && hasMessageSpans) markClientSpan(span, context)
      return span
    }
    type.startSpan = hooked
    this.#undo.set(type, () => {
      // Another hook that came later stays, and calls ours, which is harmless.
      if (type.startSpan === hooked) type.startSpan = startSpan
    })
  }

  onUninstall(undo: () => void): void {
    this.#undo.set(undo, undo)
  }

  uninstall(): void {
    for (const undo of this.#undo.values()) undo()
    this.#undo.clear()
  }

  #remember(span: Span, options: SpanOptions): void {
    const attributes: Record<string, unknown> = { ...options.attributes }
    this.#attributes.set(span, attributes)
    // Some instrumentations set them later. The span itself may truncate values, limit their number, or drop them.
    intercept(span, 'setAttribute', ([name, value]) => Object.assign(attributes, { [String(name)]: value }))
    intercept(span, 'setAttributes', ([values]) => Object.assign(attributes, values))
  }
}

function markClientSpan(span: Span, context: Context | undefined): void {
  ignoreErrors(() => markBelowMessage(span, trace.getSpan(parentOf(context))))
}

function parentOf(context: Context | undefined): Context {
  return context ?? active.active()
}

/** By its shape: each copy of the API has its own class. */
function delegateOf(proxy: TracerProvider): TracerProvider {
  return (proxy as ProxyTracerProvider).getDelegate()
}

/** Adds a member to this one span; its class stays as it is. */
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
