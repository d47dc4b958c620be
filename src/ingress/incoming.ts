/** One view on the three shapes in which Node hands over a request: message and response, raw socket, HTTP/2 stream. */

import type { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { ServerHttp2Stream } from 'node:http2'
import { Http2ServerRequest } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Answer } from '../token/challenge.ts'
import { grpcStatusOf } from './grpc-status.ts'

/** A request before any listener of the application has seen it. */
export interface Incoming {
  /** The object that stands for this request in every event about it: the HTTP/2 compatibility layer emits two. */
  readonly subject: object
  readonly headers: IncomingHttpHeaders
  /** Every field line as received, name and value alternating: `headers` keeps the first of two `Authorization`. */
  readonly rawHeaders: readonly string[]
  readonly method: string
  /** The request target as it stands on the wire (RFC 9112 §3.2). */
  readonly target: string
  /** What the application's listeners will be attached to. */
  readonly emitters: readonly EventEmitter[]
  /** Emits `close` when the request is over. */
  readonly lifetime: EventEmitter
  /** Whether the client has gone, so that there is nobody to answer. */
  isGone(): boolean
  answer(answer: Answer): void
  /** Keeps errors from crashing the process while nobody else listens; returns how to stop. */
  guard(): () => void
}

/** Unread bodies above this size are not waited for: the connection is closed instead. */
const MAX_DRAINED_BYTES = 65_536

/** How long a refused client may take to read the answer on a raw socket. */
const LINGER_MILLIS = 1_000

/** Reads the arguments of a server event that carries a request. */
export function incomingOf(event: string, args: readonly unknown[]): Incoming {
  if (event === 'stream') return ofStream(args)
  if (event === 'upgrade' || event === 'connect') return ofSocket(args)
  return ofMessage(args)
}

function ofMessage(args: readonly unknown[]): Incoming {
  const request = args[0] as IncomingMessage
  const response = args[1] as ServerResponse
  return {
    subject: subjectOf(request),
    headers: request.headers ?? {},
    rawHeaders: request.rawHeaders ?? [],
    method: request.method ?? '',
    target: request.url ?? '',
    emitters: [request, response],
    lifetime: response,
    isGone: () => response.destroyed || response.headersSent || request.socket?.destroyed === true,
    answer(answer) {
      response.writeHead(answer.status, fieldsOf(answer, request.headers))
      response.end(request.method === 'HEAD' ? undefined : answer.body)
    },
    guard: () => () => undefined,
  }
}

/** By type: an HTTP/1 client may call its version 2.0, and a property `stream` may be anybody's and outlive the request. */
function subjectOf(request: object): object {
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

function ofSocket(args: readonly unknown[]): Incoming {
  const request = args[0] as IncomingMessage
  const socket = args[1] as Duplex
  return {
    subject: subjectOf(request),
    headers: request.headers,
    rawHeaders: request.rawHeaders,
    method: request.method ?? '',
    target: request.url ?? '',
    emitters: [request, socket],
    lifetime: socket,
    isGone: () => socket.destroyed,
    answer({ status, reason, headers, body }) {
      ignoreErrors(socket)
      const fields = Object.entries({ ...headers, connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`)
      const content = request.method === 'HEAD' ? '' : body
      socket.end(`HTTP/1.1 ${status} ${reason}\r\n${fields.join('')}\r\n${content}`)
      // Node has let go of this socket, its time-outs included: a client that does not close it would keep it for ever.
      socket.resume()
      setTimeout(() => socket.destroy(), LINGER_MILLIS).unref()
    },
    // Node has taken its own error handler off the socket by now.
    guard: () => ignoreErrors(socket),
  }
}

function ofStream(args: readonly unknown[]): Incoming {
  const stream = args[0] as ServerHttp2Stream
  const headers = args[1] as IncomingHttpHeaders & { readonly ':path'?: string; readonly ':method'?: string }
  return {
    subject: stream,
    headers,
    rawHeaders: (args[3] ?? []) as readonly string[],
    method: headers[':method'] ?? '',
    target: headers[':path'] ?? '',
    emitters: [stream],
    lifetime: stream,
    isGone: () => stream.destroyed || stream.headersSent,
    answer({ status, headers: fields, body }) {
      ignoreErrors(stream)
      if (isGrpc(headers)) stream.respond(grpcFields(status, fields), { endStream: true })
      else {
        stream.respond({ ':status': status, ...fields })
        stream.end(headers[':method'] === 'HEAD' ? undefined : body)
      }
      stream.resume()
      // Nobody wants the rest of an upload that was refused.
      setTimeout(() => stream.close(), LINGER_MILLIS).unref()
    },
    guard: () => ignoreErrors(stream),
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

function ignoreErrors(emitter: EventEmitter): () => void {
  const ignore = (): void => undefined
  emitter.on('error', ignore)
  return () => emitter.off('error', ignore)
}
