/** Keeps an HTTP/2 request until it can be sent, and adds its token when its header section goes out. */

import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'
import { createObjectMetadata } from '../../base/object-metadata.ts'
import { symbolOf } from '../../base/own-property.ts'
import { AUTHORIZATION } from '../../propagation/carrier.ts'

/** Returns the value of `Authorization` at the last moment; `undefined` leaves the request as it is. */
export type LateToken = () => string | undefined

/** A header section as Node hands it to nghttp2: names, values and flags in one text, and how many there are. */
type HeaderList = readonly [fields: string, count: number, ...rest: unknown[]]
interface NativeSession {
  request(list: HeaderList, ...rest: unknown[]): unknown
}
/** What is used of a session's internals, alike in Node 22 to 26. */
interface Internals {
  readonly handle: symbol
  readonly pending: symbol
}

/** A request that Node has put aside as if its session were still connecting. */
interface WaitingStream {
  readonly submit: () => void
  readonly token: LateToken
}
interface Queue {
  readonly waiting: WaitingStream[]
  /** Streams that count for the limit of the peer. */
  open: number
}

const queues = createObjectMetadata<Queue>()

/** Counts a request that is sent without waiting, so that the queue knows when there is room. */
export function countStream(session: ClientHttp2Session, stream: ClientHttp2Stream): void {
  countOpen(session, queueOf(session), stream)
}

/**
 * Makes a request by `create`, and sends it when the session is connected and its peer takes one more stream. nghttp2
 * would keep it for that long, header section and all; here the token is asked for after that. Neither the stream nor a
 * diagnostics channel ever has it. If Node's internals are not as expected the request leaves without a token.
 */
export function submitLate(
  session: ClientHttp2Session,
  create: () => ClientHttp2Stream,
  token: LateToken,
): ClientHttp2Stream {
  const internals = internalsOf(session)
  if (internals === undefined) return create()
  const { stream, submit } = createHeld(session, internals, create)
  // The request has failed already.
  if (submit === undefined) return stream
  const queue = queueOf(session)
  const submitCounted = (): void => {
    // The caller has given up meanwhile: Node would send the request, only to reset it.
    if (stream.closed) stream.destroy()
    if (stream.destroyed) return
    countOpen(session, queue, stream)
    submit()
  }
  queue.waiting.push({ submit: submitCounted, token })
  drain(session, queue, internals)
  return stream
}

/** Creates a request, and takes what submits it from the list of requests that wait until the session is connected. */
function createHeld(session: ClientHttp2Session, { pending }: Internals, create: () => ClientHttp2Stream) {
  const aside: (() => void)[] = []
  const previous: unknown = Reflect.get(session, pending)
  Reflect.set(session, pending, aside)
  Object.defineProperty(session, 'connecting', { value: true, configurable: true })
  try {
    return { stream: create(), submit: aside[0] }
  } finally {
    Reflect.deleteProperty(session, 'connecting')
    Reflect.set(session, pending, previous)
  }
}

function drain(session: ClientHttp2Session, queue: Queue, internals: Internals): void {
  while (!session.connecting && hasRoom(session, queue)) {
    const next = queue.waiting.shift()
    if (next === undefined) return
    submitWith(session, internals, next)
  }
}

function hasRoom(session: ClientHttp2Session, { open }: Queue): boolean {
  // In a session that is destroyed all that waits has failed.
  return session.destroyed || open < (session.remoteSettings.maxConcurrentStreams ?? Number.POSITIVE_INFINITY)
}

function submitWith(session: ClientHttp2Session, { handle }: Internals, { submit, token }: WaitingStream): void {
  const native = Reflect.get(session, handle) as NativeSession | undefined
  if (native === undefined) return submit()
  const { request } = native
  const authorized: NativeSession['request'] = (list, ...rest) => {
    // For this request only: it may set off others.
    Reflect.deleteProperty(native, 'request')
    const value = token()
    return request.call(native, value === undefined ? list : withToken(list, value), ...rest)
  }
  Object.defineProperty(native, 'request', { value: authorized, configurable: true })
  try {
    submit()
  } finally {
    Reflect.deleteProperty(native, 'request')
  }
}

/** NGHTTP2_NV_FLAG_NO_INDEX: no intermediary may put the field into a compression table (RFC 7541 §7.1.3). */
const NEVER_INDEXED = '\u0001'

function withToken([fields, count, ...rest]: HeaderList, value: string): HeaderList {
  return [`${fields}${AUTHORIZATION}\0${value}\0${NEVER_INDEXED}`, count + 1, ...rest]
}

function queueOf(session: ClientHttp2Session): Queue {
  const known = queues.get(session)
  if (known !== undefined) return known
  const queue: Queue = { waiting: [], open: 0 }
  queues.set(session, queue)
  const drainNow = (): void => {
    const internals = internalsOf(session)
    if (internals !== undefined) drain(session, queue, internals)
  }
  session.once('connect', drainNow).on('remoteSettings', drainNow)
  return queue
}

function countOpen(session: ClientHttp2Session, queue: Queue, stream: ClientHttp2Stream): void {
  queue.open += 1
  stream.once('close', () => {
    queue.open -= 1
    const internals = internalsOf(session)
    if (internals !== undefined) drain(session, queue, internals)
  })
}

const known = createObjectMetadata<Internals>()

function internalsOf(session: ClientHttp2Session): Internals | undefined {
  const cached = known.get(session)
  if (cached !== undefined) return cached
  const [handle, pending] = [symbolOf(session, 'kHandle'), symbolOf(session, 'kPendingRequestCalls')]
  if (handle === undefined || pending === undefined) return undefined
  known.set(session, { handle, pending })
  return known.get(session)
}
