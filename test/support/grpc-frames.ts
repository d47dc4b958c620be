/** What a gRPC server puts on the wire, for sinks that record requests as they are and need no service definition. */

import type { Http2ServerResponse } from 'node:http2'

export const GRPC_OK = 0
export const GRPC_UNIMPLEMENTED = 12
export const GRPC_UNAVAILABLE = 14

/** An empty message: not compressed, no bytes. */
const MESSAGE = Buffer.alloc(5)
const FIELDS = { 'content-type': 'application/grpc' }

/** Answers a call with one empty message, or with nothing but a status. */
export function answerCall(response: Http2ServerResponse, status: number): void {
  if (response.stream?.destroyed !== false) return
  if (status !== GRPC_OK) {
    // Headers that end the stream: calls are not repeated once there is an answer.
    response.stream.respond({ ':status': 200, ...FIELDS, 'grpc-status': status }, { endStream: true })
    return
  }
  response.writeHead(200, FIELDS)
  response.addTrailers({ 'grpc-status': GRPC_OK })
  response.end(MESSAGE)
}
