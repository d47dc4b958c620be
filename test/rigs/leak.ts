/** Sinks that keep raw bytes, and tokens that are known by heart: no piece of a token is where it was not sent. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCanaries } from '../../src/testing/pieces.ts'
import type { Random } from '../fuzz/random.ts'
import { createRandom } from '../fuzz/random.ts'
import { createCertificates } from '../support/certificates.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { OtelLine } from '../support/process.ts'
import { startGrpcRecorder } from './grpc-recorder.ts'
import type { LeakPlaces, Planning } from './leak-plan.ts'
import { isPlanned, planCall } from './leak-plan.ts'
import type { LeakTokens } from './leak-tokens.ts'
import { createLeakTokens } from './leak-tokens.ts'
import type { Ledger, LedgerCounts } from './ledger.ts'
import { createLedger } from './ledger.ts'
import type { Recorder } from './recorder.ts'
import { answerAsTold, proxyRequest, startRecorder } from './recorder.ts'
import type { Build, Caller, RigClient } from './service.ts'
import { createCaller, startService } from './service.ts'

export interface LeakOptions {
  readonly seed: number
  /** How many requests are planned, at least. */
  readonly requests: number
  readonly build?: Build
  readonly line?: OtelLine
  readonly onProgress?: (report: LeakReport) => void
}

export interface LeakReport extends Readonly<LedgerCounts> {
  readonly seed: number
  readonly planned: number
  /** Where a piece of a token was found that had no business there, how, and how often. */
  readonly leaks: Readonly<Record<string, number>>
  readonly examples: readonly string[]
  readonly scannedBytes: number
  /** Sinks that have received nothing: the run says nothing about them. */
  readonly silent: readonly string[]
  readonly canaries: number
  readonly clients: number
  readonly seconds: number
}

const GOOD = 60
const CALLERS = 16
const CALLS_PER_CALLER = 8
/** Visits between two looks at the sinks. */
const ROUND = 128

