/**
 * `npm run bench:profile`: where the three services of a chain spend their time, by whose code it is, in the modes of
 * `bench:chain`. By sampling, so that it says where to look; `bench:chain` says what it costs. With `--connections 1`: one
 * request at a time.
 */

import process from 'node:process'
import { parseArgs } from 'node:util'
import { showProfile } from '../support/readme-chain.ts'
import { save } from '../support/results.ts'
import type { SigningAlgorithm } from '../support/tokens.ts'
import { BASELINE, CONNECTIONS, startChains } from './chains.ts'
import { load } from './load.ts'
import type { Spent } from './spent.ts'
import { spentIn } from './spent.ts'

const { values } = parseArgs({
  options: {
    alg: { type: 'string', default: 'RS256' },
    connections: { type: 'string', default: String(CONNECTIONS) },
    /** Each of so many requests in each mode. */
    rounds: { type: 'string', default: '12' },
    requests: { type: 'string', default: '400' },
    warm: { type: 'string', default: '5000' },
    /** Between two samples. */
    interval: { type: 'string', default: '500' },
    mode: { type: 'string', multiple: true, default: ['copy', 'relay', 'fast-jwt'] },
    /** Only prints the tables. */
    look: { type: 'boolean', default: false },
  },
})
const numbers = [values.connections, values.rounds, values.requests, values.warm, values.interval].map(Number)
const [connections = 0, rounds = 0, requests = 0, warm = 0, interval = 0] = numbers
const modes = [BASELINE, ...values.mode]

const chains = await startChains(values.alg as SigningAlgorithm, values.mode, warm)
const spent = new Map<string, Spent[]>(modes.map((mode) => [mode, []]))
for (let round = 0; round < rounds; round += 1) {
  for (const { mode, chain, tokens } of [...chains.byMode.values()].toSorted(() => Math.random() - 0.5)) {
    await chain.record(interval)
    await load(chain, { connections, requests, tokens })
    spent.get(mode)?.push(...(await chain.recorded()).map((profile) => spentIn(profile, interval)))
  }
}
await chains.stop()

/** Microseconds for each request, by name, the largest first. */
function perRequest(mode: string, by: keyof Spent): Readonly<Record<string, number>> {
  const sums = new Map<string, number>()
  for (const each of spent.get(mode) ?? []) {
    for (const [name, micros] of each[by]) sums.set(name, (sums.get(name) ?? 0) + micros)
  }
  const total = rounds * requests
  return Object.fromEntries([...sums].toSorted(([, a], [, b]) => b - a).map(([name, sum]) => [name, sum / total]))
}

const [own, withCalls] = [perRequest('relay', 'byFunction'), perRequest('relay', 'withCalls')]
const results = {
  settings: { alg: values.alg, rounds, requests, warm, connections, interval },
  modes: modes.map((mode) => ({ mode, byOwner: perRequest(mode, 'byOwner') })),
  underRelay: perRequest('relay', 'underRelay'),
  functions: Object.fromEntries(
    Object.entries(withCalls)
      .slice(0, 30)
      .map(([name, total]) => [name, { own: own[name] ?? 0, withCalls: total }]),
  ),
}
if (values.look) process.stdout.write(`${showProfile(results)}\n`)
else await save(connections === 1 ? 'profile-alone' : 'profile', results)
