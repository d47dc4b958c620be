/** Where the calls of the identity rig arrive: compares whose request it is with whose token it carries. */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { close, listen } from '../support/issuer.ts'

export interface EchoSink {
  readonly origin: string
  readonly counts: Readonly<Counts>
  /** The first requests with another token than their own, as `client subject/request`. */
  readonly wrong: readonly string[]
  /** Requests of callers of which some outgoing one carried nothing, and with which client. */
  readonly without: ReadonlyMap<string, string>
  [Symbol.asyncDispose](): Promise<void>
}

interface Counts {
  right: number
  none: number
  wrong: number
}

/** How long a slow answer takes, in milliseconds: long enough for a queue to form. */
const SLOW = [1, 2, 3, 5]
const HANG = 25
const KEPT = 20

/**
 * The path is `/<subject>/<request>/<call>/<client>/<behaviour>`; `tokens[subject]` is the only right one.
 * Behaviours: `ok`, `slow`, `hang`, `flaky` (503 the first time), `moved` (redirects to `ok`).
 */
export async function startEchoSink(tokens: readonly string[]): Promise<EchoSink> {
  const counts: Counts = { right: 0, none: 0, wrong: 0 }
  const wrong: string[] = []
  const without = new Map<string, string>()
  const failedOnce = new Set<string>()
  const expected = tokens.map((token) => `Bearer ${token}`)

  function compare(subject: string, id: string, client: string, { rawHeaders }: IncomingMessage): void {
    const values = rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === 'authorization')
    if (values.length === 1 && values[0] === expected[Number(subject)]) {
      counts.right += 1
    } else if (values.length === 0) {
      counts.none += 1
      without.set(id, client)
    } else {
      counts.wrong += 1
      if (wrong.length < KEPT) wrong.push(`${client} ${subject}/${id}`)
    }
  }

  function answer(url: string, behaviour: string, response: ServerResponse): void {
    if (behaviour === 'moved') {
      response.writeHead(302, { location: `${url.slice(0, -'moved'.length)}ok` }).end()
    } else if (behaviour === 'flaky' && !failedOnce.delete(url)) {
      failedOnce.add(url)
      response.writeHead(503).end()
    } else if (behaviour === 'slow' || behaviour === 'hang') {
      const millis = behaviour === 'hang' ? HANG : SLOW[(counts.right + counts.none) % SLOW.length]
      setTimeout(() => response.end('ok'), millis)
    } else {
      response.end('ok')
    }
  }

  const server: Server = createServer((request, response) => {
    const url = request.url ?? ''
    const [, subject = '', id = '', , client = '', behaviour = ''] = url.split('/')
    compare(subject, id, decodeURIComponent(client), request)
    answer(url, behaviour, response)
  })
  server.keepAliveTimeout = 60_000
  return {
    origin: `http://127.0.0.1:${await listen(server)}`,
    counts,
    wrong,
    without,
    [Symbol.asyncDispose]: () => close(server),
  }
}
