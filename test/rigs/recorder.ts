/** A server that keeps every byte it receives until a test looks at it, and compares the requests with a ledger. */

import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { createServer, request as httpRequest } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import type { Certificates } from '../support/certificates.ts'
import { close } from '../support/issuer.ts'

export interface Recorder extends AsyncDisposable {
  readonly name: string
  readonly origin: string
  readonly port: number
  /** Whether a rule names it: an `Authorization` line is what the ledger says then, and not a leak. */
  readonly isNamed: boolean
  /** What has arrived since the last call, a text per connection. */
  take(): readonly string[]
}

export interface RecorderOptions {
  readonly name: string
  readonly isNamed?: boolean
  readonly host?: string
  /** 0 takes a free one. */
  readonly port?: number
  /** The path of a Unix socket, in place of host and port. */
  readonly path?: string
  readonly tls?: Certificates
  readonly onRequest?: RequestListener
}

export async function startRecorder(options: RecorderOptions): Promise<Recorder> {
  const { name, isNamed = false, host = '127.0.0.1', port = 0, tls, onRequest = answerAsTold } = options
  const server: Server = tls === undefined ? createServer(onRequest) : createSecureServer(tls, onRequest)
  // A client on a busy machine may write on a connection just when it is closed.
  server.keepAliveTimeout = 0
  const chunks = new Map<Socket, Buffer[]>()
  const record = (socket: Socket): void => {
    const own: Buffer[] = []
    chunks.set(socket, own)
    socket.on('data', (chunk: Buffer) => own.push(chunk))
    socket.on('error', () => undefined)
  }
  server.on(tls === undefined ? 'connection' : 'secureConnection', record)
  if (onRequest === proxyRequest) server.on('connect', tunnel)
  await new Promise<void>((resolve) => {
    if (options.path === undefined) server.listen(port, host, resolve)
    else server.listen(options.path, resolve)
  })
  const bound = options.path === undefined ? (server.address() as AddressInfo).port : 0
  return {
    name,
    isNamed,
    port: bound,
    origin: tls === undefined ? `http://${host}:${bound}` : `https://localhost:${bound}`,
    take() {
      const texts = [...chunks.values()].filter((own) => own.length > 0).map((own) => Buffer.concat(own.splice(0)))
      return texts.map((bytes) => bytes.toString('latin1'))
    },
    [Symbol.asyncDispose]: () => close(server),
  }
}

const HANG = 25

/** The last part of the path: `ok`, `hang`, `reset`, `flaky` (503 at first); `next` in the query is a redirect. */
export function answerAsTold(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '', 'http://recorder')
  const next = url.searchParams.get('next')
  const behaviour = url.pathname.slice(url.pathname.lastIndexOf('/') + 1)
  if (next !== null) {
    response.writeHead(302, { location: next }).end()
  } else if (behaviour === 'reset') {
    request.socket.destroy()
  } else if (behaviour === 'flaky' && !failedOnce.delete(url.pathname)) {
    failedOnce.add(url.pathname)
    response.writeHead(503).end()
  } else {
    setTimeout(() => response.end('ok'), behaviour === 'hang' ? HANG : 0)
  }
}

const failedOnce = new Set<string>()

/** Passes on what a forward proxy is asked for. */
export function proxyRequest(incoming: IncomingMessage, response: ServerResponse): void {
  const { url = '', method, headers } = incoming
  if (!URL.canParse(url)) return void response.writeHead(400).end()
  const forwarded = httpRequest(url, { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502)
    answer.pipe(response)
  })
  forwarded.on('error', () => response.destroy())
  response.on('close', () => forwarded.destroy())
  incoming.pipe(forwarded)
}

function tunnel(incoming: IncomingMessage, client: Socket): void {
  const [host = '', port] = (incoming.url ?? '').split(':')
  const upstream = connect(Number(port), host, () => client.write('HTTP/1.1 200 OK\r\n\r\n'))
  upstream.pipe(client).pipe(upstream)
  client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy())
  upstream.on('error', () => client.destroy())
}
