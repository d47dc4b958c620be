/** Remembers where every client socket was opened to, in the words of the options that it was opened with. */

import { isIPv6, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { isObject } from '../../base/own-property.ts'
import { isLoopback } from '../../base/urls.ts'

/** How a socket was opened, in the words of its options. */
export interface SocketTarget {
  readonly host: unknown
  readonly port: unknown
  /** A Unix domain socket. */
  readonly path: unknown
  readonly lookup: unknown
  /** Whether TLS binds the peer to a name. */
  readonly encrypted: boolean
  /**
   * The name that the certificate is checked for, if TLS goes over a connection that other code has opened, such as
   * a tunnel: `host` and `port` say where it should lead, and prove nothing. `undefined` without such a connection.
   */
  readonly nameInTunnel: unknown
}

const openings = new WeakMap<object, SocketTarget>()

/** How `socket` was opened; `undefined` if that is not known. */
export function socketTargetOf(socket: object): SocketTarget | undefined {
  return openings.get(socket) ?? readOpening(socket)
}

/** The same for sockets whose opening was seen: nothing is concluded from the address of the peer. */
export function recordedTargetOf(socket: object): SocketTarget | undefined {
  return openings.get(socket)
}

/**
 * Finds out where a socket leads that was opened before the relay was created: by the address of its peer, or by the
 * name that the peer's certificate was checked for. Nothing else is certain.
 */
function readOpening(socket: object): SocketTarget | undefined {
  if (!(socket instanceof Socket)) return undefined
  const { _host: name, remoteAddress: address, remotePort: port } = socket as Socket & { readonly _host?: unknown }
  if (address === undefined || port === undefined) return undefined
  const seen = { port, path: undefined, lookup: undefined, nameInTunnel: undefined }
  if (socket instanceof TLSSocket) {
    const { authorized, servername } = socket as TLSSocket & { readonly servername?: unknown }
    return authorized && servername === name ? { ...seen, host: name, encrypted: true } : undefined
  }
  // Node keeps no name if it got an address.
  if (typeof name !== 'string') return { ...seen, host: address, encrypted: false }
  return name === 'localhost' && isLoopback(isIPv6(address) ? `[${address}]` : address)
    ? { ...seen, host: name, encrypted: false }
    : undefined
}

/** Remembers a call of `net.Socket.prototype.connect`, which all functions that open a socket end in. */
export function rememberConnect(socket: object, args: readonly unknown[]): void {
  openings.set(socket, { ...openingFrom(optionsOf(args), socket), nameInTunnel: undefined })
}

/** Remembers a call of `tls.connect` over an existing connection, which does not end in `Socket.connect`. */
export function rememberTls(socket: unknown, args: readonly unknown[]): void {
  const options = optionsOf(args)
  if (!isObject(socket) || !options['socket']) return
  openings.set(socket, { ...openingFrom(options, socket), nameInTunnel: verifiedNameOf(options) })
}

type Options = Readonly<Record<string, unknown>>

/** As `tls.connect` itself finds the name that it checks the certificate for. */
function verifiedNameOf({ servername, host, socket }: Options): unknown {
  return servername || host || (isObject(socket) && socket['_host']) || 'localhost'
}

function openingFrom({ host, port, path, lookup }: Options, socket: object): Omit<SocketTarget, 'nameInTunnel'> {
  return { host, port, path, lookup, encrypted: socket instanceof TLSSocket }
}

/** `(options)`, `([options, listener])` as Node calls itself, or `(port, host)`. */
export function optionsOf([first, second, third]: readonly unknown[]): Options {
  if (Array.isArray(first)) return optionsOf(first)
  if (isObject(first)) return first as Options
  const named = typeof second === 'string' ? { port: first, host: second } : { port: first, host: 'localhost' }
  return { ...named, ...(isObject(second) ? second : isObject(third) ? third : {}) }
}
