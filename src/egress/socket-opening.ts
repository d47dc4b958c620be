/** Remembers where every client socket was opened to, in the words of the options that it was opened with. */

import { TLSSocket } from 'node:tls'

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

/** `undefined` where the socket was not opened while the relay was active, or not by `connect`. */
export function openingOf(socket: object): Opening | undefined {
  return openings.get(socket)
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
