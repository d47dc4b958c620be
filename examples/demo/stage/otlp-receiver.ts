/** A trace back end in this process: takes OTLP/HTTP in JSON and keeps the latest spans. */

import { EventEmitter, once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { keepLatest } from './keep-latest.ts'
import { close, listen } from './loopback.ts'
import type { OtlpTraceRequest, Span } from './span.ts'
import { readSpans } from './span.ts'

export interface OtlpReceiver extends AsyncDisposable {
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`, together with `OTEL_EXPORTER_OTLP_PROTOCOL=http/json`. */
  readonly endpoint: string
  /** What was sent for any signal, uncompressed: for searching it for what must not be in it. The latest 2000. */
  readonly bodies: readonly Buffer[]
  /** The latest 5000 spans, in the order of their arrival. */
  spans(): readonly Span[]
  /** Resolves as soon as `predicate` holds for the spans; rejects when it does not within `timeoutMillis`. */
  waitFor(predicate: (spans: readonly Span[]) => boolean, timeoutMillis: number): Promise<void>
  /** Calls `listener` whenever spans have arrived. Returns how to stop. */
  onSpans(listener: () => void): () => void
}

const MAX_BODY_BYTES = 16 * 1024 * 1024
const MAX_BODIES = 2_000
const MAX_SPANS = 5_000

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const bodies: Buffer[] = []
  const spans: Span[] = []
  const arrivals = new EventEmitter().setMaxListeners(0)

  async function receive(request: IncomingMessage): Promise<void> {
    const body = await readBody(request)
    keepLatest(bodies, [body], MAX_BODIES)
    if (request.url !== '/v1/traces') return
    keepLatest(spans, readSpans(JSON.parse(body.toString()) as OtlpTraceRequest), MAX_SPANS)
    arrivals.emit('spans')
  }

  const server = createServer((request, response) => {
    if (!isOtlpInJson(request)) return answer(response, 415, { message: 'expected OTLP/HTTP in JSON' })
    receive(request).then(
      () => answer(response, 200, {}),
      () => answer(response, 400, { message: 'not an OTLP request' }),
    )
  })

  return {
    endpoint: await listen(server),
    bodies,
    spans: () => [...spans],
    async waitFor(predicate, timeoutMillis) {
      const signal = AbortSignal.timeout(timeoutMillis)
      while (!predicate(spans)) {
        await once(arrivals, 'spans', { signal }).catch(() => {
          throw new Error(`the awaited spans have not come within ${timeoutMillis} ms`)
        })
      }
    },
    onSpans(listener) {
      arrivals.on('spans', listener)
      return () => arrivals.off('spans', listener)
    },
    [Symbol.asyncDispose]: () => close(server),
  }
}

function isOtlpInJson({ method, headers }: IncomingMessage): boolean {
  return method === 'POST' && headers['content-type']?.startsWith('application/json') === true
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) throw new RangeError('body too large')
    chunks.push(chunk)
  }
  const body = Buffer.concat(chunks)
  return request.headers['content-encoding'] === 'gzip' ? gunzipSync(body, { maxOutputLength: MAX_BODY_BYTES }) : body
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
