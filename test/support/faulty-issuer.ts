/** An authorization server that answers each request as the test says, however wrong, and counts what it is asked. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { close, listen } from './issuer.ts'

interface Document {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as it is where it is a text or bytes, else as JSON. */
  readonly body?: unknown
}

export type Answering = Document | ((request: IncomingMessage, response: ServerResponse) => void)

export interface FaultyIssuer {
  readonly origin: string
  readonly requests: readonly { readonly target: string; readonly rawHeaders: readonly string[] }[]
  /** How often `target` was asked for; without it, how often anything was. */
  fetches(target?: string): number
  /** Answers `target` from now on. What has no answer is 404. */
  answer(target: string, answering: Answering): void
  [Symbol.asyncDispose](): Promise<void>
}

export async function startFaultyIssuer(): Promise<FaultyIssuer> {
  const requests: { target: string; rawHeaders: string[] }[] = []
  const answers = new Map<string, Answering>()
  const server = createServer((request, response) => {
    const target = request.url ?? ''
    requests.push({ target, rawHeaders: request.rawHeaders })
    const answering = answers.get(target) ?? { status: 404 }
    if (typeof answering === 'function') answering(request, response)
    else write(response, answering)
  })
  const port = await listen(server)

  return {
    origin: `http://127.0.0.1:${port}`,
    requests,
    fetches: (target) => requests.filter((request) => target === undefined || request.target === target).length,
    answer: (target, answering) => void answers.set(target, answering),
    [Symbol.asyncDispose]: () => close(server),
  }
}

function write(response: ServerResponse, { status = 200, headers, body }: Document): void {
  response.writeHead(status, headers ?? { 'content-type': 'application/json' })
  response.end(typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body))
}
