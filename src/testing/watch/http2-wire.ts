/** Sees the header sections that this process sends over HTTP/2, which no connection shows. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2'
import { isObject, valueUnderSymbol } from '../../base/own-property.ts'
import type { Undo } from '../../base/patch-method.ts'
import { patchMethod } from '../../base/patch-method.ts'
import { peerOfSession } from './peer.ts'
import type { WireOptions } from './wire.ts'

type Request = (this: object, list: unknown, ...rest: unknown[]) => unknown
type Fields = readonly (readonly [name: string, value: string])[]

const CREATED = 'http2.client.stream.created'
const START = 'http2.client.stream.start'

/**
 * A relay adds the token when Node hands the section to nghttp2, so that is where it is read. The first request of the
 * first session may come before that is possible; its section is that of the channel. Returns how to undo it.
 */
export function watchHttp2({ currentSite, onWritten }: WireOptions): Undo {
  const sites = new WeakMap<object, string | undefined>()
  /** Sessions whose request has been read, until the channel tells of it. */
  const read = new WeakSet<object>()
  let undoNative: Undo | undefined

  function report(session: object, fields: Fields, site: string | undefined): void {
    onWritten({ peer: peerOfSession(session), connection: {}, text: headTextOf(fields), site })
  }

  /** All sessions have handles of one class. */
  function watchHandleOf(session: object): void {
    const handle = valueUnderSymbol(session, 'kHandle')
    if (undoNative !== undefined || !isObject(handle)) return
    undoNative = patchMethod<Request>(
      Object.getPrototypeOf(handle) as object,
      'request',
      (previous, patch) =>
        function (list, ...rest) {
          const owner = valueUnderSymbol(this, 'owner_symbol')
          if (patch.isActive && isObject(owner) && Array.isArray(list) && typeof list[0] === 'string') {
            read.add(owner)
            report(owner, parseList(list[0]), sites.get(owner) ?? currentSite())
          }
          return previous.call(this, list, ...rest)
        },
    )
  }

  const onCreated = (message: unknown): void => {
    const { session } = (message as { readonly stream: ClientHttp2Stream }).stream
    if (session === undefined) return
    // It may be sent later, when other code is at work.
    sites.set(session, currentSite())
    watchHandleOf(session)
    if (session.connecting) session.prependOnceListener('connect', () => watchHandleOf(session))
  }
  const onStart = (message: unknown): void => {
    const { stream, headers } = message as { stream: ClientHttp2Stream; headers: OutgoingHttpHeaders }
    const { session } = stream
    if (session === undefined) return
    watchHandleOf(session)
    if (!read.delete(session)) report(session, fieldsOf(headers), sites.get(session) ?? currentSite())
  }
  subscribe(CREATED, onCreated)
  subscribe(START, onStart)
  return () => {
    unsubscribe(CREATED, onCreated)
    unsubscribe(START, onStart)
    undoNative?.()
  }
}

/** Names and values, each with a zero after it, and one character of flags. */
const FIELD = /([^\0]*)\0([^\0]*)\0[\s\S]/g

function parseList(text: string): Fields {
  return Array.from(text.matchAll(FIELD), ([, name = '', value = '']) => [name, value] as const)
}

function fieldsOf(headers: OutgoingHttpHeaders): Fields {
  return Object.entries(headers).flatMap(([name, value]) =>
    [value ?? ''].flat().map((each) => [name, String(each)] as const),
  )
}

/** In the form of HTTP/1.1, so that it is read in the same way. */
function headTextOf(fields: Fields): string {
  const pseudo = (wanted: string) => fields.find(([name]) => name === wanted)?.[1]
  const lines = fields.filter(([name]) => !name.startsWith(':')).map(([name, value]) => `${name}: ${value}`)
  return [`${pseudo(':method') ?? 'GET'} ${pseudo(':path') ?? '/'} HTTP/2`, ...lines, '', ''].join('\r\n')
}
