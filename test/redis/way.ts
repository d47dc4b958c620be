/** The way to Redis, which can be got at. */

import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:net'

/** A way to Redis that can be cut in the middle: `onSocket` gets both ends of each connection. */
export async function startWay(
  to: number,
  onSocket: (socket: Socket, end: 'near' | 'far') => void,
): Promise<AsyncDisposable & { port: number }> {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1')
    for (const [end, socket] of Object.entries({ near, far })) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      onSocket(socket, end as 'near' | 'far')
    }
    near.pipe(far).pipe(near)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
