/** The servers that the clients of the matrix call: each answers as its run says, and records what it was sent. */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { Http2Server, Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2'
import { createServer as createClearHttp2Server, createSecureServer as createHttp2Server } from 'node:http2'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Certificates } from '../support/certificates.ts'
import { answerCall, GRPC_OK, GRPC_UNAVAILABLE, GRPC_UNIMPLEMENTED } from '../support/grpc-frames.ts'
import { close, listen } from '../support/issuer.ts'

/** `h2` is HTTP/2 over TLS, and nothing else; `grpc` and `grpcs` are gRPC without and with TLS. */
export type Scheme = 'http' | 'https' | 'h2' | 'grpc' | 'grpcs'
/** Two that the relay's rules name, and one that they do not. */
export type Place = 'named' | 'alsoNamed' | 'other'

/** What the request for `/<run>/<step>` is answered with. */
type Step =
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

type Http2Listener = (request: Http2ServerRequest, response: Http2ServerResponse) => void

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
  const http2Servers: Http2Server[] = []
  const sessions = new Set<ServerHttp2Session>()
  const origins = new Map<string, string>()
  let runs = 0

  for (const place of PLACES) {
    const listener = (request: IncomingMessage, response: ServerResponse): void => receive(place, request, response)
    const [http, https] = [createServer(listener), createSecureServer(tls, listener)]
    servers.push(http, https)
    const [h2, grpcs] = [createHttp2Server(tls), createHttp2Server(tls)]
    const grpc = createClearHttp2Server()
    h2.on('request', listener as unknown as Http2Listener)
    const called: Http2Listener = (request, response) => receiveCall(place, request, response)
    for (const each of [grpc, grpcs]) each.on('request', called)
    origins.set(`h2 ${place}`, `https://localhost:${await opened(h2)}`)
    origins.set(`grpc ${place}`, `grpc://127.0.0.1:${await opened(grpc)}`)
    origins.set(`grpcs ${place}`, `grpcs://localhost:${await opened(grpcs)}`)
    origins.set(`http ${place}`, `http://127.0.0.1:${await listen(http)}`)
    origins.set(`https ${place}`, `https://localhost:${await listen(https)}`)
  }

  async function opened(server: Http2Server): Promise<number> {
    server.on('session', (session) => {
      sessions.add(session)
      session.on('close', () => sessions.delete(session)).on('error', () => undefined)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    http2Servers.push(server)
    return (server.address() as AddressInfo).port
  }

  function receive(place: Place, request: IncomingMessage, response: ServerResponse): void {
    const noted = note(place, request.url ?? '', request.rawHeaders)
    if (noted === undefined) return void response.writeHead(404).end()
    answer(noted, response)
  }

  /** The path of a call is its service and its method. */
  function receiveCall(place: Place, request: Http2ServerRequest, response: Http2ServerResponse): void {
    const noted = note(place, request.url, request.rawHeaders)
    request.resume().on('end', () => {
      if (noted?.kind !== 'hang') answerCall(response, statusOf(noted))
    })
  }

  function note(place: Place, url: string, rawHeaders: readonly string[]): Step | undefined {
    const [, id = '', step = ''] = url.split('/')
    const record = records.get(id)
    if (record === undefined) return undefined
    const authorization = rawHeaders.filter((_, i) => i % 2 === 1 && /^authorization$/i.test(rawHeaders[i - 1] ?? ''))
    record.arrivals.push({ place, step, authorization })
    for (const check of record.waiting) check()
    return meets(record, step)
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

/** What this attempt is answered with: one that is flaky is so the first time. */
function meets(record: Record, step: string): Step {
  const met = record.steps.get(step) ?? { kind: 'answer' }
  const attempt = (record.attempts.get(step) ?? 0) + 1
  record.attempts.set(step, attempt)
  return met.kind === 'flaky' && attempt > 1 ? { kind: 'answer' } : met
}

function answer(met: Step, response: ServerResponse): void {
  if (met.kind === 'hang') return
  if (met.kind === 'redirect') return void response.writeHead(met.status, { location: met.location }).end()
  response.writeHead(met.kind === 'flaky' ? 503 : 200).end('ok')
}

function statusOf(met: Step | undefined): number {
  if (met === undefined) return GRPC_UNIMPLEMENTED
  return met.kind === 'flaky' ? GRPC_UNAVAILABLE : GRPC_OK
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
