/**
 * `npm run bench:chain`: three services that call each other, all of them behind OpenTelemetry, with and without ways to take
 * a token along. Ratios are to OpenTelemetry alone, in the same round of short slices; medians over rounds and fresh processes.
 */

import process from 'node:process'
import { parseArgs } from 'node:util'
import { quartiles } from '../support/compare.ts'
import { save } from '../support/results.ts'
import type { SigningAlgorithm } from '../support/tokens.ts'
import type { ChainInMode, Chains } from './chains.ts'
import { BASELINE, CONNECTIONS, MODES, startChains, TOKENS } from './chains.ts'
import { load } from './load.ts'
import { PINS } from './processes.ts'

const { values } = parseArgs({
  options: {
    alg: { type: 'string', default: 'RS256' },
    restarts: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '12' },
    /** Of one slice. */
    requests: { type: 'string', default: '400' },
    /** Before the first slice, for the compiler and the caches. */
    warm: { type: 'string', default: '15000' },
    mode: { type: 'string', multiple: true, default: MODES },
  },
})
const { alg, mode: modes } = values
const [restarts, rounds, requests, warm] = [values.restarts, values.rounds, values.requests, values.warm].map(Number)

const MEASURES = ['cpu', 'perSecond', 'p50', 'p99', 'cpuAlone'] as const
type Sample = Readonly<Record<(typeof MEASURES)[number], number>>
interface Pair {
  readonly mine: Sample
  readonly baseline: Sample
}
const pairs = new Map<string, Pair[]>(modes.map((mode) => [mode, []]))

for (let restart = 0; restart < Number(restarts); restart += 1) {
  const chains = await startChains(alg as SigningAlgorithm, modes, Number(warm))
  for (let round = 0; round < Number(rounds); round += 1) await measureAll(chains)
  await chains.stop()
}

/** Each once, in another order every time: whoever ran more often would be compiled further, and lie warmer in the caches. */
async function measureAll({ byMode }: Chains): Promise<void> {
  const samples = new Map<string, Sample>()
  for (const [mode, measured] of [...byMode].toSorted(() => Math.random() - 0.5)) {
    samples.set(mode, await sampleOf(measured))
  }
  const baseline = samples.get(BASELINE)
  for (const mode of modes) {
    const mine = samples.get(mode)
    if (mine === undefined || baseline === undefined) throw new Error(`${mode} was not measured`)
    pairs.get(mode)?.push({ mine, baseline })
    const [cpu, p50] = [mine.cpu / baseline.cpu, mine.p50 / baseline.p50]
    process.stderr.write(`${mode}: ${cpu.toFixed(2)} × CPU, ${p50.toFixed(2)} × p50\n`)
  }
}

async function sampleOf({ chain, tokens }: ChainInMode): Promise<Sample> {
  // The first requests after a pause are everybody's dearest.
  await load(chain, { connections: CONNECTIONS, requests: Number(requests) / 2, tokens })
  const busy = await load(chain, { connections: CONNECTIONS, requests: Number(requests), tokens })
  const alone = await load(chain, { connections: 1, requests: Number(requests), tokens })
  return {
    cpu: busy.cpuMicros,
    perSecond: busy.perSecond,
    p50: alone.p50,
    p99: alone.p99,
    cpuAlone: alone.cpuMicros,
  }
}

function summaryOf(list: readonly Pair[], measure: keyof Sample) {
  const [low, median, high] = quartiles(list.map(({ mine, baseline }) => mine[measure] / baseline[measure]))
  return { median, low, high }
}

await save(`chain-${alg}`, {
  settings: { alg, restarts, rounds, requests, warm, tokens: TOKENS, connections: CONNECTIONS, pinned: PINS },
  modes: [...pairs].map(([mode, list]) => ({
    mode,
    cpuMicros: quartiles(list.map(({ mine }) => mine.cpu))[1],
    ...Object.fromEntries(MEASURES.map((measure) => [measure, summaryOf(list, measure)])),
  })),
})
