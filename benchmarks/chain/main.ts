/**
 * `npm run bench:chain`: three services that call each other, all of them behind OpenTelemetry, with and without ways to take
 * a token along: one request at a time, and busy. Ratios are to OpenTelemetry alone, and to copying the header by hand, in
 * the same round of short slices; medians over rounds and sets of fresh processes.
 */

import process from 'node:process'
import { parseArgs } from 'node:util'
import { quartiles } from '../support/compare.ts'
import { showChain } from '../support/readme-chain.ts'
import { save } from '../support/results.ts'
import type { SigningAlgorithm } from '../support/tokens.ts'
import type { ChainInMode, Chains } from './chains.ts'
import { BASELINE, CONNECTIONS, COPY, MODES, TOKENS } from './chains.ts'
import type { Measured } from './load.ts'
import { load } from './load.ts'
import { PINS } from './processes.ts'
import { inRandomOrder, measureSets, medianAlone, ratioOf, summaryAlone } from './sets.ts'

const { values } = parseArgs({
  options: {
    alg: { type: 'string', default: 'RS256' },
    /** Of fresh processes. */
    sets: { type: 'string', default: '3' },
    /** So many sets that are too noisy are replaced. */
    retries: { type: 'string', default: '1' },
    /** Slices of each mode, one request at a time. */
    rounds: { type: 'string', default: '24' },
    /** Of one such slice. */
    requests: { type: 'string', default: '100' },
    /** Before the first slice. */
    warm: { type: 'string', default: '3000' },
    /** Slices of each mode with many connections. */
    busyRounds: { type: 'string', default: '5' },
    busyRequests: { type: 'string', default: '200' },
    mode: { type: 'string', multiple: true, default: MODES },
    /** Prints the table, however noisy the machine is, and saves nothing. */
    look: { type: 'boolean', default: false },
  },
})
const { alg } = values
const [sets = 0, retries = 0, rounds = 0, requests = 0] = [
  values.sets,
  values.retries,
  values.rounds,
  values.requests,
].map(Number)
const [warm = 0, busyRounds = 0, busyRequests = 0] = [values.warm, values.busyRounds, values.busyRequests].map(Number)
const modes = [...new Set([COPY, ...values.mode])]

type Busy = Pick<Measured, 'cpuMicros' | 'perSecond'>

/** By mode; the same place is the same round. */
async function measureBusy({ byMode, place }: Chains): Promise<ReadonlyMap<string, readonly Busy[]>> {
  place('many')
  const busy = new Map<string, Busy[]>([...byMode.keys()].map((mode) => [mode, []]))
  for (let round = 0; round < busyRounds; round += 1) {
    for (const each of inRandomOrder(byMode)) busy.get(each.mode)?.push(await busySlice(each))
  }
  return busy
}

async function busySlice({ chain, tokens }: ChainInMode): Promise<Busy> {
  // The first requests after a pause cost most in every chain.
  await load(chain, { connections: CONNECTIONS, requests: busyRequests / 2, tokens })
  return load(chain, { connections: CONNECTIONS, requests: busyRequests, tokens })
}

const plan = { alg: alg as SigningAlgorithm, modes, sets, retries, rounds, requests, warm }
const measured = await measureSets({ ...plan, keepNoisy: values.look }, measureBusy)

function busyOf(mode: string, what: keyof Busy): readonly number[] {
  return measured.flatMap(({ also }) => (also.get(mode) ?? []).map((slice) => slice[what]))
}

function against(mode: string, baseline: string) {
  return {
    alone: summaryAlone(measured, mode, baseline),
    cpu: ratioOf(busyOf(mode, 'cpuMicros'), busyOf(baseline, 'cpuMicros')),
    perSecond: ratioOf(busyOf(mode, 'perSecond'), busyOf(baseline, 'perSecond')),
  }
}

const results = {
  settings: {
    ...{ alg, sets, rounds, requests, warm, busyRounds, busyRequests },
    ...{ tokens: TOKENS, connections: CONNECTIONS, pinned: PINS },
  },
  spreads: measured.map(({ spread }) => spread),
  modes: [BASELINE, ...modes].map((mode) => ({
    mode,
    p50Micros: medianAlone(measured, mode, 'p50'),
    cpuMicros: quartiles(busyOf(mode, 'cpuMicros'))[1],
    to: { otel: against(mode, BASELINE), copy: against(mode, COPY) },
  })),
}
if (values.look) process.stdout.write(`${showChain(results, `chain-${alg}`)}\n`)
else await save(`chain-${alg}`, results)
