/** A gRPC server that keeps what it receives as text: HPACK would hide a token from a search of the bytes. */

import type { Http2Server, Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2'
import { createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { answerCall, GRPC_OK, GRPC_UNAVAILABLE } from '../support/grpc-frames.ts'
import type { Recorder } from './recorder.ts'

export interface GrpcRecorderOptions {
  readonly name: string
  readonly isNamed?: boolean
  readonly onCall?: (request: Http2ServerRequest) => void
}

export async function startGrpcRecorder({ name, isNamed = false, onCall }: GrpcRecorderOptions): Promise<Recorder> {
  const texts: string[] = []
  const sessions = new Set<ServerHttp2Session>()
  const server: Http2Server = createServer((request, response) => {
    texts.push(linesOf(request.rawHeaders))
    request.on('data', (chunk: Buffer) => texts.push(chunk.toString('latin1')))
    onCall?.(request)
    request.on('end', () => answerAsTold(request, response))
  })
  server.on('session', (session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session)).on('error', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    name,
    isNamed,
    port,
    origin: `grpc://127.0.0.1:${port}`,
    take: () => texts.splice(0),
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function linesOf(rawHeaders: readonly string[]): string {
  return rawHeaders.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('')
}

const HANG = 25
const failedOnce = new Set<string>()

/** The last part of the path, as for HTTP. */
function answerAsTold({ url }: Http2ServerRequest, response: Http2ServerResponse): void {
  const behaviour = url.slice(url.lastIndexOf('/') + 1)
  if (behaviour === 'reset') {
    response.stream?.close()
  } else if (behaviour === 'flaky' && !failedOnce.delete(url)) {
    failedOnce.add(url)
    answerCall(response, GRPC_UNAVAILABLE)
  } else {
    setTimeout(() => answerCall(response, GRPC_OK), behaviour === 'hang' ? HANG : 0)
  }
}
