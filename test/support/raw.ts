/** Speaks HTTP/1.1 by hand, for what no client library would send. */

import { once } from 'node:events'
import { connect } from 'node:net'

/** Writes `request` as it is and resolves with all that comes back until `until` is satisfied or the server closes. */
export async function exchange(port: number, request: string, until: (response: string) => boolean): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.setEncoding('latin1')
  await once(socket, 'connect')
  socket.write(request, 'latin1')
  let response = ''
  for await (const chunk of socket) {
    response += chunk
    if (until(response)) break
  }
  socket.destroy()
  return response
}

/** The status codes of the answers in `response`, in order. */
export function statuses(response: string): number[] {
  return [...response.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]))
}

/** A request as lines; `Host` and `Connection: close` are added unless they are there. */
export function requestOf(
  target: string,
  fields: readonly string[] = [],
  options: { method?: string; body?: string } = {},
): string {
  const lines = [`${options.method ?? 'GET'} ${target} HTTP/1.1`, 'Host: service', ...fields]
  if (!fields.some((field) => /^connection:/i.test(field))) lines.push('Connection: close')
  if (options.body !== undefined) lines.push(`Content-Length: ${Buffer.byteLength(options.body)}`)
  return `${lines.join('\r\n')}\r\n\r\n${options.body ?? ''}`
}