export async function runLeakRig(options: LeakOptions): Promise<LeakReport> {
  const scratch = mkdtempSync(join(tmpdir(), 'leak-rig-'))
  try {
    return await runIn(scratch, options)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function runIn(scratch: string, { seed, requests, build = 'relay', line, onProgress }: LeakOptions) {
  await using issuer = await startIssuer()
  const [ledger, canaries] = [createLedger(), createCanaries()]
  await using sinks = await startSinks(scratch, ledger)
  const tokens = await createLeakTokens(issuer, canaries, GOOD)
  const began = Date.now()
  const program = startService({
    build,
    ...(line === undefined ? {} : { line }),
    relay: relayOptions(issuer, sinks.places),
    env: { ...sinks.env, ...TRACING, OTEL_EXPORTER_OTLP_ENDPOINT: sinks.collector.origin },
  })
  await using _ = program
  const clients = (await program.report<readonly RigClient[]>('clients')).filter(isPlanned)
  const ways = await program.report<readonly string[]>('ways')
  const planning = { random: createRandom(seed), ledger, places: sinks.places, clients, ways }
  const caller = createCaller(await program.report<number>('port'))
  const leaks = new Map<string, number>()
  const progress = { planned: 0, scannedBytes: 0 }
  let rounds = 0
  const silent = new Set(sinks.recorders.map(({ name }) => name))

  const keyFetches = (): number => issuer.requests.filter(({ target }) => target === '/jwks').length
  const report = (): LeakReport => ({
    seed,
    ...progress,
    ...ledger.counts,
    leaks: Object.fromEntries(leaks),
    examples: ledger.examples,
    silent: [...silent],
    canaries: canaries.size,
    clients: clients.length,
    seconds: (Date.now() - began) / 1000,
  })
  function look(name: string, text: string): void {
    silent.delete(name)
    progress.scannedBytes += text.length
    const leak = canaries.find(text)
    if (leak !== undefined) leaks.set(`${name}, ${leak.encoding}`, (leaks.get(`${name}, ${leak.encoding}`) ?? 0) + 1)
  }

  while (progress.planned < requests) {
    await round({ planning, caller, tokens, isGuarded: build !== 'naive', keyFetches, waits: rounds % 8 === 0 })
    rounds += 1
    progress.planned += ROUND * CALLS_PER_CALLER
    lookAtSinks(sinks.recorders, look)
    onProgress?.(report())
  }
  caller.close()
  await program.stop()
  lookAtSinks(sinks.recorders, look)
  look('issuer', JSON.stringify(issuer.requests))
  look('output', program.stdout() + program.stderr())
  return report()
}

const TRACING = { OTEL_TRACES_EXPORTER: 'otlp', OTEL_TRACES_SAMPLER: 'always_on' }

/** Looks for keys that are not published; besides the fetch at the start, the only ones in the hours of this key set. */
const LOOKS = 4
const KEY_SET = { timeoutMillis: 60_000, cooldownMillis: 4 * 21_600_000, maxAgeMillis: 2 * 21_600_000 }

function relayOptions({ issuer }: TestIssuer, { named }: LeakPlaces): object {
  return {
    issuers: [{ issuer, audience: 'user-service', clockToleranceSeconds: 0, keySet: KEY_SET }],
    destinations: [...named.http, ...named.https, ...named.grpc].map((to) => ({ to })),
    ingress: { publicPaths: ['/public/*'] },
  }
}

/** What belongs to the caller on its own request line is compared with the ledger, not looked for. */
function lookAtSinks(recorders: readonly Recorder[], look: (name: string, text: string) => void): void {
  for (const { name, isNamed, take } of recorders) {
    for (const text of take()) look(name, isNamed ? text.replace(/^authorization: Bearer [^\r\n]*/gim, '') : text)
  }
}

interface Round {
  readonly planning: Planning
  readonly caller: Caller
  readonly tokens: LeakTokens
  /** Whether bad tokens are refused. */
  readonly isGuarded: boolean
  /** How often the issuer has been asked for its keys. */
  readonly keyFetches: () => number
  /** Whether a token expires in this round, which takes some seconds. */
  readonly waits: boolean
}

async function round(around: Round): Promise<void> {
  let left = ROUND
  const special = Promise.all([around.waits ? expiresAtWork(around) : undefined, revokedAtWork(around)])
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      await visit(around)
    }
  }
  await Promise.all([special, ...Array.from({ length: CALLERS }, lane)])
}

type Kind = 'good' | 'good at a public path' | 'bad' | 'bad at a public path' | 'no token'
const KINDS: readonly Kind[] = [
  'good',
  'good',
  'good',
  'good',
  'good at a public path',
  'bad',
  'bad at a public path',
  'no token',
]

/** A caller with any kind of token, who may hang up, and who shows it in other places too (F2). */
async function visit({ planning, caller, tokens, isGuarded, keyFetches }: Round): Promise<void> {
  const { random } = planning
  const kind = random.pick(KINDS)
  const canary = random.pick(kind.startsWith('bad') ? tokens.bad : tokens.good)
  const { token } = canary
  const leaves = random.integer(20) === 0
  const isRefused = kind === 'bad' || kind === 'no token'
  const holder = { token, isGood: kind === 'good', isRefused, mayLeave: leaves }
  const calls = Array.from({ length: CALLS_PER_CALLER }, () => planCall(planning, holder))
  const status = await caller.ask(kind.endsWith('public path') ? '/public/work' : '/work', shown(kind, token), {
    body: { calls },
    headers: elsewhereToo(token, random),
    leaveMillis: leaves ? random.integer(12) : undefined,
  })
  // Undecided is right once the looks are used up, and for such a token alone.
  const isUndecided = kind === 'bad' && canary.takesLook === true && status === 503 && keyFetches() > LOOKS
  const isExpected = isUndecided || status === (isRefused ? 401 : 200)
  if (isGuarded && !leaves && !isExpected) throw new Error(`${kind} ${canary.defect}: the service answered ${status}`)
}

const shown = (kind: Kind, token: string): string | undefined => (kind === 'no token' ? undefined : token)

