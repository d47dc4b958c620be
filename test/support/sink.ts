/** An unprotected server: records every byte it receives, and gives configured answers. */

import { createServer } from 'node:http'
import { close, listen } from './issuer.ts'

interface Received {
  readonly method: string
  readonly target: string
  /** The values of every `Authorization` line, in order. */
  readonly authorization: readonly string[]
  readonly rawHeaders: readonly string[]
}

export interface Sink {
  readonly port: number
  readonly origin: string
  readonly received: readonly Received[]
  /** All bytes that arrived, on all connections. */
  readonly bytes: () => string
  clear(): void
  [Symbol.asyncDispose](): Promise<void>
}

/** `/redirect/302?https://…` redirects there with that status; everything else is answered 200. */
export async function startSink(host = '127.0.0.1', on = 0): Promise<Sink> {
  const received: Received[] = []
  const chunks: Buffer[] = []
  const server = createServer((request, response) => {
    const { method = '', url = '', rawHeaders } = request
    received.push({ method, target: url, authorization: authorizationOf(rawHeaders), rawHeaders })
    const redirect = /^\/redirect\/(\d{3})\?(.*)$/.exec(url)
    request.resume().on('end', () => {
      if (redirect === null) response.end('{}')
      else response.writeHead(Number(redirect[1]), { location: decodeURIComponent(redirect[2] ?? '') }).end()
    })
  })
  server.on('connection', (socket) => {
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  })
  const port = await listen(server, host, on)
  return {
    port,
    origin: `http://${host}:${port}`,
    received,
    bytes: () => Buffer.concat(chunks).toString('latin1'),
    clear() {
      received.length = 0
      chunks.length = 0
    },
    [Symbol.asyncDispose]: () => close(server),
  }
}

function authorizationOf(rawHeaders: readonly string[]): string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === 'authorization')
}
