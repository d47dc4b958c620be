/** A service in its own process, as an application has it, and the callers who use it. */

import { writeFileSync } from 'node:fs'
import { createServer, request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { createCertificates } from '../support/certificates.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import type { OtelLine, Program } from '../support/process.ts'
import { startProgram } from '../support/process.ts'
import type { Place, Places, Run, Scheme } from './places.ts'
import { startPlaces } from './places.ts'

/** What `test/programs/clients` says of a client. */
export interface Client {
  readonly name: string
  readonly scheme?: Scheme
  readonly follows?: boolean
  readonly retries?: boolean
  readonly limits?: boolean
  readonly proxied?: boolean
}

export type Mode = 'sampled' | 'unsampled' | 'no SDK'

export interface Bench {
  /** The token of a subject, always the same one. */
  token(subject: string): Promise<string>
  readonly places: Places
  /** What the service needs in its environment whatever it runs behind. */
  readonly env: Readonly<Record<string, string>>
  start(line: OtelLine, mode: Mode): Program
  [Symbol.asyncDispose](): Promise<void>
}

/** A request of a caller that has been accepted; `ended` resolves with how the call went. */
export interface Calling {
  readonly ended: Promise<string>
  leave(): void
}

export interface Call {
  readonly client: Client
  readonly url: string
  readonly token: string
  readonly own?: string
  readonly suppressed?: boolean
  readonly limited?: boolean
}

export async function startBench(scratch: string): Promise<Bench> {
  const tls = await createCertificates()
  const [issuer, places, proxy] = await Promise.all([startIssuer(), startPlaces(tls), startProxy()])
  const authority = join(scratch, 'authority.pem')
  writeFileSync(authority, tls.ca)
  const to = SCHEMES.flatMap((scheme) => NAMED.map((place) => places.origin(scheme, place)))
  const env = { PROXY_URL: proxy.url, NODE_EXTRA_CA_CERTS: authority }
  const tokens = new Map<string, Promise<string>>()
  return {
    token(subject) {
      const token = tokens.get(subject) ?? issuer.token({ sub: subject })
      tokens.set(subject, token)
      return token
    },
    places,
    env,
    start(line, mode) {
      const program = mode === 'no SDK' ? bare(issuer, to) : registered(issuer, to, mode)
      return startProgram('matrix.cjs', { ...program, line, env: { ...env, ...program.env } })
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([issuer[Symbol.asyncDispose](), places[Symbol.asyncDispose](), proxy.close()])
    },
  }
}

const SCHEMES: readonly Scheme[] = ['http', 'https', 'h2', 'grpc', 'grpcs']
const NAMED: readonly Place[] = ['named', 'alsoNamed']

interface Preloaded {
  readonly preload: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

function registered({ issuer }: TestIssuer, destinations: readonly string[], mode: Mode): Preloaded {
  return {
    preload: ['--require', 'otel-token-relay/register'],
    env: {
      TOKEN_RELAY_ISSUER: issuer,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      TOKEN_RELAY_DESTINATIONS: destinations.join(','),
      OTEL_TRACES_SAMPLER: mode === 'unsampled' ? 'always_off' : 'always_on',
    },
  }
}

function bare({ issuer }: TestIssuer, destinations: readonly string[]): Preloaded {
  const options = { issuers: [{ issuer, audience: 'user-service' }], destinations: destinations.map((to) => ({ to })) }
  return { preload: ['--require', './programs/bare.cjs'], env: { RELAY_OPTIONS: JSON.stringify(options) } }
}

/** Resolves once the service has begun to call. */
export async function begin(port: number, { client, url, token, ...flags }: Call): Promise<Calling> {
  const query = new URLSearchParams({ client: client.name, url })
  for (const [name, value] of Object.entries(flags)) query.set(name, String(value))
  const left = new AbortController()
  const response = await fetch(`http://127.0.0.1:${port}/?${query}`, {
    headers: { authorization: `Bearer ${token}` },
    signal: left.signal,
  })
  if (response.status !== 200) throw new Error(`the service answered ${response.status}`)
  const ended = response.text().catch(() => 'left')
  return { ended, leave: () => left.abort() }
}

/** Resolves with the hops that were there when the call had ended. */
export async function call(port: number, run: Run, each: Call): Promise<Run['arrivals']> {
  const { ended } = await begin(port, each)
  await ended
  return run.arrivals
}

/** A forward proxy, for absolute-form targets and for tunnels. */
async function startProxy(): Promise<{ readonly url: string; close(): Promise<void> }> {
  const tunnels = new Set<Duplex>()
  const server = createServer((incoming, response) => {
    const { url = '', method, headers } = incoming
    const forwarded = httpRequest(url, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502)
      answer.pipe(response)
    })
    forwarded.on('error', () => response.destroy())
    response.on('close', () => forwarded.destroy())
    incoming.pipe(forwarded)
  })
  server.on('connect', (incoming, client) => {
    const [host = '', port] = (incoming.url ?? '').split(':')
    const upstream = connect(Number(port), host, () => client.write('HTTP/1.1 200 OK\r\n\r\n'))
    upstream.pipe(client).pipe(upstream)
    // A server does not know its tunnels, nor connections on which TLS has not begun: none may stay.
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      tunnels.add(socket)
      socket.on('error', () => undefined).on('close', () => other.destroy())
    }
  })
  async function closeAll(): Promise<void> {
    for (const socket of tunnels) socket.destroy()
    await close(server)
  }
  return { url: `http://127.0.0.1:${await listen(server)}`, close: closeAll }
}
