/** Reads the fields of undici's internal requests, and adds one to those of undici 5 while it writes them. */

import { createObjectMetadata } from '../../base/object-metadata.ts'
import { symbolOf } from '../../base/own-property.ts'
import { AUTHORIZATION } from '../../propagation/carrier.ts'

/** The parts of undici's internal request that its channel hands out, alike in versions 5 to 8. */
export interface UndiciRequest {
  readonly origin?: unknown
  readonly method?: unknown
  readonly path?: unknown
  /** Taken from the `Host` field, if there is one. */
  readonly servername?: unknown
  /** undici sets it just before it writes the header section. */
  readonly abort?: unknown
  /** A text in undici 5, and names and values in turn in later versions. */
  headers: string | unknown[]
}

export function hasAuthorization(headers: string | unknown[]): boolean {
  if (typeof headers === 'string') return namesIn(headers).includes(AUTHORIZATION)
  for (let i = 0; i < headers.length; i += 2) {
    const name = String(headers[i])
    if (name.length === AUTHORIZATION.length && name.toLowerCase() === AUTHORIZATION) return true
  }
  return false
}

function namesIn(headers: string): string[] {
  return headers.split('\r\n').map((line) => line.slice(0, line.indexOf(':')).trim().toLowerCase())
}

/** For `host`, `connection`, the length of the body and `traceparent`, which undici and instrumentations add later. */
const LATER_BYTES = 256

/** The size of the request line and the fields, near enough. */
export function headerBytesOf({ path, origin }: UndiciRequest, headers: string | unknown[]): number {
  let bytes = String(path).length + String(origin).length + LATER_BYTES
  if (typeof headers === 'string') return bytes + headers.length
  for (const part of headers) bytes += String(part).length + 2
  return bytes
}

/** The fields of a request of undici 5, and the client that writes it. */
interface FieldText {
  readonly client: object
  text: string
  /** The field that the relay adds; empty if it adds none. */
  line: string
  /** The connection that `line` was decided for. */
  socket: unknown
}

/** Where a client of undici 5 keeps its state. */
interface ClientKeys {
  readonly queue: symbol
  readonly pending: symbol
  readonly socket: symbol
}

export type HeaderValue = (request: UndiciRequest, headers: string, client: object) => string | undefined

/**
 * undici 5 reads the text of a request once, when it writes it, and calls no function that the relay could wrap.
 * Returns a function that makes `headers` of a request a property, which adds the line of `decideValue` for that
 * reader.
 */
export function createTextWriter(decideValue: HeaderValue): (request: UndiciRequest, client: object) => void {
  const texts = createObjectMetadata<FieldText>()
  const keys = createObjectMetadata<ClientKeys | null>()

  function keysOf(client: object): ClientKeys | null {
    let known = keys.get(client)
    if (known === undefined) {
      known = findKeys(client)
      keys.set(client, known)
    }
    return known
  }

  /** Empty for all readers but the one that writes, which reads the request whose turn it is, on a connection. */
  function lineFor(request: UndiciRequest, text: FieldText): string {
    const symbols = keysOf(text.client)
    if (symbols === null || nextOf(text.client, symbols) !== request) return ''
    const socket: unknown = Reflect.get(text.client, symbols.socket)
    if (socket === null || socket === undefined) return ''
    // Readers between `onConnect` and the next request see what has been written.
    if (text.socket === socket && request.abort !== null) return text.line
    const value = decideValue(request, text.text, text.client)
    text.socket = socket
    text.line = value === undefined ? '' : `${AUTHORIZATION}: ${value}\r\n`
    return text.line
  }

  const property: PropertyDescriptor & ThisType<UndiciRequest> = {
    configurable: true,
    enumerable: true,
    get() {
      const text = texts.get(this)
      return text === undefined ? '' : text.text + lineFor(this, text)
    },
    set(value: string) {
      const text = texts.get(this)
      if (text !== undefined) text.text = text.line === '' ? value : value.replace(text.line, '')
    },
  }
  return (request, client) => {
    texts.set(request, { client, text: String(request.headers), line: '', socket: undefined })
    Object.defineProperty(request, 'headers', property)
  }
}

function findKeys(client: object): ClientKeys | null {
  const [queue, pending] = [symbolOf(client, 'queue'), symbolOf(client, 'pending index')]
  const socket = symbolOf(client, 'socket')
  return queue === undefined || pending === undefined || socket === undefined ? null : { queue, pending, socket }
}

function nextOf(client: object, { queue, pending }: ClientKeys): unknown {
  const requests: unknown = Reflect.get(client, queue)
  return Array.isArray(requests) ? requests[Reflect.get(client, pending) as number] : undefined
}
