/** Answers the requests to a test issuer: as the test says, as an outage wants it, or properly. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { IssuerAnswer, IssuerResponder, TestIssuerEndpoints } from './options.ts'
import type { OutageKind } from './outage.ts'
import { FAILURES } from './outage.ts'
import type { RecordedRequest } from './recorded-request.ts'
import { recordRequest } from './recorded-request.ts'

export type EndpointName = keyof TestIssuerEndpoints

/** What decides about an answer, as it is when a request comes. */
export interface RequestHandling {
  readonly requests: RecordedRequest[]
  readonly outage: OutageKind | undefined
  readonly responders: ReadonlyMap<EndpointName, IssuerResponder>
  /** The endpoint at `path`. */
  readonly endpointAt: (path: string) => EndpointName | undefined
  /** What a working issuer answers. */
  readonly answer: (endpoint: EndpointName, request: RecordedRequest) => IssuerAnswer
}

/** Never rejects: what goes wrong here ends the connection, and the client reports it. */
export async function handleRequest(
  handling: RequestHandling,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const recorded = await recordRequest(request)
    handling.requests.push(recorded)
    const endpoint = handling.endpointAt(recorded.path)
    const responder = endpoint === undefined ? undefined : handling.responders.get(endpoint)
    const given = await responder?.(recorded)
    if (given !== undefined) return writeAnswer(response, given)
    const fail = handling.outage === undefined ? undefined : FAILURES[handling.outage]
    if (fail !== undefined) return fail(response, request)
    writeAnswer(response, endpoint === undefined ? { status: 404 } : handling.answer(endpoint, recorded))
  } catch {
    response.destroy()
  }
}

function writeAnswer(response: ServerResponse, { status = 200, headers, body }: IssuerAnswer): void {
  response.writeHead(status, headers ?? { 'content-type': 'application/json' })
  if (body === undefined) response.end()
  else response.end(typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body))
}
