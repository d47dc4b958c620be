/** Checks a running program: whether its servers are behind the gate, and which of its clients are covered. */

import type { Environment } from '../../config/environment.ts'
import type { Settings } from '../../config/options.ts'
import { explainFor, nearMiss } from '../explain.ts'
import type { Check, Section } from '../report.ts'
import type { Entry, Observed, ReportedCall, ReportedServer, ReportedStart, ReportedState } from './observe.ts'
import { startObserved } from './observe.ts'
import { isWithin } from './packages.ts'
import { isRefused, loopbackOf } from './servers.ts'

export interface ProgramContext {
  readonly env: Environment
  /** `undefined` if the program makes its relay itself. */
  readonly settings: Settings | undefined
  /** In seconds. */
  readonly wait: number
}

/** How long the program may go on after its first server is open, to open others and to make calls. */
const SETTLE_MILLIS = 2_000

/** Starts `program`, and ends it. */
export async function checkProgram(program: readonly string[], context: ProgramContext): Promise<readonly Section[]> {
  const observed = await startObserved(program, context.env)
  try {
    const deadline = Date.now() + context.wait * 1000
    if (await observed.until((entries) => serversOf(entries).length > 0, deadline)) {
      await observed.until(() => false, Math.min(deadline, Date.now() + SETTLE_MILLIS))
    }
    const servers = await Promise.all(
      serversOf(observed.entries()).map((server) => checkServer(server, observed, context)),
    )
    const entries = observed.entries()
    return [
      { title: 'Servers', checks: [...checkStart(entries, observed, context.wait), ...servers] },
      { title: 'Clients', checks: [...checkClients(entries), ...checkCalls(entries, context.settings)] },
    ]
  } finally {
    await observed.end()
  }
}

/** The workers of a cluster share one address. */
function serversOf(entries: readonly Entry[]): readonly ReportedServer[] {
  const servers = entries.filter((entry) => entry.kind === 'server')
  return [
    ...new Map(
      servers.map((server) => [`${server.pid} ${server.thread} ${server.host} ${server.port}`, server]),
    ).values(),
  ]
}

function stateOf(entries: readonly Entry[], { pid, thread }: Pick<Entry, 'pid' | 'thread'>): ReportedState | undefined {
  return entries.findLast((entry) => entry.kind === 'state' && entry.pid === pid && entry.thread === thread) as
    | ReportedState
    | undefined
}

function checkStart(entries: readonly Entry[], observed: Observed, wait: number): readonly Check[] {
  const id = 'program.start'
  const starts = entries.filter((entry): entry is ReportedStart => entry.kind === 'start')
  const ended = observed.hasEnded() ? `it ended with exit code ${observed.exitCode() ?? 'none'}` : undefined
  if (starts.length === 0) {
    const text = `the program did not load the probe${ended === undefined ? '' : `: ${ended}`}`
    const advice = 'it must be run by Node.js 22.15 or later, and must not replace NODE_OPTIONS'
    return [{ id, status: 'finding', text, advice }]
  }
  const old = starts.find(({ node }) => !isWithin(node, '22.15.0', '999.0.0'))
  const version: readonly Check[] =
    old === undefined
      ? []
      : [{ id, status: 'finding', text: `the program runs on Node.js ${old.node}: 22.15 or later is needed` }]
  if (serversOf(entries).length > 0) return version
  const text = ended === undefined ? `no server was opened within ${wait} seconds` : `no server was opened: ${ended}`
  const advice = ended === undefined ? 'give it more time with --wait SECONDS' : 'its output is above'
  return [...version, { id, status: 'finding', text, advice }]
}

/** Adapters, or nothing, decide in place of the gate: then it is not asked, so that no handler of the program runs. */
async function checkServer(server: ReportedServer, observed: Observed, { settings }: ProgramContext): Promise<Check> {
  const id = 'program.server'
  const place = placeOf(server)
  const state = stateOf(observed.entries(), server)
  if (state?.relay === undefined) {
    const advice =
      'load it first: node --import otel-token-relay/register app.js. A start command or a process manager may drop NODE_OPTIONS'
    return { id, status: 'finding', text: `${place} is NOT behind the gate: no relay is in its process`, advice }
  }
  const mode = settings?.ingress.mode
  if (state.gate !== 'closed') return withoutGate(place, state, mode)
  // In other modes than `require`, a request without a token may reach a handler.
  if (mode !== 'require' || loopbackOf(server) === undefined) {
    return { id, status: 'ok', text: `${place} is behind the gate, as its process says` }
  }
  const refused = await isRefused(server)
  if (refused === true) return { id, status: 'ok', text: `${place} is behind the gate: it answers 401 without a token` }
  const problem = refused === undefined ? 'did not answer' : 'let a request without a token pass'
  return { id, status: 'finding', text: `${place} ${problem}, although a relay with a gate is in its process` }
}

