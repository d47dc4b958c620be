/**
 * `npm run bench:profile`: where the three services of a chain spend their time, by whose code it is, in the modes of
 * `bench:chain`. By sampling, so that it says where to look; `bench:chain` says what it costs.
 */

import { parseArgs } from 'node:util'
import { save } from '../support/results.ts'
import type { SigningAlgorithm } from '../support/tokens.ts'
import { BASELINE, CONNECTIONS, startChains } from './chains.ts'
import { load } from './load.ts'
import type { Spent } from './spent.ts'
import { spentIn } from './spent.ts'

const { values } = parseArgs({
  options: {
    alg: { type: 'string', default: 'RS256' },
    /** Each of so many requests in each mode. */
    rounds: { type: 'string', default: '20' },
    requests: { type: 'string', default: '400' },
    warm: { type: 'string', default: '15000' },
    mode: { type: 'string', multiple: true, default: ['copy', 'relay', 'fast-jwt'] },
  },
})
const [rounds, requests, warm] = [values.rounds, values.requests, values.warm].map(Number)
const modes = [BASELINE, ...values.mode]

const chains = await startChains(values.alg as SigningAlgorithm, values.mode, Number(warm))
const spent = new Map<string, Spent[]>(modes.map((mode) => [mode, []]))
for (let round = 0; round < Number(rounds); round += 1) {
  for (const { mode, chain, tokens } of [...chains.byMode.values()].toSorted(() => Math.random() - 0.5)) {
    await chain.record()
    await load(chain, { connections: CONNECTIONS, requests: Number(requests), tokens })
    spent.get(mode)?.push(...(await chain.recorded()).map(spentIn))
  }
}
await chains.stop()

/** Microseconds for each request, by name, the largest first. */
function perRequest(all: readonly Spent[], by: keyof Spent): Readonly<Record<string, number>> {
  const sums = new Map<string, number>()
  for (const each of all) for (const [name, micros] of each[by]) sums.set(name, (sums.get(name) ?? 0) + micros)
  const total = Number(rounds) * Number(requests)
  return Object.fromEntries([...sums].toSorted(([, a], [, b]) => b - a).map(([name, sum]) => [name, sum / total]))
}

await save('profile', {
  settings: { alg: values.alg, rounds, requests, warm, connections: CONNECTIONS },
  modes: modes.map((mode) => ({ mode, byOwner: perRequest(spent.get(mode) ?? [], 'byOwner') })),
  functions: Object.fromEntries(Object.entries(perRequest(spent.get('relay') ?? [], 'byFunction')).slice(0, 25)),
})
