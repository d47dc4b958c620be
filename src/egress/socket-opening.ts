/** Remembers where every client socket was opened to, in the words of the options that it was opened with. */

import { isIPv6, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { isLoopback } from '../verification/secure-url.ts'

/** How a socket was opened. Whatever is missing was not said. */
export interface Opening {
  readonly host: unknown
  readonly port: unknown
  /** A Unix domain socket. */
  readonly path: unknown
  readonly lookup: unknown
  /** Whether TLS binds the peer to a name. */
  readonly encrypted: boolean
}

const openings = new WeakMap<object, Opening>()

/** `undefined` where it cannot be known. */
export function openingOf(socket: object): Opening | undefined {
  return openings.get(socket) ?? openingSeenOn(socket)
}

/**
 * A socket that was opened before the relay was there: where it leads by what cannot be anything else, which is its peer's
 * address, or the name that the peer's certificate was checked for.
 */
function openingSeenOn(socket: object): Opening | undefined {
  if (!(socket instanceof Socket)) return undefined
  const { _host: name, remoteAddress: address, remotePort: port } = socket as Socket & { readonly _host?: unknown }
  if (address === undefined || port === undefined) return undefined
  const seen = { port, path: undefined, lookup: undefined }
  if (socket instanceof TLSSocket) {
    const { authorized, servername } = socket as TLSSocket & { readonly servername?: unknown }
    return authorized && servername === name ? { ...seen, host: name, encrypted: true } : undefined
  }
  // Node keeps no name where it was given an address.
  if (typeof name !== 'string') return { ...seen, host: address, encrypted: false }
  return name === 'localhost' && isLoopback(isIPv6(address) ? `[${address}]` : address)
    ? { ...seen, host: name, encrypted: false }
    : undefined
}

/** Remembers a call of `net.Socket.prototype.connect`, which all functions that open a socket end in. */
export function rememberConnect(socket: object, args: readonly unknown[]): void {
  openings.set(socket, openingFrom(optionsOf(args), socket))
}

/** Remembers a call of `tls.connect` over a connection that was there before: it does not end in `Socket.connect`. */
export function rememberTls(socket: unknown, args: readonly unknown[]): void {
  const options = optionsOf(args)
  if (isObject(socket) && options['socket']) openings.set(socket, openingFrom(options, socket))
}

type Options = Readonly<Record<string, unknown>>

function openingFrom({ host, port, path, lookup }: Options, socket: object): Opening {
  return { host, port, path, lookup, encrypted: socket instanceof TLSSocket }
}

/** `(options)`, `([options, listener])` as Node calls itself, or `(port, host)`. */
function optionsOf([first, second, third]: readonly unknown[]): Options {
  if (Array.isArray(first)) return optionsOf(first)
  if (isObject(first)) return first as Options
  const named = typeof second === 'string' ? { port: first, host: second } : { port: first, host: 'localhost' }
  return { ...named, ...(isObject(second) ? second : isObject(third) ? third : {}) }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
