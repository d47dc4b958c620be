/** Reads and validates a bounded response. Its errors quote nothing of the response. */

import { decodeUtf8, readBounded } from '../base/bounded-body.ts'
import type { Schema } from './schema.ts'
import { validate } from './schema.ts'

/** Why a response with a success status is refused. */
type ResponseProblem = 'ERR_SERVICE_RESPONSE_TYPE' | 'ERR_SERVICE_RESPONSE_SIZE' | 'ERR_SERVICE_RESPONSE_BODY'

export type ResponseValue = { readonly value: unknown } | { readonly problem: ResponseProblem }

const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i
const NO_CONTENT: readonly number[] = [204, 205]

/** Returns the validated value or the problem. Rejects if the connection breaks. */
export async function readResponse(response: Response, schema: Schema, maxBytes: number): Promise<ResponseValue> {
  if (NO_CONTENT.includes(response.status)) return validateValue(schema, undefined)
  if (!JSON_TYPE.test(response.headers.get('content-type') ?? '')) {
    await discard(response)
    return { problem: 'ERR_SERVICE_RESPONSE_TYPE' }
  }
  const bytes = await readBounded(response.body, maxBytes)
  if (bytes === undefined) return { problem: 'ERR_SERVICE_RESPONSE_SIZE' }
  const document = parseJson(bytes)
  return document === undefined ? { problem: 'ERR_SERVICE_RESPONSE_BODY' } : validateValue(schema, document.value)
}

async function validateValue(schema: Schema, value: unknown): Promise<ResponseValue> {
  return (await validate(schema, value)) ?? { problem: 'ERR_SERVICE_RESPONSE_BODY' }
}

function parseJson(bytes: Buffer): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(decodeUtf8(bytes)) }
  } catch {
    return undefined
  }
}

/** Up to this size, reading the rest costs less than another connection. */
const DISCARDED_BYTES = 65_536

/** Discards a response; its connection serves the next request if little of the body is left. */
export async function discard(response: Response): Promise<void> {
  await readBounded(response.body, DISCARDED_BYTES).catch(() => undefined)
}
