/** Sees every byte that this process writes to connections that it has opened, apart from HTTP/2. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { isObject } from '../../base/own-property.ts'
import { combineUndos, patchMethod } from '../../base/patch-method.ts'
import type { Peer } from './peer.ts'
import { peerOfSocket, rememberConnect } from './peer.ts'

/** What was written, as it was. */
export interface Written {
  readonly peer: Peer
  /** The connection; another object for each request over HTTP/2. */
  readonly connection: object
  readonly text: string
  /** The line of the application that made the request, if it is known. */
  readonly site: string | undefined
}

export interface WireOptions {
  /** The line of the application that is at work now. */
  readonly currentSite: () => string | undefined
  readonly onWritten: (written: Written) => void
}

type WriteGeneric = (this: Socket, isList: boolean, data: unknown, ...rest: unknown[]) => unknown
type Connect = (this: Socket, ...args: unknown[]) => unknown

/** Returns how to undo it. */
export function watchWire({ currentSite, onWritten }: WireOptions): () => void {
  const sites = new WeakMap<object, string | undefined>()
  /** The request of undici that is being written to a connection. */
  const requests = new WeakMap<object, object>()

  function siteOf(socket: Socket): string | undefined {
    const request = requests.get(socket) ?? Reflect.get(socket, '_httpMessage')
    return (isObject(request) ? sites.get(request) : undefined) ?? currentSite()
  }

  const onCreated = (message: unknown): void => {
    const { request } = message as { readonly request: object }
    if (!sites.has(request)) sites.set(request, currentSite())
  }
  const onSend = (message: unknown): void => {
    const { request, socket } = message as { readonly request: object; readonly socket: object }
    requests.set(socket, request)
  }
  const channels = [
    ['http.client.request.created', onCreated],
    ['http.client.request.start', onCreated],
    ['undici:request:create', onCreated],
    ['undici:client:sendHeaders', onSend],
  ] as const
  for (const [name, listener] of channels) subscribe(name, listener)

  const undo = combineUndos([
    patchMethod<Connect>(
      Socket.prototype,
      'connect',
      (previous, patch) =>
        function (...args) {
          if (patch.isActive) rememberConnect(this, args)
          return previous.apply(this, args)
        },
    ),
    patchMethod<WriteGeneric>(
      Socket.prototype,
      '_writeGeneric',
      (previous, patch) =>
        function (isList, data, ...rest) {
          // While it connects, Node comes here again with the same.
          if (patch.isActive && !this.connecting && isClient(this)) {
            onWritten({ peer: peerOfSocket(this), connection: this, text: textOf(data, rest), site: siteOf(this) })
          }
          return previous.call(this, isList, data, ...rest)
        },
    ),
  ])
  return () => {
    undo()
    for (const [name, listener] of channels) unsubscribe(name, listener)
  }
}

/** Whether this process has opened the connection. */
function isClient(socket: Socket): boolean {
  if (socket instanceof TLSSocket && Reflect.get(Reflect.get(socket, '_tlsOptions') ?? {}, 'isServer') === true) {
    return false
  }
  return !isObject(Reflect.get(socket, 'server'))
}

function textOf(data: unknown, [encoding]: readonly unknown[]): string {
  if (Array.isArray(data)) {
    return data.map((part: { chunk: unknown; encoding: unknown }) => textOf(part.chunk, [part.encoding])).join('')
  }
  if (typeof data === 'string') {
    const known = typeof encoding === 'string' && Buffer.isEncoding(encoding) ? encoding : 'utf8'
    return known === 'utf8' || known === 'latin1' ? data : Buffer.from(data, known).toString('latin1')
  }
  return data instanceof Uint8Array ? Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1') : ''
}
