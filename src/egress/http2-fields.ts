/** The header section of an HTTP/2 request in the two forms that Node takes it in: an object, or names and values in turn. */

import { sensitiveHeaders } from 'node:http2'

export type Http2Fields = Readonly<Record<string | symbol, unknown>> | readonly unknown[]

/** The value of a field, whatever the case of its name. */
export function fieldOf(fields: Http2Fields, name: string): unknown {
  const entries = Array.isArray(fields)
    ? fields.flatMap((each, i) => (i % 2 === 0 ? [[each, fields[i + 1]] as const] : []))
    : Object.entries(fields)
  return entries.find(([each]) => String(each).toLowerCase() === name)?.[1]
}

/** A copy with one field more, which no intermediary may put into a compression table (RFC 7541 §7.1.3). */
export function withField(fields: Http2Fields, name: string, value: string): Http2Fields {
  const sensitive = Reflect.get(fields, sensitiveHeaders) as unknown
  const never = { [sensitiveHeaders]: [...(Array.isArray(sensitive) ? sensitive : []), name] }
  return Array.isArray(fields)
    ? Object.assign([...(fields as unknown[]), name, value], never)
    : { ...fields, [name]: value, ...never }
}

/** Takes the field out of what a stream shows as sent: it has been rendered by now. */
export function hideField(stream: object, name: string): void {
  const sent: unknown = Reflect.get(stream, 'sentHeaders')
  if (typeof sent === 'object' && sent !== null) Reflect.deleteProperty(sent, name)
}
