/** One request at a time over one connection, by as little code as possible: what the client does is noise. */

import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'

export interface LoneClient {
  /** Sends so many requests, one after the other. Returns how long each took, in microseconds. */
  times(count: number): Promise<readonly number[]>
  close(): void
}

/** `tokens`: those that are shown in turn; `undefined` if the requests have none. */
export function createLoneClient(origin: string, tokens: readonly string[] | undefined): LoneClient {
  const { hostname, port, host } = new URL(origin)
  const requests = (tokens ?? [undefined]).map((token) => {
    const field = token === undefined ? '' : `authorization: Bearer ${token}\r\n`
    return Buffer.from(`GET / HTTP/1.1\r\nhost: ${host}\r\n${field}\r\n`, 'latin1')
  })
  let connection: Connection | undefined
  let sent = 0
  return {
    async times(count) {
      if (connection?.socket.destroyed !== false) connection = await connectTo(hostname, Number(port))
      const { socket, nextAnswer } = connection
      const times: number[] = []
      for (let i = 0; i < count; i += 1) {
        sent += 1
        const startMillis = performance.now()
        socket.write(requests[sent % requests.length] ?? '')
        const text = await nextAnswer()
        times.push((performance.now() - startMillis) * 1_000)
        if (!text.startsWith('HTTP/1.1 200 ')) throw new Error(`a request failed: ${text.slice(0, 40)}`)
      }
      return times
    },
    close: () => void connection?.socket.destroy(),
  }
}

interface Connection {
  readonly socket: Socket
  readonly nextAnswer: () => Promise<string>
}

async function connectTo(hostname: string, port: number): Promise<Connection> {
  const socket = connect(port, hostname).setNoDelay()
  await once(socket, 'connect')
  return { socket, nextAnswer: readAnswers(socket) }
}

/** Returns a function that waits for the next answer. */
function readAnswers(socket: Socket): () => Promise<string> {
  let received = ''
  let waiting: PromiseWithResolvers<string> | undefined
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    received += chunk
    if (!isWhole(received)) return
    waiting?.resolve(received)
    received = ''
  })
  socket.on('error', (error) => waiting?.reject(error))
  socket.on('close', () => waiting?.reject(new Error('the service has closed the connection')))
  return () => {
    waiting = Promise.withResolvers()
    return waiting.promise
  }
}

function isWhole(received: string): boolean {
  const end = received.indexOf('\r\n\r\n')
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(received)?.[1] ?? 0
  return end !== -1 && received.length >= end + 4 + Number(length)
}
