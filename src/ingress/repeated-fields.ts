/** Shows gRPC every `authorization` field of a call, where Node would hand it the first one only. */

import type { IncomingHttpHeaders } from 'node:http'
import { interceptServers } from './server-events.ts'

let isInstalled = false

/**
 * Joins repeated fields as a list, which is no token (RFC 9110 §5.3): whoever sent two may have had another one checked
 * by somebody in front. Only calls of gRPC are looked at. Stays for the life of the process.
 */
export function joinRepeatedFields(): void {
  if (isInstalled) return
  isInstalled = true
  interceptServers((event, args, proceed) => {
    if (event === 'stream') joinAuthorization(args[1] as IncomingHttpHeaders, args[3])
    proceed()
  })
}

function joinAuthorization(headers: IncomingHttpHeaders, rawHeaders: unknown): void {
  if (!Array.isArray(rawHeaders) || !headers['content-type']?.startsWith('application/grpc')) return
  const values = rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1] === 'authorization')
  if (values.length > 1) headers.authorization = values.join(', ')
}
