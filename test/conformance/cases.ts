/** The columns of the matrix: what is done with a client, and what must come out for every client. */

import type { Bench, Call, Client } from './bench.ts'
import { begin, call } from './bench.ts'
import type { Place, Run } from './places.ts'
import { hops, OWN } from './verdict.ts'

export interface Case {
  readonly name: string
  /** What it means, for the page. */
  readonly meaning: string
  /** Why it cannot be tried with `client`, or `undefined`. */
  readonly inapplicable?: (client: Client) => string | undefined
  readonly expected: (client: Client) => string
  readonly run: (service: Service, client: Client) => Promise<string>
}

interface Service {
  readonly bench: Bench
  readonly port: number
}

const CALLERS = 4

/** A request in clear text through a forward proxy: the proxy would read the token. */
const isRead = ({ proxied, scheme }: Client): boolean => proxied === true && (scheme ?? 'http') === 'http'
const carried = (client: Client): string => (isRead(client) ? 'none' : 'token')
const unlessItFollows = ({ follows }: Client) => (follows ? undefined : 'follows no redirects')

export const CASES: readonly Case[] = [
  {
    name: 'allowed',
    meaning: 'the destination is named',
    expected: carried,
    run: (service, client) => single(service, client, 'named'),
  },
  {
    name: 'not allowed',
    meaning: 'the destination is not named',
    expected: () => 'none',
    run: (service, client) => single(service, client, 'other'),
  },
  {
    name: 'redirect within',
    meaning: 'a named origin redirects to itself',
    inapplicable: unlessItFollows,
    expected: () => 'token → token',
    run: (service, client) => redirected(service, client, ['named', 'named']),
  },
  {
    name: 'redirect out and back',
    meaning: 'a named origin redirects to one that is not named, which redirects to a named one',
    inapplicable: unlessItFollows,
    expected: () => 'token → none → token',
    run: (service, client) => redirected(service, client, ['named', 'other', 'alsoNamed']),
  },
  {
    name: 'own credential',
    meaning: 'the application sets `Authorization` itself',
    expected: () => 'own',
    run: (service, client) => single(service, client, 'named', { own: OWN }),
  },
  {
    name: 'suppressed',
    meaning: 'tracing is suppressed, which is how exporters call',
    expected: () => 'none',
    run: (service, client) => single(service, client, 'named', { suppressed: true }),
  },
  {
    name: 'pooled',
    meaning: `${CALLERS} callers at the same time over two connections; over one channel for gRPC`,
    inapplicable: ({ limits }) => (limits ? undefined : 'cannot limit its connections'),
    expected: (client) => (isRead(client) ? 'none' : 'each its own'),
    run: pooled,
  },
  {
    name: 'retries',
    meaning: 'the first answer is 503; UNAVAILABLE for gRPC',
    inapplicable: ({ retries }) => (retries ? undefined : 'does not retry'),
    expected: () => 'token → token',
    run: retried,
  },
  {
    name: 'aborted',
    meaning: 'the caller leaves while its request hangs, and others wait for the connection',
    expected: (client) => (isRead(client) ? 'none' : 'each its own'),
    run: aborted,
  },
]

type Flags = Pick<Call, 'own' | 'suppressed'>

async function single(service: Service, client: Client, place: Place, flags: Flags = {}): Promise<string> {
  const run = service.bench.places.run()
  const token = await service.bench.token('alice')
  const url = run.url(originOf(service, client, place), 'only')
  return hops(await call(service.port, run, { client, url, token, ...flags }), token)
}

async function redirected(service: Service, client: Client, places: readonly Place[]): Promise<string> {
  const run = service.bench.places.run()
  const urls = places.map((place, i) => run.url(originOf(service, client, place), String(i)))
  for (const [i, location] of urls.slice(1).entries()) {
    run.meets(String(i), { kind: 'redirect', status: 302, location })
  }
  const token = await service.bench.token('alice')
  return hops(await call(service.port, run, { client, url: urls[0] ?? '', token }), token)
}

async function retried(service: Service, client: Client): Promise<string> {
  const run = service.bench.places.run()
  run.meets('only', { kind: 'flaky' })
  const token = await service.bench.token('alice')
  const url = run.url(originOf(service, client, 'named'), 'only')
  return hops(await call(service.port, run, { client, url, token }), token)
}

async function pooled(service: Service, client: Client): Promise<string> {
  const run = service.bench.places.run()
  const callers = await callersOf(service, client, run)
  await Promise.all(callers.map(async (each) => (await begin(service.port, each)).ended))
  return eachIts(run, callers)
}

async function aborted(service: Service, client: Client): Promise<string> {
  const run = service.bench.places.run()
  const [first, ...others] = await callersOf(service, client, run)
  if (first === undefined) throw new Error('there is no call')
  run.meets('caller-0', { kind: 'hang' })
  const hanging = await begin(service.port, first)
  await run.arrived(1)
  const waiting = await Promise.all(others.map((each) => begin(service.port, each)))
  hanging.leave()
  await Promise.all(waiting.map(({ ended }) => ended))
  return eachIts(run, [first, ...others])
}

/** Callers with a token each; the step that they ask for is called after them. */
function callersOf({ bench }: Service, client: Client, run: Run): Promise<Call[]> {
  return Promise.all(
    Array.from({ length: CALLERS }, async (_, i) => ({
      client,
      url: run.url(bench.places.origin(client.scheme ?? 'http', 'named'), `caller-${i}`),
      token: await bench.token(`caller-${i}`),
      limited: true,
    })),
  )
}

function eachIts({ arrivals }: Run, callers: readonly Call[]): string {
  const verdicts = callers.map(({ token }, i) => {
    const own = arrivals.filter(({ step }) => step === `caller-${i}`)
    return hops(own, token)
  })
  const [first, ...others] = verdicts
  const same = others.every((verdict) => verdict === first)
  if (!same) return verdicts.join(', ')
  return first === 'token' ? 'each its own' : String(first)
}

function originOf({ bench }: Service, client: Client, place: Place): string {
  return bench.places.origin(client.scheme ?? 'http', place)
}
