/** The servers that the clients of the matrix call: each answers as its run says, and records what it was sent. */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { Http2SecureServer, ServerHttp2Session } from 'node:http2'
import { createSecureServer as createHttp2Server } from 'node:http2'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Certificates } from '../support/certificates.ts'
import { close, listen } from '../support/issuer.ts'

/** `h2` is HTTP/2 over TLS, and nothing else. */
export type Scheme = 'http' | 'https' | 'h2'
/** Two that the relay's rules name, and one that they do not. */
export type Place = 'named' | 'alsoNamed' | 'other'

/** What the request for `/<run>/<step>` is answered with. */
export type Step =
  | { readonly kind: 'answer' }
  | { readonly kind: 'redirect'; readonly status: number; readonly location: string }
  /** 503 the first time, 200 from then on. */
  | { readonly kind: 'flaky' }
  /** Never answered. */
  | { readonly kind: 'hang' }

export interface Arrival {
  readonly place: Place
  readonly step: string
  /** The values of every `Authorization` line, in order. */
  readonly authorization: readonly string[]
}

/** One use of a client: the steps it will meet, and what has arrived so far. */
export interface Run {
  readonly id: string
  readonly arrivals: readonly Arrival[]
  url(origin: string, step: string): string
  meets(step: string, answer: Step): void
  /** Resolves once `count` requests have arrived. */
  arrived(count: number): Promise<void>
}

export interface Places {
  origin(scheme: Scheme, place: Place): string
  run(): Run
  [Symbol.asyncDispose](): Promise<void>
}

interface Record {
  readonly arrivals: Arrival[]
  readonly steps: Map<string, Step>
  readonly attempts: Map<string, number>
  readonly waiting: Set<() => void>
}

const PLACES: readonly Place[] = ['named', 'alsoNamed', 'other']

export async function startPlaces(tls: Certificates): Promise<Places> {
  const records = new Map<string, Record>()
  const servers: Server[] = []
  const http2Servers: Http2SecureServer[] = []
  const sessions = new Set<ServerHttp2Session>()
  const origins = new Map<string, string>()
  let runs = 0

  for (const place of PLACES) {
    const listener = (request: IncomingMessage, response: ServerResponse): void => receive(place, request, response)
    const [http, https] = [createServer(listener), createSecureServer(tls, listener)]
    servers.push(http, https)
    const h2 = createHttp2Server(tls, listener as unknown as Parameters<typeof createHttp2Server>[1])
    h2.on('session', (session) => {
      sessions.add(session)
      session.on('close', () => sessions.delete(session)).on('error', () => undefined)
    })
    await new Promise<void>((resolve) => h2.listen(0, '127.0.0.1', resolve))
    http2Servers.push(h2)
    origins.set(`h2 ${place}`, `https://localhost:${(h2.address() as AddressInfo).port}`)
    origins.set(`http ${place}`, `http://127.0.0.1:${await listen(http)}`)
    origins.set(`https ${place}`, `https://localhost:${await listen(https)}`)
  }

  function receive(place: Place, request: IncomingMessage, response: ServerResponse): void {
    const [, id = '', step = ''] = (request.url ?? '').split('/')
    const record = records.get(id)
    if (record === undefined) return void response.writeHead(404).end()
    const { rawHeaders } = request
    const authorization = rawHeaders.filter((_, i) => i % 2 === 1 && /^authorization$/i.test(rawHeaders[i - 1] ?? ''))
    record.arrivals.push({ place, step, authorization })
    for (const check of record.waiting) check()
    answer(record, step, response)
  }

  return {
    origin: (scheme, place) => origins.get(`${scheme} ${place}`) ?? '',
    run() {
      runs += 1
      const id = `run-${runs}`
      const record: Record = { arrivals: [], steps: new Map(), attempts: new Map(), waiting: new Set() }
      records.set(id, record)
      return {
        id,
        arrivals: record.arrivals,
        url: (origin, step) => `${origin}/${id}/${step}`,
        meets: (step, answer) => void record.steps.set(step, answer),
        arrived: (count) => arrived(record, count),
      }
    },
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy()
      await Promise.all(http2Servers.map((server) => new Promise((resolve) => server.close(resolve))))
      await Promise.all(servers.map(close))
    },
  }
}

function answer(record: Record, step: string, response: ServerResponse): void {
  const meets = record.steps.get(step) ?? { kind: 'answer' }
  const attempt = (record.attempts.get(step) ?? 0) + 1
  record.attempts.set(step, attempt)
  if (meets.kind === 'hang') return
  if (meets.kind === 'redirect') return void response.writeHead(meets.status, { location: meets.location }).end()
  response.writeHead(meets.kind === 'flaky' && attempt === 1 ? 503 : 200).end('ok')
}

function arrived({ arrivals, waiting }: Record, count: number): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (arrivals.length < count) return
      waiting.delete(check)
      resolve()
    }
    waiting.add(check)
    check()
  })
}
