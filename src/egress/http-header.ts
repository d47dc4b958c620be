/** Writes a request's token while its header section is rendered: nothing that reads the request before or after sees it. */

import { ClientRequest } from 'node:http'
import { AUTHORIZATION } from '../propagation/carrier.ts'

/** What Node keeps the fields in: by name in lower case, the name as it was set and the value. */
type Fields = Record<string, unknown>
type StoreHeader = (this: ClientRequest, firstLine: string, fields: Fields | null) => unknown

export interface HeaderWriter {
  /** Asks for the value of `Authorization` when `request` is rendered; `undefined` leaves the request as it is. */
  whenRendered(request: ClientRequest, value: () => string | undefined): void
  undo(): void
}

/**
 * Wraps `_storeHeader`, which renders the header section of a request once. The field is there for that call only:
 * `getHeaders()` never shows it, so it cannot be copied to a request elsewhere, nor be appended to. Where Node has no
 * such method, nothing is written.
 */
export function interceptRendering(): HeaderWriter {
  const prototype = ClientRequest.prototype as unknown as { _storeHeader: StoreHeader }
  const inherited = !Object.hasOwn(prototype, '_storeHeader')
  const previous = prototype._storeHeader
  const pending = new WeakMap<ClientRequest, () => string | undefined>()
  let active = typeof previous === 'function'

  const storeHeader: StoreHeader = function (firstLine, fields) {
    const value = active ? pending.get(this)?.() : undefined
    pending.delete(this)
    if (value === undefined || Array.isArray(fields)) return previous.call(this, firstLine, fields)
    if (fields === null || fields === undefined) return previous.call(this, firstLine, { [AUTHORIZATION]: value })
    fields[AUTHORIZATION] = [AUTHORIZATION, value]
    try {
      return previous.call(this, firstLine, fields)
    } finally {
      Reflect.deleteProperty(fields, AUTHORIZATION)
    }
  }
  if (active) prototype._storeHeader = storeHeader

  return {
    whenRendered: (request, value) => void pending.set(request, value),
    undo() {
      active = false
      if (prototype._storeHeader !== storeHeader) return
      if (inherited) Reflect.deleteProperty(prototype, '_storeHeader')
      else prototype._storeHeader = previous
    },
  }
}
