/** G1 F12 Interleaved callers over every client: whose request it is must be whose token it carries. */

import type { Random } from '../fuzz/random.ts'
import { createRandom } from '../fuzz/random.ts'
import { startIssuer } from '../support/issuer.ts'
import type { OtelLine, Program } from '../support/process.ts'
import type { EchoSink } from './echo.ts'
import { startEchoSink } from './echo.ts'
import type { Build, Caller, Plan, PlannedCall, RigClient } from './service.ts'
import { createCaller, startService } from './service.ts'

export interface IdentityOptions {
  readonly seed: number
  /** How many requests arrive at the sink, at least. */
  readonly requests: number
  readonly build?: Build
  readonly line?: OtelLine
  readonly subjects?: number
  /** Whether tokens go on once their caller has gone; `withhold` unless said. */
  readonly detached?: 'withhold' | 'allow'
  /** Processes of the service. */
  readonly processes?: number
  readonly onProgress?: (report: IdentityReport) => void
}

export interface IdentityReport {
  readonly seed: number
  /** Outgoing requests that have arrived. */
  readonly requests: number
  readonly right: number
  /** Without a token because the caller had left: the work has no caller then. */
  readonly left: number
  /** Without a token though the caller was there. */
  readonly missing: number
  readonly wrong: number
  /** The first wrong and missing ones, by client. */
  readonly examples: readonly string[]
  /** Clients with wrong or missing ones. */
  readonly faulty: readonly string[]
  /** The first calls that failed though nothing was to go wrong with them. */
  readonly failures: readonly string[]
  readonly clients: number
  readonly seconds: number
  readonly perSecond: number
}

/** Callers at the same time, per process. */
const CALLERS = 24
const CALLS_PER_CALLER = 16

export async function runIdentityRig(options: IdentityOptions): Promise<IdentityReport> {
  const { seed, requests, build = 'relay', subjects = 200, processes = 1, detached = 'withhold' } = options
  await using issuer = await startIssuer()
  const tokens = await Promise.all(
    Array.from({ length: subjects }, (_, i) => issuer.token({ sub: `subject-${i}`, exp: inSixHours() })),
  )
  await using sink = await startEchoSink(tokens)
  const relay = {
    issuers: [{ issuer: issuer.issuer, audience: 'user-service', keySet: { timeoutMillis: 60_000 } }],
    destinations: [sink.origin, sink.grpcOrigin].map((to) => ({ to, detached })),
  }
  const start = (): Program =>
    startService({ build, relay, ...(options.line === undefined ? {} : { line: options.line }) })
  await using services = manyOf(processes, start)
  const clients = (await (services.all[0] as Program).report<readonly RigClient[]>('clients')).filter(isSuitable)
  const ways = await (services.all[0] as Program).report<readonly string[]>('ways')

  const began = Date.now()
  const left = new Set<string>()
  const random = createRandom(seed)
  let asked = 0
  const report = (): IdentityReport =>
    summarize({ seed, sink, left, began, clients: clients.length, failures: failuresOf(services.all) })
  async function lane(caller: Caller): Promise<void> {
    while (sink.counts.right + sink.counts.none + sink.counts.wrong < requests) {
      asked += 1
      const id = String(asked)
      const subject = random.integer(subjects)
      const plan = planOf({ random, clients, ways, sink, path: `/${subject}/${id}` })
      const leaveMillis = random.integer(40) === 0 ? random.integer(12) : undefined
      if (leaveMillis !== undefined) left.add(id)
      const status = await caller.ask('/work', tokens[subject], { body: plan, leaveMillis })
      if (status !== 200 && !left.has(id)) throw new Error(`the service answered ${status}`)
      if (asked % 500 === 0) options.onProgress?.(report())
    }
  }
  await eachProcess(services.all, async (port) => {
    const caller = createCaller(port)
    await Promise.all(Array.from({ length: CALLERS }, () => lane(caller)))
    caller.close()
  })
  return report()
}

const inSixHours = (): number => Math.floor(Date.now() / 1000) + 21_600

/** Clear text through a proxy gets no token anyway; TLS would only cost time here. */
const isSuitable = ({ proxied, scheme = 'http', astray }: RigClient): boolean =>
  !proxied && !astray && (scheme === 'http' || scheme === 'grpc')

interface Planning {
  readonly random: Random
  readonly clients: readonly RigClient[]
  readonly ways: readonly string[]
  readonly sink: EchoSink
  readonly path: string
}

function planOf(planning: Planning): Plan {
  return { calls: Array.from({ length: CALLS_PER_CALLER }, (_, i) => plannedCall(planning, i)) }
}

function plannedCall({ random, clients, ways, sink, path }: Planning, i: number): PlannedCall {
  const client = random.pick(clients)
  const isAborted = random.integer(16) === 0
  const behaviour = isAborted ? random.pick(['hang', 'slow', 'ok']) : behaviourFor(client, random)
  const call = {
    client: client.name,
    way: random.pick(ways),
    url: `${client.scheme === 'grpc' ? sink.grpcOrigin : sink.origin}${path}/${i}/${encodeURIComponent(client.name)}/${behaviour}`,
  }
  return isAborted ? { ...call, abortMillis: random.integer(6) } : { ...call, mustSucceed: true }
}

function behaviourFor({ follows, retries }: RigClient, random: Random): string {
  const plain = ['ok', 'ok', 'ok', 'slow']
  return random.pick([...plain, ...(follows ? ['moved', 'moved'] : []), ...(retries ? ['flaky', 'flaky'] : [])])
}

interface Summary {
  readonly seed: number
  readonly sink: EchoSink
  readonly left: ReadonlySet<string>
  readonly began: number
  readonly clients: number
  readonly failures: readonly string[]
}

const failuresOf = (programs: readonly Program[]): string[] =>
  programs.flatMap(({ reported }) => (reported['failures'] as string[] | undefined) ?? [])

function summarize({ seed, sink, left, began, clients, failures }: Summary): IdentityReport {
  const { right, none, wrong } = sink.counts
  const missing = sink.without.filter(({ id }) => !left.has(id))
  const seconds = (Date.now() - began) / 1000
  const requests = right + none + wrong
  return {
    seed,
    requests,
    right,
    left: none - missing.length,
    missing: missing.length,
    wrong,
    examples: [
      ...sink.wrong.map(({ client, subject, id }) => `${client} ${subject}/${id}`),
      ...missing.map(({ client, id }) => `${client} without, ${id}`),
    ].slice(0, 20),
    faulty: [...new Set([...sink.wrong, ...missing].map(({ client }) => client))].sort(),
    failures,
    clients,
    seconds,
    perSecond: Math.round(requests / seconds),
  }
}

function manyOf(count: number, start: () => Program): AsyncDisposable & { readonly all: readonly Program[] } {
  const all = Array.from({ length: count }, start)
  return {
    all,
    async [Symbol.asyncDispose]() {
      await Promise.all(all.map((program) => program[Symbol.asyncDispose]()))
    },
  }
}

async function eachProcess(programs: readonly Program[], use: (port: number) => Promise<void>): Promise<void> {
  await Promise.all(programs.map(async (program) => use(await program.report<number>('port'))))
}
