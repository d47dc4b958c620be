/** One view on the three shapes in which Node hands over a request: message and response, raw socket, HTTP/2 stream. */

import type { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { ServerResponse } from 'node:http'
import type { ServerHttp2Stream } from 'node:http2'
import { Http2ServerRequest } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Answer } from '../../token/challenge.ts'

/** A request before any listener of the application has seen it. */
export interface Incoming {
  /** The object that stands for this request in every event about it: the HTTP/2 compatibility layer emits two. */
  readonly requestIdentity: object
  readonly headers: IncomingHttpHeaders
  /** Every field line as received, name and value alternating: `headers` keeps the first of two `Authorization`. */
  readonly rawHeaders: readonly string[]
  readonly method: string
  /** The request target as it stands on the wire (RFC 9112 §3.2). */
  readonly target: string
  /** Every `Host` line, or `:authority`, as received: some routers make the path that they match out of it. */
  readonly authorities: readonly string[]
  /** Whether a body follows, empty or not. */
  readonly hasBody: boolean
  /** What the application's listeners will be attached to. */
  readonly emitters: readonly EventEmitter[]
  /** Emits `close` when the request is over. */
  readonly lifetime: EventEmitter
  /** Whether the client has gone, or its socket was handed to another process: an answer would reach no client. */
  isGone(): boolean
  answer(answer: Answer): void
  /** Keeps errors from ending the process while no other code listens to them. Returns how to stop. */
  ignoreErrors(): () => void
}

/** Unread bodies above this size are not waited for: the connection is closed instead. */
const MAX_DRAINED_BYTES = 65_536

/** How long a refused client may take to read the answer on a raw socket. */
const LINGER_MILLIS = 1_000

/** Reads the arguments of a server event that carries a request. */
export function incomingOf(event: string, args: readonly unknown[]): Incoming {
  if (event === 'stream') return readStream(args)
  if (event === 'upgrade' || event === 'connect') return readSocket(args)
  return new IncomingExchange(args[0] as IncomingMessage, args[1] as ServerResponse)
}

/** A request with a response. A class, because it is the usual one: nothing is made that is not asked for. */
class IncomingExchange implements Incoming {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly emitters: readonly EventEmitter[]

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request
    this.#response = response
    this.headers = request.headers ?? {}
    this.rawHeaders = request.rawHeaders ?? []
    this.emitters = [request, response]
  }

  get requestIdentity(): object {
    return identityOf(this.#request)
  }

  get method(): string {
    return this.#request.method ?? ''
  }

  get target(): string {
    return this.#request.url ?? ''
  }

  get authorities(): readonly string[] {
    return authoritiesIn(this.rawHeaders)
  }

  get hasBody(): boolean {
    const request = this.#request
    return request instanceof Http2ServerRequest ? !request.stream.endAfterHeaders : announcesBody(request.headers)
  }

  get lifetime(): EventEmitter {
    return this.#response
  }

  isGone(): boolean {
    return this.#response.destroyed || this.#response.headersSent || isSocketGone(this.#request)
  }

  answer(answer: Answer): void {
    const response = this.#response
    tolerateDetaching(response)
    response.writeHead(answer.status, fieldsOf(answer, this.headers))
    response.end(this.method === 'HEAD' ? undefined : answer.body)
  }

  ignoreErrors(): () => void {
    return () => undefined
  }
}

/**
 * A process that hands a socket to another one takes it off its response (`subprocess.send`), maybe before what we have
 * written is out. Node asserts at the end that nothing has, and ends the process.
 */
function tolerateDetaching(response: ServerResponse): void {
  if (!(response instanceof ServerResponse)) return
  response.detachSocket = (socket) => {
    if (response.socket === socket) ServerResponse.prototype.detachSocket.call(response, socket)
  }
}

/** Whether the socket is closed, or Node has moved its handle to another process. */
function isSocketGone(request: IncomingMessage): boolean {
  if (request instanceof Http2ServerRequest) return request.stream.destroyed
  const socket = request.socket as (Duplex & { readonly _handle?: unknown }) | undefined
  return socket?.destroyed === true || socket?._handle === null
}

function authoritiesIn(rawHeaders: readonly string[]): readonly string[] {
  const valuesOf = (name: string) =>
    rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name)
  const [hosts, authorities] = [valuesOf('host'), valuesOf(':authority')]
  // HTTP/2 clients may send both, which must be the same then (RFC 9113 §8.3.1).
  const isOne = hosts.length === 1 && authorities.length === 1 && hosts[0] === authorities[0]
  return isOne ? hosts : [...hosts, ...authorities]
}

/** Whether HTTP/1 will have a body (RFC 9112 §6.3). */
function announcesBody(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0
}

