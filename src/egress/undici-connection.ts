/** Looks at each connection of an undici client whether it leads where the client's URL says. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Duplex } from 'node:stream'
import type { WithholdReason } from '../telemetry/auth-event.ts'
import { openingOf } from './socket-opening.ts'

/** A connection that is there; `obstacle` is why it must not carry a token. */
export interface Connection {
  readonly obstacle: WithholdReason | undefined
}

export interface Connections {
  /** The connection of `client`, while it has one. */
  of(client: object): Connection | undefined
  undo(): void
}

/** What undici asks its connector for, alike in versions 5 to 8. */
interface ConnectParams {
  readonly hostname: string
  readonly port: string
  readonly protocol: string
}

const CONNECTED = 'undici:client:connected'

/**
 * Calls `opened` before anything is written to a new connection, with the client and what is queued for it. A connector
 * is the application's to choose, and its options cannot be seen: the socket that it returns can.
 */
export function watchConnections(opened: (requests: readonly unknown[], connection: Connection) => void): Connections {
  const sockets = new WeakMap<object, { readonly socket: Duplex; readonly connection: Connection }>()

  function onConnected(message: unknown): void {
    try {
      look(message)
    } catch {
      // What is not looked at carries nothing.
    }
  }

  function look(message: unknown): void {
    const { socket, connectParams } = message as { socket: Duplex; connectParams: ConnectParams }
    const client = ownValue(socket, 'client')
    if (typeof client !== 'object' || client === null) return
    const connection = { obstacle: obstacleOn(socket, connectParams) }
    sockets.set(client, { socket, connection })
    const queue = ownValue(client, 'queue')
    opened(Array.isArray(queue) ? queue : [], connection)
  }
  subscribe(CONNECTED, onConnected)

  return {
    of(client) {
      const known = sockets.get(client)
      return known === undefined || known.socket.destroyed ? undefined : known.connection
    },
    undo: () => void unsubscribe(CONNECTED, onConnected),
  }
}

function obstacleOn(socket: Duplex, { hostname, port, protocol }: ConnectParams): WithholdReason | undefined {
  const opening = openingOf(socket)
  if (opening === undefined) return 'custom_connection'
  if (opening.path) return 'unix_socket'
  const encrypted = protocol === 'https:'
  const sameHost = opening.host === hostname && opening.encrypted === encrypted
  const samePort = Number(opening.port) === Number(port || (encrypted ? 443 : 80))
  // With TLS the certificate has to match the name, whatever address the application's own lookup gives.
  const sameAddress = encrypted || opening.lookup === undefined
  return sameHost && samePort && sameAddress ? undefined : 'custom_connection'
}

/** undici keeps its own properties under symbols, which differ by copy; their descriptions do not. */
function ownValue(owner: object, description: string): unknown {
  const key = Object.getOwnPropertySymbols(owner).find((symbol) => symbol.description === description)
  return key === undefined ? undefined : Reflect.get(owner, key)
}
