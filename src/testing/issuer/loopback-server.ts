/** The HTTP server of a test issuer: on 127.0.0.1, on one port for its life, which it can leave and take again. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'

export interface LoopbackServer {
  readonly port: number
  /** Closes the port and all connections at once. */
  stop(): void
  /** Listens again, on the same port. Does nothing if it listens. Rejects if it was closed. */
  restart(): Promise<void>
  close(): Promise<void>
}

interface HttpExchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly server: unknown
}

/**
 * The server has no listeners: the gate of a relay in the same process stands before listeners, and would ask the relay
 * itself for a token when it fetches the keys.
 */
const REQUEST_START = 'http.server.request.start'

/** Rejects if the port is not free. */
export async function startLoopbackServer(listener: RequestListener, port = 0): Promise<LoopbackServer> {
  let server: Server | undefined = await listen(port)
  const { port: taken } = server.address() as AddressInfo
  let stopped: Promise<unknown> = Promise.resolve()
  let restarted: Promise<void> = Promise.resolve()
  let isWanted = true
  let isClosed = false
  const onRequest = (message: unknown): void => {
    const { request, response, server: receiver } = message as HttpExchange
    if (receiver === server) listener(request, response)
  }
  subscribe(REQUEST_START, onRequest)

  function stop(): void {
    isWanted = false
    const current = server
    if (current === undefined) return
    server = undefined
    stopped = new Promise((resolve) => current.close(resolve))
    current.closeAllConnections()
  }

  async function start(): Promise<void> {
    await stopped
    if (!isWanted || server !== undefined) return
    server = await listen(taken)
    // What was asked for last counts: it may have been stopped meanwhile.
    if (isWanted) await connectOnce(taken)
    else stop()
  }

  return {
    port: taken,
    stop,
    async restart() {
      if (isClosed) throw new Error('the test issuer was closed')
      isWanted = true
      restarted = restarted.then(start, start)
      await restarted
    },
    async close() {
      isClosed = true
      unsubscribe(REQUEST_START, onRequest)
      stop()
      await restarted.catch(() => undefined)
      await stopped
    },
  }
}

/**
 * Waits for one connection. By then clients in this process have seen that theirs are closed, and none sends
 * its next request on one of them. No timer, which a test may hold.
 */
async function connectOnce(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.end()
  socket.resume()
  await new Promise((resolve) => socket.once('close', resolve))
}

function listen(port: number): Promise<Server> {
  const server = createServer()
  // By default Node.js ends idle connections after 5 seconds, and a client on a busy machine may write on one then.
  server.keepAliveTimeout = 0
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      resolve(server)
    })
  })
}
