/**
 * `npm run bench:chain`: three services that call each other, all of them behind OpenTelemetry, with and without ways to take
 * a token along. Ratios are to OpenTelemetry alone, in the same round; medians over rounds and fresh processes.
 */

import { createServer } from 'node:http'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { close, listen } from '../../test/support/issuer.ts'
import { quartiles } from '../support/compare.ts'
import { prove } from '../support/report.ts'
import { save } from '../support/results.ts'
import type { SigningAlgorithm } from '../support/tokens.ts'
import { AUDIENCE, createSigner, createToken, ISSUER } from '../support/tokens.ts'
import type { Measured } from './load.ts'
import { load } from './load.ts'
import type { Chain } from './processes.ts'
import { PINS, startChain } from './processes.ts'

const MODES = ['otel', 'copy', 'relay', 'fast-jwt', 'jose', 'express-oauth2-jwt-bearer'] as const
type Mode = (typeof MODES)[number]
const VERIFYING: readonly Mode[] = ['relay', 'fast-jwt', 'jose', 'express-oauth2-jwt-bearer']
const TOKENS = 1_000

const { values } = parseArgs({
  options: {
    alg: { type: 'string', default: 'RS256' },
    restarts: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '2' },
    warm: { type: 'string', default: '20' },
  },
})
const alg = values.alg as SigningAlgorithm
const [restarts = 0, rounds = 0, seconds = 0, warm = 0] = [
  values.restarts,
  values.rounds,
  values.seconds,
  values.warm,
].map(Number)

const signer = createSigner(alg)
const tokens = Array.from({ length: TOKENS }, () => createToken(signer))
const jwks = { keys: [signer.jwk] }
const keys = createServer((_, response) =>
  response.setHeader('content-type', 'application/json').end(JSON.stringify(jwks)),
)
const jwksUri = `http://127.0.0.1:${await listen(keys)}/`
const pem = String(signer.publicKey.export({ type: 'spki', format: 'pem' }))
const common = { issuer: ISSUER, audience: AUDIENCE, jwks, jwksUri, pem, alg }

type Ratios = Record<'cpu' | 'saturated' | 'p50' | 'p99' | 'single', number[]>
const ratios = new Map<Mode, Ratios>(
  MODES.map((mode) => [mode, { cpu: [], saturated: [], p50: [], p99: [], single: [] }]),
)
const costs = new Map<Mode, number[]>(MODES.map((mode) => [mode, []]))

for (let restart = 0; restart < restarts; restart += 1) {
  const chains = new Map<Mode, Chain>()
  for (const mode of MODES) chains.set(mode, await startChain({ ...common, mode }))
  for (const [mode, chain] of chains) await proveThatItWorks(mode, chain)
  // Until the compiler has seen it all, and caches are full.
  for (const [mode, chain] of chains) await load(chain, loadOf(mode, 20, warm))
  for (let round = 0; round < rounds; round += 1) await measureAll(chains)
  for (const chain of chains.values()) chain.stop()
}
await close(keys)

/** The one who only traces is shown no token: he would have to read it. */
function loadOf(mode: Mode, connections: number, duration: number) {
  return { connections, seconds: duration, tokens: mode === 'otel' ? undefined : tokens }
}

async function measureAll(chains: ReadonlyMap<Mode, Chain>): Promise<void> {
  const busy = new Map<Mode, Measured>()
  const idle = new Map<Mode, Measured>()
  for (const [mode, chain] of [...chains].toSorted(() => Math.random() - 0.5)) {
    busy.set(mode, await load(chain, loadOf(mode, 20, seconds)))
    idle.set(mode, await load(chain, loadOf(mode, 1, seconds)))
  }
  for (const mode of MODES) {
    const [mine, base] = [busy.get(mode), busy.get('otel')]
    const [alone, baseAlone] = [idle.get(mode), idle.get('otel')]
    const list = ratios.get(mode)
    if (!mine || !base || !alone || !baseAlone || !list) throw new Error(`${mode} was not measured`)
    costs.get(mode)?.push(mine.cpuMicros)
    list.cpu.push(mine.cpuMicros / base.cpuMicros)
    list.saturated.push(mine.perSecond / base.perSecond)
    list.p50.push(alone.p50 / baseAlone.p50)
    list.p99.push(alone.p99 / baseAlone.p99)
    list.single.push(alone.cpuMicros / baseAlone.cpuMicros)
    process.stderr.write(
      `${mode}: ${mine.cpuMicros.toFixed(0)} µs CPU/request, ${(mine.cpuMicros / base.cpuMicros).toFixed(3)} ×\n`,
    )
  }
}

async function proveThatItWorks(mode: Mode, { origin }: Chain): Promise<void> {
  const ask = async (token: string | undefined): Promise<readonly [number, unknown]> => {
    const answer = await fetch(origin, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })
    return [answer.status, answer.status === 200 ? await answer.json() : await answer.text()]
  }
  const [status, body] = await ask(mode === 'otel' ? undefined : tokens[0])
  const expected = JSON.stringify({ hops: 3, authorized: mode !== 'otel' })
  prove(`${mode}: the token reaches the last service`, status === 200 && JSON.stringify(body) === expected)
  if (!VERIFYING.includes(mode)) return
  for (const bad of [
    createToken(signer, { aud: 'another' }),
    createToken(signer, { exp: 1 }),
    createToken(createSigner(alg)),
  ]) {
    prove(`${mode}: a bad token is refused`, (await ask(bad))[0] === 401)
  }
}

await save(`chain-${alg}`, {
  settings: { alg, restarts, rounds, seconds, warm, tokens: TOKENS, pinned: PINS },
  modes: MODES.map((mode) => {
    const list = ratios.get(mode)
    const summary = (values: readonly number[] = []) => {
      const [, median] = quartiles(values)
      return { median, min: Math.min(...values), max: Math.max(...values) }
    }
    return {
      mode,
      cpuMicros: quartiles(costs.get(mode) ?? [])[1],
      cpu: summary(list?.cpu),
      perSecond: summary(list?.saturated),
      p50: summary(list?.p50),
      p99: summary(list?.p99),
      cpuAlone: summary(list?.single),
    }
  }),
})
