/** The app that alice uses: the client of user-service, with which each trace begins. */

import process from 'node:process'
import { setTimeout } from 'node:timers/promises'
import type { Span } from '@opentelemetry/api'
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { NodeSDK } from '@opentelemetry/sdk-node'

export interface App extends AsyncDisposable {
  /** One request, with a span of its own that is the root of a trace. */
  call(url: string, options: CallOptions): Promise<Answer>
}

export interface CallOptions {
  readonly method: string
  readonly token: string | undefined
}

export interface Answer {
  readonly status: number
  readonly body: object
  readonly traceId: string
}

/** How long the end waits for a back end that does not answer: as long as the services wait. */
const FLUSH_MILLIS = 3_000

/** As `service.name`. */
export const APP_NAME = 'app'

/** Traces go where `settings` say: variables of OpenTelemetry. */
export function startApp(settings: Readonly<Record<string, string | undefined>>): App {
  const sdk = startSdk(settings)
  const tracer = trace.getTracer(APP_NAME)

  return {
    async call(url, { method, token }) {
      const span = tracer.startSpan(method, { kind: SpanKind.CLIENT, attributes: attributesOf(method, new URL(url)) })
      const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
      propagation.inject(trace.setSpan(context.active(), span), headers)
      try {
        const response = await fetch(url, { method, headers })
        endWith(span, response.status)
        return { status: response.status, body: (await response.json()) as object, traceId: span.spanContext().traceId }
      } finally {
        span.end()
      }
    },
    async [Symbol.asyncDispose]() {
      const shutdown = sdk.shutdown().catch(() => undefined)
      await Promise.race([shutdown, setTimeout(FLUSH_MILLIS, undefined, { ref: false })])
    },
  }
}

/** The SDK reads its settings from the environment, once: that of the demo stays as it is. */
function startSdk(settings: Readonly<Record<string, string | undefined>>): NodeSDK {
  const before = { ...process.env }
  Object.assign(process.env, settings)
  try {
    const sdk = new NodeSDK({ serviceName: APP_NAME, instrumentations: [] })
    sdk.start()
    return sdk
  } finally {
    process.env = before
  }
}

function attributesOf(method: string, url: URL): Record<string, string | number> {
  return {
    'http.request.method': method,
    'server.address': url.hostname,
    'server.port': Number(url.port),
    'url.full': url.href,
    'url.path': url.pathname,
  }
}

/** For a client, an answer of 400 and above is an error. */
function endWith(span: Span, status: number): void {
  span.setAttribute('http.response.status_code', status)
  if (status >= 400) span.setStatus({ code: SpanStatusCode.ERROR })
}
