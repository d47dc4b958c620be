/** Where a connection leads: the host that was asked for, and the address that it got. */

import type { ClientHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { isObject } from '../../base/own-property.ts'

/** The other end of a connection. */
export interface Peer {
  /** Whether it is encrypted. */
  readonly isSecure: boolean
  /** Host and port as they were asked for and as they are; or a path. The first one is the one to show. */
  readonly names: readonly string[]
}

interface Asked {
  readonly host: string | undefined
  readonly port: string | undefined
  readonly path: string | undefined
}

const asked = new WeakMap<object, Asked>()

/** Remembers the arguments of `socket.connect`. */
export function rememberConnect(socket: Socket, args: readonly unknown[]): void {
  // Node passes on its own arguments as one list.
  const [first, second] = Array.isArray(args[0]) ? (args[0] as unknown[]) : args
  const options = isObject(first) ? first : isPort(first) ? { port: first, host: second } : { path: first }
  const [host, port, path] = ['host', 'port', 'path'].map((name) => textOf(Reflect.get(options, name)))
  // An https request has the path of its URL among the options of its connection.
  asked.set(socket, { host: host ?? 'localhost', port, path: port === undefined ? path : undefined })
}

export function peerOfSocket(socket: Socket): Peer {
  const isSecure = socket instanceof TLSSocket
  const { host, port, path } = asked.get(socket) ?? {}
  if (path !== undefined) return { isSecure, names: [path] }
  const servername = isSecure ? textOf(Reflect.get(Reflect.get(socket, '_tlsOptions') ?? {}, 'servername')) : undefined
  const under = isSecure ? (Reflect.get(socket, '_parent') as unknown) : undefined
  const isTunnel = under !== null && isObject(under) && host === undefined
  const { remoteAddress, remotePort } = socket
  const address = remoteAddress === undefined ? undefined : authority(remoteAddress, remotePort)
  // Inside a tunnel, the address is that of the proxy.
  if (isTunnel && servername !== undefined) return { isSecure, names: [authority(servername, 443), servername] }
  const name = host === undefined ? undefined : authority(host, port)
  return { isSecure, names: unique([name, address]) }
}

/** `session` is a `ClientHttp2Session`. */
export function peerOfSession(session: object): Peer {
  const { encrypted, originSet = [], socket } = session as ClientHttp2Session
  const names = originSet.flatMap((origin) => (URL.canParse(origin) ? [hostOf(new URL(origin))] : []))
  const { remoteAddress, remotePort } = socket
  const address = remoteAddress === undefined ? undefined : authority(remoteAddress, remotePort)
  return { isSecure: encrypted === true, names: unique([...names, address]) }
}

/** Host and port of `url`, with the port that its scheme implies. */
export function hostOf({ hostname, port, protocol }: URL): string {
  return authority(hostname, port === '' ? (protocol === 'http:' ? 80 : 443) : port)
}

function authority(host: string, port: string | number | undefined): string {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase()
  return `${bare.includes(':') ? `[${bare}]` : bare}:${port ?? 0}`
}

function unique(names: readonly (string | undefined)[]): readonly string[] {
  return [...new Set(names.filter((name) => name !== undefined))]
}

function isPort(value: unknown): boolean {
  return typeof value === 'number' || (typeof value === 'string' && /^\d+$/.test(value))
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined
}
