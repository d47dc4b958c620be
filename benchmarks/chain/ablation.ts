/**
 * `npm run bench:ablation`: the chain with parts of the relay taken out, one request at a time, to see what each part
 * costs: time, CPU of the relay's own code, and memory that is allocated. `variants.cjs` says how they are taken out.
 */

import process from 'node:process'
import { parseArgs } from 'node:util'
import { quartiles } from '../support/compare.ts'
import { showAblation } from '../support/readme-chain.ts'
import { save } from '../support/results.ts'
import type { SigningAlgorithm } from '../support/tokens.ts'
import type { ChainInMode, Chains } from './chains.ts'
import { ABLATION, BASELINE } from './chains.ts'
import { FIRST, inRandomOrder, measureSets, medianAlone, summaryAlone } from './sets.ts'
import { spentIn } from './spent.ts'

const { values } = parseArgs({
  options: {
    alg: { type: 'string', default: 'RS256' },
    sets: { type: 'string', default: '3' },
    retries: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '15' },
    requests: { type: 'string', default: '80' },
    warm: { type: 'string', default: '2000' },
    /** In each set: requests of each mode under the profiler, and then while allocations are counted. */
    profiled: { type: 'string', default: '400' },
    mode: { type: 'string', multiple: true, default: ABLATION },
    /** Prints the table, however noisy the machine is, and saves nothing. */
    look: { type: 'boolean', default: false },
  },
})
const numbers = [values.sets, values.retries, values.rounds, values.requests, values.warm, values.profiled].map(Number)
const [sets = 0, retries = 0, rounds = 0, requests = 0, warm = 0, profiled = 0] = numbers
/** Between two samples. */
const INTERVAL_MICROS = 250
/** In each set, for the costs beside the time. */
const COST_SLICES = 5

interface Cost {
  /** Microseconds per request. */
  readonly own: number
  /** The same, with what the relay calls. */
  readonly withCalls: number
  readonly bytes: number
}

async function costOf({ chain, client }: ChainInMode, requests: number): Promise<Cost> {
  await client.times(FIRST)
  await chain.count()
  await client.times(requests)
  const bytes = (await chain.counted()) / requests
  await chain.record(INTERVAL_MICROS)
  await client.times(requests)
  const spent = (await chain.recorded()).map((profile) => spentIn(profile, INTERVAL_MICROS))
  const own = spent.reduce((sum, { underRelay }) => sum + (underRelay.get('relay') ?? 0), 0)
  const withCalls = spent.flatMap(({ underRelay }) => [...underRelay.values()]).reduce((sum, micros) => sum + micros, 0)
  return { own: own / requests, withCalls: withCalls / requests, bytes }
}

/** By mode. */
async function costs({ byMode }: Chains): Promise<ReadonlyMap<string, readonly Cost[]>> {
  const all = new Map<string, Cost[]>([...byMode.keys()].map((mode) => [mode, []]))
  for (let slice = 0; slice < COST_SLICES; slice += 1) {
    for (const each of inRandomOrder(byMode)) all.get(each.mode)?.push(await costOf(each, profiled / COST_SLICES))
  }
  return all
}

const plan = { alg: values.alg as SigningAlgorithm, modes: values.mode, sets, retries, rounds, requests, warm }
const measured = await measureSets({ ...plan, keepNoisy: values.look }, costs)
const middle = (mode: string, what: keyof Cost): number =>
  quartiles(measured.flatMap(({ also }) => (also.get(mode) ?? []).map((cost) => cost[what])))[1]
const results = {
  settings: { alg: values.alg, sets, rounds, requests, warm, profiled, intervalMicros: INTERVAL_MICROS },
  spreads: measured.map(({ spread }) => spread),
  modes: [BASELINE, ...values.mode].map((mode) => ({
    mode,
    p50Micros: medianAlone(measured, mode, 'p50'),
    ...summaryAlone(measured, mode, BASELINE),
    own: middle(mode, 'own'),
    withCalls: middle(mode, 'withCalls'),
    bytes: middle(mode, 'bytes'),
  })),
}
if (values.look) process.stdout.write(`${showAblation(results)}\n`)
else await save('ablation', results)
