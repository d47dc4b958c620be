/** HTTP servers on the loopback interface, at ports that the system chooses. */

import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Starts `server` and returns its origin. */
export async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Stops `server`, also while clients are connected. */
export async function close(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeAllConnections()
  await closed
}