function elsewhereToo(token: string, random: Random): Record<string, string> {
  const name = random.pick([
    'cookie',
    'x-forwarded-access-token',
    'dpop',
    'proxy-authorization',
    'baggage',
    'tracestate',
  ])
  const value = name === 'cookie' || name === 'baggage' || name === 'tracestate' ? `session=${token}` : token
  // W3C context is propagated as it came: that is the instrumentation's word, not the relay's.
  return name === 'baggage' || name === 'tracestate' ? {} : { [name]: value }
}

/** B5 The token is good when it comes, and has ended when the calls are made. */
async function expiresAtWork({ planning, caller, tokens }: Round): Promise<void> {
  const { token } = await tokens.fresh(2)
  const until = (Math.floor(Date.now() / 1000) + 3) * 1000
  const calls = callsOfNobody(planning, token)
  await caller.ask('/work', token, { body: { calls, until } })
}

/** C5 The token is revoked while its request is held. */
async function revokedAtWork({ planning, caller, tokens }: Round): Promise<void> {
  const { token } = await tokens.fresh(3_600)
  const hold = String(planning.ledger.enter('held', token, true))
  const { promise: isHeld, resolve: onStatus } = Promise.withResolvers<void>()
  const working = caller.ask('/work', token, { body: { calls: callsOfNobody(planning, token), hold }, onStatus })
  const early = await Promise.race([isHeld, working])
  if (early !== undefined) throw new Error(`the request that should be held has ended with ${early}`)
  await caller.ask('/revoke', token)
  await caller.ask(`/release?hold=${hold}`, tokens.good[0]?.token)
  await working
}

function callsOfNobody(planning: Planning, token: string) {
  const holder = { token, isGood: false, isRefused: false, mayLeave: false }
  return Array.from({ length: CALLS_PER_CALLER }, () => planCall(planning, holder))
}

interface Sinks extends AsyncDisposable {
  readonly recorders: readonly Recorder[]
  readonly collector: Recorder
  readonly places: LeakPlaces
  readonly env: Readonly<Record<string, string>>
}

async function startSinks(scratch: string, ledger: Ledger): Promise<Sinks> {
  const tls = await createCertificates()
  const authority = join(scratch, 'authority.pem')
  writeFileSync(authority, tls.ca)
  const compared: typeof answerAsTold = (request, response) => {
    ledger.compare(request)
    answerAsTold(request, response)
  }
  const named = await startRecorder({ name: 'named', isNamed: true, onRequest: compared })
  const path = join(scratch, 'socket')
  const [also, secure, grpc, other, neighbour, otherSecure, otherGrpc, elsewhere, socket, proxy, collector] =
    await Promise.all([
      startRecorder({ name: 'also named', isNamed: true, onRequest: compared }),
      startRecorder({ name: 'named, https', isNamed: true, onRequest: compared, tls }),
      startGrpcRecorder({ name: 'named, gRPC', isNamed: true, onCall: ledger.compare }),
      startRecorder({ name: 'another port' }),
      startRecorder({ name: 'another host, same port', host: '127.0.0.2', port: named.port }),
      startRecorder({ name: 'another port, https', tls }),
      startGrpcRecorder({ name: 'another port, gRPC' }),
      startRecorder({ name: 'elsewhere' }),
      startRecorder({ name: 'elsewhere, Unix socket', path }),
      startRecorder({ name: 'proxy', onRequest: proxyRequest }),
      startRecorder({ name: 'collector' }),
    ])
  const inside = [named, also, secure, grpc]
  const recorders = [...inside, other, neighbour, otherSecure, otherGrpc, elsewhere, socket, proxy, collector]
  return {
    recorders,
    collector,
    places: {
      named: { http: [named.origin, also.origin], https: [secure.origin], grpc: [grpc.origin] },
      unnamed: {
        http: [other.origin, neighbour.origin, `http://localhost:${named.port}`],
        https: [otherSecure.origin, `https://127.0.0.1:${secure.port}`],
        grpc: [otherGrpc.origin, `grpc://localhost:${grpc.port}`],
      },
    },
    env: {
      ELSEWHERE: elsewhere.origin,
      ELSEWHERE_SOCKET: path,
      PROXY_URL: proxy.origin,
      NODE_EXTRA_CA_CERTS: authority,
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(recorders.map((recorder) => recorder[Symbol.asyncDispose]()))
    },
  }
}
