/** A sink for HTTP/1.1 and HTTP/2: keeps what it receives. No gate stands in front of it. */

import { isUtf8 } from 'node:buffer'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import http2 from 'node:http2'
import { createServer as createSecureServer } from 'node:https'
import type { Server as NetServer, Socket } from 'node:net'
import { createServer as createNetServer } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib'
import type { Certificate } from './certificate.ts'
import type { RawReceived } from './received.ts'

/** How a test destination answers. */
export interface TestAnswer {
  /** Default 200. */
  readonly status?: number
  /** Default: none. */
  readonly headers?: Readonly<Record<string, string>>
  /** Default `{}`; of gRPC one message without fields. */
  readonly body?: string | Uint8Array
}

/** What a sink does with what comes. */
export interface SinkOptions {
  readonly certificate: Certificate | undefined
  readonly record: (received: RawReceived) => void
  readonly recordBytes: (chunk: Buffer) => void
  readonly answer: () => TestAnswer
}

export interface Sink {
  readonly server: NetServer
  /** Ends every connection. */
  close(): void
}

const REQUEST_START = 'http.server.request.start'

/**
 * Requests are taken from the diagnostics channel, and the server has no listeners: the gate of a relay in the same
 * process stands before listeners only, and would refuse what a test sends here.
 */
export function createHttpSink(options: SinkOptions): Sink {
  const { certificate, recordBytes } = options
  const server: Server = certificate === undefined ? createServer() : createSecureServer(certificate)
  const sockets = new Set<Socket>()
  const onRequest = (message: unknown): void => {
    const { request, response, server: receiver } = message as HttpExchange
    if (receiver === server) void answerHttp(request, response, options)
  }
  subscribe(REQUEST_START, onRequest)
  // A connection whose handshake never ends has to be ended, too.
  server.on('connection', (socket: Socket) => void sockets.add(socket))
  server.on(certificate === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    socket.on('data', recordBytes)
  })
  return {
    server,
    close() {
      unsubscribe(REQUEST_START, onRequest)
      for (const socket of sockets) socket.destroy()
    },
  }
}

interface HttpExchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly server: unknown
}

async function answerHttp(request: IncomingMessage, response: ServerResponse, options: SinkOptions): Promise<void> {
  const { method = '', url = '', rawHeaders } = request
  const body = await readBody(request, request.headers['content-encoding'])
  const headerLines = pairsOf([...rawHeaders, ...request.rawTrailers])
  options.record({ method, path: url, headerLines, body })
  if (response.destroyed) return
  const { status = 200, headers = {}, body: answer = '{}' } = options.answer()
  response.writeHead(status, headers).end(answer)
}

function pairsOf(rawHeaders: readonly string[]): readonly (readonly [string, string])[] {
  return rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name, rawHeaders[i + 1] ?? ''] as const] : []))
}

const STREAM_START = 'http2.server.stream.start'

/** The same over HTTP/2, with prior knowledge or over TLS, also for gRPC. */
export function createHttp2Sink(options: SinkOptions, isGrpc: boolean): Sink {
  const { certificate } = options
  const sessions = new Set<ServerHttp2Session>()
  const onStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
    void answerHttp2(stream, headers, options, isGrpc)
  }
  const onStart = (message: unknown): void => {
    const { stream, headers } = message as { stream: ServerHttp2Stream; headers: IncomingHttpHeaders }
    if (stream.session !== undefined && sessions.has(stream.session as ServerHttp2Session)) onStream(stream, headers)
  }
  const sockets = new Set<Socket>()
  const onConnection = (socket: Socket): void => {
    const session = http2.performServerHandshake(socket)
    // A client may go away while it is answered.
    session.on('error', () => undefined)
    sessions.add(session)
    if (!HAS_STREAM_CHANNEL) session.on('stream', onStream)
  }
  if (HAS_STREAM_CHANNEL) subscribe(STREAM_START, onStart)
  const server =
    certificate === undefined
      ? createNetServer(onConnection)
      : createTlsServer({ ...certificate, ALPNProtocols: ['h2'] }, onConnection)
  // Before the handshake of TLS, which may never end.
  server.on('connection', (socket: Socket) => void sockets.add(socket))
  return {
    server,
    close() {
      unsubscribe(STREAM_START, onStart)
      for (const session of sessions) session.destroy()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Node.js 22.17 and 24.2 have it. Before, the sink listens, and a gate in the same process stands in front of it. */
const HAS_STREAM_CHANNEL = hasStreamChannel()

function hasStreamChannel(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return major > 24 || (major === 24 && minor >= 2) || (major === 22 && minor >= 17)
}

async function answerHttp2(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  options: SinkOptions,
  isGrpc: boolean,
): Promise<void> {
  stream.on('error', () => undefined)
  let trailers: IncomingHttpHeaders = {}
  stream.on('trailers', (fields: IncomingHttpHeaders) => {
    trailers = fields
  })
  const body = await readBody(stream, headers['content-encoding'])
  const headerLines = [headers, trailers]
    .flatMap(Object.entries<string | string[] | undefined>)
    .flatMap(([name, value]) => (name.startsWith(':') ? [] : [value ?? ''].flat().map((each) => [name, each] as const)))
  options.record({ method: headers[':method'] ?? '', path: headers[':path'] ?? '', headerLines, body })
  if (stream.destroyed) return
  const { status = 200, headers: fields = {}, body: answer } = options.answer()
  if (isGrpc) return answerGrpc(stream, fields, answer)
  stream.respond({ ':status': status, ...fields })
  stream.end(answer ?? '{}')
}

/** One message without fields, uncompressed: the flag and the length of a gRPC frame. */
const EMPTY_MESSAGE = Buffer.alloc(5)

function answerGrpc(stream: ServerHttp2Stream, fields: Readonly<Record<string, string>>, answer?: string | Uint8Array) {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...fields }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.end(answer ?? EMPTY_MESSAGE)
}

/** Reads what comes, also of a client that goes away before the end. */
async function readBody(stream: AsyncIterable<unknown>, encoding: string | undefined): Promise<string> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of stream) chunks.push(chunk as Buffer)
  } catch {
    // It has sent a token nevertheless.
  }
  const body = decompress(Buffer.concat(chunks), encoding)
  return body.toString(isUtf8(body) ? 'utf8' : 'latin1')
}

const DECOMPRESS: ReadonlyMap<string, (body: Buffer, options: { maxOutputLength: number }) => Buffer> = new Map([
  ['gzip', gunzipSync],
  ['deflate', inflateSync],
  ['br', brotliDecompressSync],
])
const MAX_BODY_BYTES = 67_108_864

function decompress(body: Buffer, encoding = ''): Buffer {
  try {
    return DECOMPRESS.get(encoding.trim().toLowerCase())?.(body, { maxOutputLength: MAX_BODY_BYTES }) ?? body
  } catch {
    return body
  }
}
