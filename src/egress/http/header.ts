/** Writes a request's token into the first bytes that its connection gets: no reader of the request ever sees it. */

import { ClientRequest } from 'node:http'
import type { Socket } from 'node:net'
import { createObjectMetadata } from '../../base/object-metadata.ts'
import type { Undo } from '../../base/patch-method.ts'
import { combineUndos, patchMethod } from '../../base/patch-method.ts'
import { AUTHORIZATION } from '../../propagation/carrier.ts'

/** What the relay adds when the header section of a request goes to its connection. */
export interface HeaderAddition {
  /** Returns the value of `Authorization`; `undefined` leaves the request as it is. */
  readonly decideValue: (header: string) => string | undefined
  /** Whether the request waits until its connection is open: what a socket has taken cannot be changed. */
  readonly waits: boolean
}

/** What is used of Node's messages, alike in versions 22 to 26. */
interface Outgoing extends ClientRequest {
  readonly _header: string | null
  /** What waits for a connection; the header section comes first. */
  readonly outputData: { data: unknown }[]
  _flush(): unknown
}
type Connection = Socket & { readonly secureConnecting?: boolean; _httpMessage?: unknown }
type WriteRaw = (this: Outgoing, data: unknown, ...rest: unknown[]) => unknown
type Flush = (this: Outgoing) => unknown

/**
 * Wraps `_writeRaw` and `_flush`, one of which hands the header section to the connection: at that moment the value is
 * decided. The request may have been made long before: it waits for a free socket of its agent, for TCP, for TLS.
 * Neither the rendered `_header` nor `getHeaders()` ever has the field, so it cannot be printed, or copied to a request
 * elsewhere. If Node has no such methods, nothing is written.
 */
export class HeaderWriter {
  readonly #additions = createObjectMetadata<HeaderAddition | undefined>()
  readonly #held = createObjectMetadata<true>()
  #isActive = true
  readonly #undo: Undo

  constructor() {
    const [write, flush] = [this.#write.bind(this), this.#flush.bind(this)]
    // Requests that wait are written after an undo, too: these two do what Node does then.
    this.#undo = combineUndos([
      patchMethod<WriteRaw>(
        ClientRequest.prototype,
        '_writeRaw',
        (previous) =>
          function (data, ...rest) {
            return write(this, data, (added) => previous.call(this, added, ...rest))
          },
      ),
      patchMethod<Flush>(
        ClientRequest.prototype,
        '_flush',
        (previous) =>
          function () {
            return flush(this, () => previous.call(this))
          },
      ),
    ])
  }

  addWhenWritten(request: ClientRequest, addition: HeaderAddition): void {
    this.#additions.set(request, addition)
  }

  undo(): void {
    this.#isActive = false
    this.#undo()
  }

  #write(request: Outgoing, data: unknown, run: (data: unknown) => unknown): unknown {
    const socket = request.socket as Connection | null
    if (!socket || !this.#additions.get(request)) return run(data)
    if (!this.#mustWait(request, socket)) return run(this.#addLine(request, data))
    this.#hold(request, socket)
    // Node queues what is written to a request that is not the current one of its connection.
    const { _httpMessage: message } = socket
    socket._httpMessage = undefined
    try {
      return run(data)
    } finally {
      socket._httpMessage = message
    }
  }

  #flush(request: Outgoing, run: () => unknown): unknown {
    const socket = request.socket as Connection | null
    if (socket && this.#mustWait(request, socket)) return this.#hold(request, socket)
    if (socket) this.#addLine(request, undefined)
    return run()
  }

  #mustWait(request: Outgoing, { connecting, secureConnecting }: Connection): boolean {
    return this.#additions.get(request)?.waits === true && (connecting || secureConnecting === true)
  }

  /** Keeps the request as if it had no connection, and goes on when the connection is open. */
  #hold(request: Outgoing, socket: Connection): void {
    if (this.#held.get(request)) return
    this.#held.set(request, true)
    socket.once(socket.secureConnecting ? 'secureConnect' : 'connect', () => request._flush())
  }

  /** Adds the field to the header section, which stands at the beginning of `data`, or waits in front of it. */
  #addLine(request: Outgoing, data: unknown): unknown {
    const addition = this.#additions.get(request)
    const { _header: header, outputData: waiting } = request
    const first = waiting[0]
    if (addition === undefined || header === null) return data
    const isFirst = first === undefined && startsWith(data, header)
    if (!isFirst && !startsWith(first?.data, header)) return data
    this.#additions.set(request, undefined)
    const value = this.#isActive ? addition.decideValue(header) : undefined
    if (value === undefined) return data
    if (isFirst) return insertField(data as string, value)
    if (first !== undefined) first.data = insertField(first.data as string, value)
    return data
  }
}

function startsWith(data: unknown, header: string): boolean {
  return typeof data === 'string' && data.startsWith(header)
}

/** Inserts the field after the request line. */
function insertField(data: string, value: string): string {
  const at = data.indexOf('\r\n') + 2
  return `${data.slice(0, at)}${AUTHORIZATION}: ${value}\r\n${data.slice(at)}`
}
