/** Where the calls of the identity rig arrive: compares whose request it is with whose token it carries. */

import type { Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { Http2Server, Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2'
import { createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { answerCall, GRPC_OK, GRPC_UNAVAILABLE } from '../support/grpc-frames.ts'
import { close, listen } from '../support/issuer.ts'

export interface EchoSink {
  readonly origin: string
  readonly grpcOrigin: string
  readonly counts: Readonly<Counts>
  /** Requests with another token than their own. */
  readonly wrong: readonly Arrival[]
  readonly without: readonly Arrival[]
  [Symbol.asyncDispose](): Promise<void>
}

/** An outgoing request, and the id of the caller's request that it belongs to. */
interface Arrival {
  readonly id: string
  readonly subject: string
  readonly client: string
}

interface Counts {
  right: number
  none: number
  wrong: number
}

/** How long a slow answer takes, in milliseconds: long enough for a queue to form. */
const SLOW = [1, 2, 3, 5]
const HANG = 25

/**
 * The path is `/<subject>/<request>/<call>/<client>/<behaviour>`; `tokens[subject]` is the only right one.
 * Behaviours: `ok`, `slow`, `hang`, `flaky` (503 the first time), `moved` (redirects to `ok`).
 */
export async function startEchoSink(tokens: readonly string[]): Promise<EchoSink> {
  const counts: Counts = { right: 0, none: 0, wrong: 0 }
  const wrong: Arrival[] = []
  const without: Arrival[] = []
  const failedOnce = new Set<string>()
  const expected = tokens.map((token) => `Bearer ${token}`)

  function compare(arrival: Arrival, rawHeaders: readonly string[]): void {
    const values = rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === 'authorization')
    if (values.length === 1 && values[0] === expected[Number(arrival.subject)]) {
      counts.right += 1
    } else if (values.length === 0) {
      counts.none += 1
      without.push(arrival)
    } else {
      counts.wrong += 1
      wrong.push(arrival)
    }
  }

  function answer(url: string, behaviour: string, response: ServerResponse): void {
    if (behaviour === 'moved') {
      response.writeHead(302, { location: `${url.slice(0, -'moved'.length)}ok` }).end()
    } else if (failsNow(url, behaviour)) {
      response.writeHead(503).end()
    } else {
      inTime(behaviour, () => response.end('ok'))
    }
  }

  function failsNow(url: string, behaviour: string): boolean {
    if (behaviour !== 'flaky' || failedOnce.delete(url)) return false
    failedOnce.add(url)
    return true
  }

  function inTime(behaviour: string, finish: () => void): void {
    if (behaviour !== 'slow' && behaviour !== 'hang') return finish()
    setTimeout(finish, behaviour === 'hang' ? HANG : SLOW[(counts.right + counts.none) % SLOW.length])
  }

  /** What is to be done with a request that has been compared. */
  function behaviourOf(url: string, rawHeaders: readonly string[]): string {
    const [, subject = '', id = '', , client = '', behaviour = ''] = url.split('/')
    compare({ subject, id, client: decodeURIComponent(client) }, rawHeaders)
    return behaviour
  }

  const server: Server = createServer(({ url = '', rawHeaders }, response) => {
    answer(url, behaviourOf(url, rawHeaders), response)
  })
  server.keepAliveTimeout = 60_000
  const grpc = await startGrpc((request, response) => {
    const behaviour = behaviourOf(request.url, request.rawHeaders)
    const status = failsNow(request.url, behaviour) ? GRPC_UNAVAILABLE : GRPC_OK
    request.resume().on('end', () => inTime(behaviour, () => answerCall(response, status)))
  })
  return {
    origin: `http://127.0.0.1:${await listen(server)}`,
    grpcOrigin: grpc.origin,
    counts,
    wrong,
    without,
    async [Symbol.asyncDispose]() {
      await Promise.all([close(server), grpc.close()])
    },
  }
}

async function startGrpc(listener: (request: Http2ServerRequest, response: Http2ServerResponse) => void) {
  const server: Http2Server = createHttp2Server(listener)
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session)).on('error', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `grpc://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      for (const session of sessions) session.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
