/** Checks that each connection of an undici client leads where its URL says, and writes the token to it. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Duplex } from 'node:stream'
import { isObject, valueUnderSymbol } from '../../base/own-property.ts'
import type { Patch } from '../../base/patch-method.ts'
import { patchMethod } from '../../base/patch-method.ts'
import { socketTargetOf } from '../../context/isolation/socket-opening.ts'
import { networkTarget } from '../../destination/target.ts'
import { AUTHORIZATION } from '../../propagation/carrier.ts'
import type { WithholdReason } from '../../telemetry/events.ts'
import { obstacleOn } from '../sockets/obstacle.ts'
import type { UndiciRequest } from './headers.ts'

/** An open connection; `obstacle` is why it must not carry a token. */
export interface Connection {
  readonly obstacle: WithholdReason | undefined
}

export interface Connections {
  /** The connection of `client`, while it has one. */
  connectionOf(client: object): Connection | undefined
  undo(): void
}

/** Decides the value of `Authorization` for a request that undici is about to write to `connection`. */
export type DecideValue = (request: UndiciRequest, headers: unknown[], connection: Connection) => string | undefined

/** What undici asks its connector for, alike in versions 5 to 8. */
interface ConnectParams {
  readonly hostname: string
  readonly port: string
  readonly protocol: string
}

/** How undici 6 to 8 write a request to a connection. */
type Write = (this: unknown, request: UndiciRequest) => unknown

interface WatchedConnection {
  readonly socket: Duplex
  readonly connection: Connection
}

const CONNECTED = 'undici:client:connected'

/**
 * Checks each new connection before anything is written to it. The relay cannot see the connector's options, but it
 * sees the socket. `decideValue` is asked for every request that undici 6 to 8 write.
 */
export function watchConnections(decideValue: DecideValue): Connections {
  const watched = new WeakMap<object, WatchedConnection>()
  const patch = { isActive: true }

  function watch(client: object, socket: Duplex, params: ConnectParams): Connection {
    const connection = { obstacle: obstacleOnConnection(socket, params) }
    watched.set(client, { socket, connection })
    const http = valueUnderSymbol(client, 'http context')
    if (isObject(http)) patchWrite(http, connection, decideValue, patch)
    return connection
  }

  function onConnected(message: unknown): void {
    try {
      const { socket, connectParams } = message as { socket: Duplex; connectParams: ConnectParams }
      const client = valueUnderSymbol(socket, 'client')
      if (isObject(client)) watch(client, socket, connectParams)
    } catch {
      // A connection that the relay has not looked at carries no token.
    }
  }
  subscribe(CONNECTED, onConnected)

  return {
    connectionOf(client) {
      const last = watched.get(client)
      if (last !== undefined && !last.socket.destroyed) return last.connection
      // One that was opened before the relay was created.
      const [socket, url] = [valueUnderSymbol(client, 'socket'), valueUnderSymbol(client, 'url')]
      if (!isSocket(socket) || socket.destroyed || !(url instanceof URL)) return undefined
      return watch(client, socket, paramsOf(url))
    },
    undo() {
      patch.isActive = false
      unsubscribe(CONNECTED, onConnected)
    },
  }
}

/** Every request that undici 6 to 8 write to a connection goes through `write` of its HTTP context. */
function patchWrite(http: object, connection: Connection, decideValue: DecideValue, patch: Patch): void {
  patchMethod<Write>(
    http,
    'write',
    (previous) =>
      function (request) {
        const { headers } = request
        const value = patch.isActive && Array.isArray(headers) ? decideValue(request, headers, connection) : undefined
        if (value === undefined) return previous.call(this, request)
        const added = addField(headers as unknown[], value)
        try {
          return previous.call(this, request)
        } finally {
          removeField(headers as unknown[], added)
        }
      },
  )
}

/** Adds the field for as long as undici renders `headers`. Returns where it is. */
function addField(headers: unknown[], value: string): number {
  return headers.push(AUTHORIZATION, value) - 2
}

function removeField(headers: unknown[], at: number): void {
  if (headers[at] === AUTHORIZATION) headers.splice(at, 2)
}

function paramsOf({ hostname, port, protocol }: URL): ConnectParams {
  return { hostname: hostname.replace(/^\[|\]$/g, ''), port, protocol }
}

function obstacleOnConnection(socket: Duplex, { hostname, port, protocol }: ConnectParams): WithholdReason | undefined {
  const target = networkTarget(protocol.slice(0, -1), hostname, port || (protocol === 'https:' ? 443 : 80))
  return target === undefined ? 'custom_connection' : obstacleOn(socket, socketTargetOf(socket), target)
}

function isSocket(value: unknown): value is Duplex {
  return isObject(value) && typeof Reflect.get(value, 'destroyed') === 'boolean'
}
