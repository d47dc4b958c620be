/** Reads small JSON documents from an issuer: bounded in time, bytes and hops, unseen by tracing, without a token. */

import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import { suppressTracing } from '../telemetry/suppression.ts'

export interface FetchLimits {
  /** Total time for the response and its body, in milliseconds. */
  readonly timeoutMillis: number
  /** Largest body that is read, in bytes. */
  readonly maxBytes: number
}

/** The document could not be had. Carries the status so that discovery can tell "not there" from "not now". */
export class DocumentError extends Error {
  override readonly name = 'DocumentError'
  readonly status: number | undefined

  constructor(status?: number) {
    super('the document could not be read')
    this.status = status
  }
}

const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i

/** Fetches the JSON document at `url`. Throws a {@link DocumentError} and nothing else. */
export async function fetchJson(url: string, limits: FetchLimits): Promise<unknown> {
  const { status, isJson, text } = await fetchBounded(
    url,
    { headers: { accept: 'application/json, application/jwk-set+json' } },
    limits,
  )
  if (status !== 200 || !isJson) throw new DocumentError(status)
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw new DocumentError(status)
  }
}

/** A response that was read to its end. */
export interface BoundedResponse {
  readonly status: number
  readonly isJson: boolean
  readonly text: string
}

/**
 * Fetches `url` outside of any caller's context, so that the request carries nobody's token and makes no span: a traced
 * key fetch inside a traced verification would feed itself. Redirects are refused (RFC 8725 §2.9).
 */
export async function fetchBounded(url: string, init: RequestInit, limits: FetchLimits): Promise<BoundedResponse> {
  return context.with(suppressTracing(ROOT_CONTEXT), async () => {
    try {
      const signal = AbortSignal.timeout(limits.timeoutMillis)
      const response = await fetch(url, { ...init, redirect: 'error', signal })
      const { status, headers } = response
      const isJson = JSON_TYPE.test(headers.get('content-type') ?? '')
      // What will not be used is not read.
      if (status === 200 && isJson) return { status, isJson, text: await readText(response, limits.maxBytes) }
      await response.body?.cancel()
      return { status, isJson, text: '' }
    } catch (error) {
      throw error instanceof DocumentError ? error : new DocumentError()
    }
  })
}

async function readText(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let total = 0
  for await (const chunk of response.body ?? []) {
    total += chunk.byteLength
    if (total > maxBytes) throw new DocumentError(response.status)
    chunks.push(chunk)
  }
  // A byte order mark stays, and JSON.parse refuses it (RFC 8259 §8.1).
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks))
}