/**
 * By type: an HTTP/1 client may call its version 2.0, and a property `stream` may be the application's and outlive the
 * request.
 */
function identityOf(request: object): object {
  return request instanceof Http2ServerRequest ? request.stream : request
}

/** The fields of `answer` to a request with `headers`. */
export function fieldsOf(answer: Answer, headers: IncomingHttpHeaders): Record<string, string> {
  return { ...answer.headers, ...(leavesLargeBody(headers) ? { connection: 'close' } : {}) }
}

function leavesLargeBody(headers: IncomingHttpHeaders): boolean {
  // The streams of an HTTP/2 connection end by themselves; `connection` is not allowed there (RFC 9113 §8.2.2).
  if (':method' in headers) return false
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > MAX_DRAINED_BYTES
}

function readSocket(args: readonly unknown[]): Incoming {
  const request = args[0] as IncomingMessage
  const socket = args[1] as Duplex
  return {
    requestIdentity: identityOf(request),
    headers: request.headers,
    rawHeaders: request.rawHeaders,
    method: request.method ?? '',
    target: request.url ?? '',
    authorities: authoritiesIn(request.rawHeaders),
    hasBody: announcesBody(request.headers),
    emitters: [request, socket],
    lifetime: socket,
    isGone: () => socket.destroyed,
    answer({ status, reason, headers, body }) {
      ignoreErrorsOf(socket)
      const fields = Object.entries({ ...headers, connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`)
      const content = request.method === 'HEAD' ? '' : body
      socket.end(`HTTP/1.1 ${status} ${reason}\r\n${fields.join('')}\r\n${content}`)
      // Node has let go of this socket, its time-outs included: a client that does not close it would keep it for ever.
      socket.resume()
      setTimeout(() => socket.destroy(), LINGER_MILLIS).unref()
    },
    // Node has taken its own error handler off the socket by now.
    ignoreErrors: () => ignoreErrorsOf(socket),
  }
}

function readStream(args: readonly unknown[]): Incoming {
  const stream = args[0] as ServerHttp2Stream
  const headers = args[1] as IncomingHttpHeaders & { readonly ':path'?: string; readonly ':method'?: string }
  return {
    requestIdentity: stream,
    headers,
    rawHeaders: (args[3] ?? []) as readonly string[],
    method: headers[':method'] ?? '',
    target: headers[':path'] ?? '',
    authorities: authoritiesIn((args[3] ?? []) as readonly string[]),
    hasBody: !stream.endAfterHeaders,
    emitters: [stream],
    lifetime: stream,
    isGone: () => stream.destroyed || stream.headersSent,
    answer({ status, headers: fields, body }) {
      ignoreErrorsOf(stream)
      if (isGrpc(headers)) stream.respond(grpcFields(status, fields), { endStream: true })
      else {
        stream.respond({ ':status': status, ...fields })
        stream.end(headers[':method'] === 'HEAD' ? undefined : body)
      }
      stream.resume()
      // The rest of an upload that was refused is of no use.
      setTimeout(() => stream.close(), LINGER_MILLIS).unref()
    },
    ignoreErrors: () => ignoreErrorsOf(stream),
  }
}

function isGrpc(headers: IncomingHttpHeaders): boolean {
  return headers['content-type']?.startsWith('application/grpc') === true
}

/** A call that does not happen is answered by a Trailers-Only response (gRPC over HTTP/2, "Responses"). */
function grpcFields(status: number, { 'content-type': _, 'content-length': __, ...fields }: Answer['headers']) {
  const code = String(grpcStatusOf(status))
  return { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': code, ...fields }
}

/** By HTTP status: UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE. */
const GRPC_CODES: Readonly<Record<number, number>> = {
  400: 16,
  401: 16,
  403: 7,
  503: 14,
}

/** How gRPC says what HTTP says with `status`; UNKNOWN for a status that is none of our answers. */
export function grpcStatusOf(status: number): number {
  return GRPC_CODES[status] ?? 2
}

/** Events whose answer goes through a response of Node, which follows its socket. */
const WITH_RESPONSE = ['request', 'checkContinue', 'checkExpectation']

/**
 * Ends a request that no listener of the application has seen with `answer`, unless the client has gone. Not before all
 * that waits for the same bytes has run: a process that hands its sockets to others (a sticky cluster) does so there,
 * and the answer is then theirs.
 */
export function refuseRequest(event: string, incoming: Incoming, answer: Answer): void {
  const send = (): void => {
    if (!incoming.isGone()) incoming.answer(answer)
  }
  if (WITH_RESPONSE.includes(event)) process.nextTick(send)
  else send()
}

function ignoreErrorsOf(emitter: EventEmitter): () => void {
  const ignore = (): void => undefined
  emitter.on('error', ignore)
  return () => emitter.off('error', ignore)
}
