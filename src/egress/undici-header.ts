/** Reads and writes the fields of undici's internal requests, alike in versions 5 to 8. */

import { AUTHORIZATION } from '../propagation/carrier.ts'

/** The parts of undici's internal request that its channel hands out, alike in versions 5 to 8. */
export interface UndiciRequest {
  readonly origin?: unknown
  readonly method?: unknown
  readonly path?: unknown
  /** Taken from the `Host` field, where there is one. */
  readonly servername?: unknown
  headers: string | unknown[]
  addHeader?(name: string, value: string): unknown
}

export function hasAuthorization(headers: string | unknown[]): boolean {
  if (typeof headers === 'string') return headerNames(headers).includes(AUTHORIZATION)
  for (let i = 0; i < headers.length; i += 2) {
    const name = String(headers[i])
    if (name.length === AUTHORIZATION.length && name.toLowerCase() === AUTHORIZATION) return true
  }
  return false
}

function headerNames(headers: string | unknown[]): string[] {
  return typeof headers === 'string'
    ? headers.split('\r\n').map((line) => line.slice(0, line.indexOf(':')).trim().toLowerCase())
    : headers.filter((_, i) => i % 2 === 0).map((name) => String(name).toLowerCase())
}

export function addAuthorization(request: UndiciRequest, value: string): void {
  if (typeof request.addHeader === 'function') request.addHeader(AUTHORIZATION, value)
  else if (Array.isArray(request.headers)) request.headers.push(AUTHORIZATION, value)
}

/** What `addAuthorization` has added: undici 5 keeps one text. */
export function removeAuthorization(request: UndiciRequest): void {
  if (typeof request.headers === 'string') {
    request.headers = request.headers.replace(/^authorization:.*\r\n/im, '')
    return
  }
  const at = headerNames(request.headers).indexOf(AUTHORIZATION)
  if (at !== -1) request.headers.splice(at * 2, 2)
}

/** `host`, `connection`, the length of the body, `traceparent`: written after this, by undici and instrumentations. */
const LATER_BYTES = 256

/** Request line and fields as they will be written, near enough. */
export function headerBytesOf({ headers, path, origin }: UndiciRequest): number {
  const line = String(path).length + String(origin).length + LATER_BYTES
  if (typeof headers === 'string') return line + headers.length
  return headers.reduce<number>((sum, part) => sum + String(part).length + 2, line)
}