function withoutGate(place: string, { gate, hasAdapter }: ReportedState, mode: string | undefined): Check {
  const id = 'program.server'
  if (gate === 'open' && mode === 'report') {
    return { id, status: 'note', text: `${place}: no request is refused, because ingress.mode is report` }
  }
  if (hasAdapter) return { id, status: 'ok', text: `${place} has no gate: adapters decide about its requests` }
  if (gate === 'none') {
    const advice = "read relay.instrumentation, or set ingress.mode: 'require'"
    const text = `${place} is NOT behind the gate: the relay in its process has none`
    return { id, status: 'finding', text, advice }
  }
  const text = `${place} is NOT behind the gate: ingress.mode is ${mode ?? 'off or report'}, and no adapter is in use`
  return { id, status: 'finding', text, advice: 'use an adapter on every route, or set ingress.mode to require' }
}

function placeOf({ type, host, port, pid, thread }: ReportedServer): string {
  const address = port === undefined ? 'on a path' : `${host?.includes(':') ? `[${host}]` : host}:${port}`
  return `${type} ${address} (process ${pid}${thread === 0 ? '' : `, thread ${thread}`})`
}

/** The oldest versions that the relay can see. */
const OLDEST: Readonly<Record<string, string>> = { undici: '5.0.0', '@grpc/grpc-js': '1.10.0' }

function checkClients(entries: readonly Entry[]): readonly Check[] {
  const states = [
    ...new Map(entries.filter((entry) => entry.kind === 'state').map((state) => [state.pid, state])).values(),
  ]
  const covered = states.filter(({ relay }) => relay !== undefined)
  if (covered.length === 0) return []
  const clients = [...new Set(covered.flatMap((state) => state.clients))]
  const old = clients.filter((client) => !isWithin(versionOf(client), OLDEST[nameOf(client)] ?? '0.0.0', '999.0.0'))
  const builtin = ['fetch', 'node:http', 'node:https', 'node:http2']
  const good = [...builtin, ...clients.filter((client) => !old.includes(client))]
  const id = 'program.clients'
  return [
    { id, status: 'ok', text: `covered: ${good.join(', ')}` },
    ...old.map(
      (client): Check => ({ id, status: 'finding', text: `${client} is too old to be covered: it sends no token` }),
    ),
  ]
}

const nameOf = (client: string): string => client.slice(0, client.lastIndexOf(' '))
const versionOf = (client: string): string => client.slice(client.lastIndexOf(' ') + 1)

/** What the program has called while it was watched. */
function checkCalls(entries: readonly Entry[], settings: Settings | undefined): readonly Check[] {
  const own = new Set((settings?.issuers ?? []).flatMap(({ issuer, jwksUri }) => [issuer, jwksUri].flatMap(originOf)))
  const calls = entries.filter((entry): entry is ReportedCall => entry.kind === 'call')
  const distinct = new Map(calls.map((call) => [`${call.client} ${call.destination}`, call]))
  return [...distinct.values()]
    .filter(({ destination }) => !own.has(destination))
    .map((call) => checkCall(call, settings))
}

function originOf(url: string | undefined): readonly string[] {
  return url !== undefined && URL.canParse(url) ? [new URL(url).origin] : []
}

function checkCall({ client, destination, explanation }: ReportedCall, settings: Settings | undefined): Check {
  const id = 'program.call'
  const { verdict, reason, rule } = settings === undefined ? (explanation ?? {}) : explainFor(settings, destination)
  const call = `${client} called ${destination}`
  if (verdict === undefined) return { id, status: 'note', text: `${call}: no relay is in its process` }
  if (verdict !== 'withhold') return { id, status: 'ok', text: `${call}: ${rule} names it, a caller's token is sent` }
  const near = settings === undefined ? undefined : nearMiss(destination, settings.rules)
  const text = `${call}: a caller's token is withheld (${reason})`
  // Another port is often another service of the same machine; another scheme on the same port never is.
  if (near?.differs === 'scheme') return { id, status: 'finding', text, advice: near.advice }
  const advice = reason === 'not_named' ? `if tokens shall go there: { to: '${destination}' }` : undefined
  return { id, status: 'note', text, advice }
}
