/** Starts and ends the HTTP servers of benchmarks, on the loopback interface. */

import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Returns the port. Connections of clients that pause are kept open. */
export async function listen(server: Server): Promise<number> {
  server.keepAliveTimeout = 0
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

export async function close(server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
}
