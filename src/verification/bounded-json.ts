/** Reads small JSON documents from an issuer: bounded in time and size, without redirects, spans or a token. */

import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import { decodeUtf8, readBounded } from '../base/bounded-body.ts'
import { unlessAborted } from '../base/with-timeout.ts'
import { suppressTracing } from '../telemetry/suppression.ts'
import { DocumentError, documentErrorOf, statusError } from './document-error.ts'

export interface FetchLimits {
  /** Total time for the response and its body, in milliseconds. */
  readonly timeoutMillis: number
  /** Largest body that is read, in bytes. */
  readonly maxBytes: number
}

const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i

/** Fetches the JSON document at `url`. Throws a {@link DocumentError} and nothing else. */
export async function fetchJson(url: string, limits: FetchLimits): Promise<unknown> {
  const { status, isJson, text } = await fetchBounded(
    url,
    { headers: { accept: 'application/json, application/jwk-set+json' } },
    limits,
  )
  if (status !== 200 || !isJson) throw statusError(status)
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw new DocumentError('not_json', status)
  }
}

/** A response that was read to its end. */
export interface BoundedResponse {
  readonly status: number
  readonly isJson: boolean
  readonly text: string
}

/**
 * Fetches `url` outside of any caller's context, so that the request carries no token and makes no span: a traced key
 * fetch inside a traced verification would cause another one. Redirects are refused (RFC 8725 §2.9).
 */
export async function fetchBounded(url: string, init: RequestInit, limits: FetchLimits): Promise<BoundedResponse> {
  return context.with(suppressTracing(ROOT_CONTEXT), async () => {
    try {
      const signal = AbortSignal.timeout(limits.timeoutMillis)
      // `fetch` of Node.js 22 has been seen to go on after its signal: nothing that waits for keys may depend on it.
      return await unlessAborted(request(url, { ...init, redirect: 'error', signal }, limits.maxBytes), signal)
    } catch (error) {
      throw documentErrorOf(error)
    }
  })
}

async function request(url: string, init: RequestInit, maxBytes: number): Promise<BoundedResponse> {
  const response = await fetch(url, init)
  const { status, headers } = response
  const isJson = JSON_TYPE.test(headers.get('content-type') ?? '')
  // Other bodies are not used, so they are not read. A 400 may say what is wrong (RFC 6749 §5.2).
  if ((status === 200 || status === 400) && isJson) {
    return { status, isJson, text: await readText(response, maxBytes, init.signal) }
  }
  await response.body?.cancel()
  return { status, isJson, text: '' }
}

/** With the signal once more: a response that `fetch` has lost sight of would stay open. */
async function readText({ status, body }: Response, maxBytes: number, signal: RequestInit['signal']): Promise<string> {
  const options = signal ? { signal } : {}
  const bytes = await readBounded(body?.pipeThrough(new TransformStream(), options) ?? null, maxBytes)
  if (bytes === undefined) throw new DocumentError('too_large', status)
  return decodeUtf8(bytes)
}
