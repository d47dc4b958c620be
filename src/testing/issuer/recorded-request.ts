/** A request that a test issuer received, which shows no secret when it is printed. */

import type { IncomingMessage } from 'node:http'

/** A request to a test issuer. Printed or serialized it is its method and path: fields and parameters can be secret. */
export interface RecordedRequest {
  readonly method: string
  /** The path, without the query. */
  readonly path: string
  /** Names and values of the fields, in turn, as received. */
  readonly rawHeaders: readonly string[]
  /** The fields by their names in lower case; one that came several times is one text, or a list if Node.js says so. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** The parameters of the query and of a form (RFC 6749 §3.2); empty if there are none. */
  readonly parameters: URLSearchParams
}

/** Most bytes of a body that are read. */
const MAX_BODY_BYTES = 1_048_576

/** Reads the whole request. Rejects if it is aborted, or larger than a mebibyte. */
export async function recordRequest(request: IncomingMessage): Promise<RecordedRequest> {
  const [path = '', query = ''] = (request.url ?? '').split('?', 2)
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw new Error('the request is too large')
    chunks.push(chunk)
  }
  const isForm = /^application\/x-www-form-urlencoded\b/i.test(request.headers['content-type'] ?? '')
  const form = isForm ? Buffer.concat(chunks).toString() : ''
  const parameters = new URLSearchParams([query, form].filter((part) => part !== '').join('&'))
  const printed = { method: request.method ?? '', path }
  return hideMembers(printed, { rawHeaders: request.rawHeaders, headers: request.headers, parameters })
}

/** Adds members that are not enumerable, and so in no output of `console.log` and `JSON.stringify`. */
function hideMembers<P extends object, H extends object>(printed: P, hidden: H): P & H {
  for (const [name, value] of Object.entries(hidden)) Object.defineProperty(printed, name, { value })
  return printed as P & H
}
