/** Reads a response within bounds, and makes of it what its endpoint describes, or an error that quotes nothing. */

import type { Schema } from './schema.ts'
import { validate } from './schema.ts'

/** What is wrong with a response that came with a status of success. */
export type ResponseProblem = 'ERR_SERVICE_RESPONSE_TYPE' | 'ERR_SERVICE_RESPONSE_SIZE' | 'ERR_SERVICE_RESPONSE_BODY'

export type ResponseValue = { readonly value: unknown } | { readonly problem: ResponseProblem }

const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i
const NO_CONTENT: readonly number[] = [204, 205]

/** Rejects where the connection breaks. */
export async function readResponse(response: Response, schema: Schema, maxBytes: number): Promise<ResponseValue> {
  if (NO_CONTENT.includes(response.status)) return validated(schema, undefined)
  if (!JSON_TYPE.test(response.headers.get('content-type') ?? '')) {
    await discard(response)
    return { problem: 'ERR_SERVICE_RESPONSE_TYPE' }
  }
  const bytes = await readBytes(response, maxBytes)
  if (bytes === undefined) return { problem: 'ERR_SERVICE_RESPONSE_SIZE' }
  const document = parse(bytes)
  return document === undefined ? { problem: 'ERR_SERVICE_RESPONSE_BODY' } : validated(schema, document.value)
}

async function validated(schema: Schema, value: unknown): Promise<ResponseValue> {
  return (await validate(schema, value)) ?? { problem: 'ERR_SERVICE_RESPONSE_BODY' }
}

async function readBytes(response: Response, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = []
  let total = 0
  for await (const chunk of response.body ?? []) {
    total += chunk.byteLength
    // Leaving the loop cancels the rest.
    if (total > maxBytes) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function parse(bytes: Buffer): { readonly value: unknown } | undefined {
  try {
    // A byte order mark stays, and JSON.parse refuses it (RFC 8259 §8.1).
    return { value: JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)) }
  } catch {
    return undefined
  }
}

/** Reading costs less than another connection, up to here. */
const DISCARDED_BYTES = 65_536

/** Lets a response go that is of no use; its connection serves the next request where little is left of it. */
export async function discard(response: Response): Promise<void> {
  await readBytes(response, DISCARDED_BYTES).catch(() => undefined)
}
