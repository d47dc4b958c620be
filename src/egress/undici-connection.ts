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
  const known = new WeakMap<object, { readonly socket: Duplex; readonly connection: Connection }>()

  function remember(client: object, socket: Duplex, params: ConnectParams): Connection {
    const connection = { obstacle: obstacleOn(socket, params) }
    known.set(client, { socket, connection })
    return connection
  }

  function onConnected(message: unknown): void {
    try {
      const { socket, connectParams } = message as { socket: Duplex; connectParams: ConnectParams }
      const client = ownValue(socket, 'client')
      if (!isObject(client)) return
      const connection = remember(client, socket, connectParams)
      const queue = ownValue(client, 'queue')
      opened(Array.isArray(queue) ? queue : [], connection)
    } catch {
      // What has not been looked at carries nothing.
    }
  }
  subscribe(CONNECTED, onConnected)

  return {
    of(client) {
      const last = known.get(client)
      if (last !== undefined && !last.socket.destroyed) return last.connection
      // One that was opened while nobody was looking.
      const [socket, url] = [ownValue(client, 'socket'), ownValue(client, 'url')]
      if (!isSocket(socket) || socket.destroyed || !(url instanceof URL)) return undefined
      return remember(client, socket, paramsOf(url))
    },
    undo: () => void unsubscribe(CONNECTED, onConnected),
  }
}

function paramsOf({ hostname, port, protocol }: URL): ConnectParams {
  return { hostname: hostname.replace(/^\[|\]$/g, ''), port, protocol }
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

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function isSocket(value: unknown): value is Duplex {
  return isObject(value) && typeof Reflect.get(value, 'destroyed') === 'boolean'
}
