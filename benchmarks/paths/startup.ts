/** What `--require otel-token-relay/register` adds to the start of a program: time beside auto-instrumentations, memory. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import type { Contestant, Result } from '../support/compare.ts'
import { quartiles } from '../support/compare.ts'
import { prove, report } from '../support/report.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const ROUNDS = 11
const REGISTER = join(ROOT, 'dist', 'register', 'index.js')
const folder = mkdtempSync(join(tmpdir(), 'startup-'))
const server = join(folder, 'app.cjs')
writeFileSync(server, "require('node:http'); process.stdout.write('up')")
const empty = join(folder, 'empty.cjs')
writeFileSync(empty, 'process.stdout.write(String(process.memoryUsage.rss()))')

const ENV = {
  ...process.env,
  TOKEN_RELAY_ISSUER: 'https://id.example',
  TOKEN_RELAY_AUDIENCE: 'user-service',
  OTEL_TRACES_EXPORTER: 'none',
  OTEL_METRICS_EXPORTER: 'none',
  OTEL_LOGS_EXPORTER: 'none',
  OTEL_NODE_RESOURCE_DETECTORS: 'env',
}

function run(program: string, preload: readonly string[], env: NodeJS.ProcessEnv = ENV): string {
  const { stdout, stderr, status } = spawnSync(process.execPath, [...preload, program], {
    cwd: ROOT,
    env,
    encoding: 'utf8',
  })
  prove(`the program runs: ${stderr}`, status === 0)
  return stdout
}

/** How long a start takes, in nanoseconds. */
function start(...preload: readonly string[]): number {
  const began = performance.now()
  prove('the program has started', run(server, preload) === 'up')
  return (performance.now() - began) * 1e6
}

/** The resident memory of a program that does nothing, in bytes, without an SDK. */
function memory(...preload: readonly string[]): number {
  return Number(run(empty, preload, { ...ENV, OTEL_SDK_DISABLED: 'true' }))
}

const AUTO = ['--require', '@opentelemetry/auto-instrumentations-node/register'] as const
const RELAY = ['--require', REGISTER] as const
const CASES = {
  bare: () => start(),
  relay: () => start(...RELAY),
  both: () => start(...AUTO, ...RELAY),
  auto: () => start(...AUTO),
  bareMemory: () => memory(),
  relayMemory: () => memory(...RELAY),
}
type Case = keyof typeof CASES

const rounds = Array.from({ length: ROUNDS + 1 }, () => {
  const values = {} as Record<Case, number>
  const order = (Object.keys(CASES) as Case[]).toSorted(() => Math.random() - 0.5)
  for (const name of order) values[name] = CASES[name]()
  return values
}).slice(1)

type Measured = Pick<Result['contestants'][number], 'nanos' | 'ratio' | 'spread'>

function measured(figureOf: (round: Record<Case, number>) => number, baselineOf: typeof figureOf): Measured {
  const [low, ratio, high] = quartiles(rounds.map((round) => figureOf(round) / baselineOf(round)))
  return { nanos: quartiles(rounds.map(figureOf))[1], ratio, spread: (high - low) / ratio }
}

/** What `name` takes beyond `than`, beside what auto-instrumentations take beyond a bare start. */
function added(name: Case, than: Case): Measured {
  return measured(
    (times) => times[name] - times[than],
    (times) => times.auto - times.bare,
  )
}

const baseline: Contestant['name'] = 'auto-instrumentations-node/register'
report([
  {
    path: 'start, with its own SDK',
    goal: 1.3,
    contestants: [
      { name: 'relay', ...added('relay', 'bare') },
      { name: baseline, ...added('auto', 'bare') },
    ],
  },
  {
    path: 'start, beside auto-instrumentations',
    goal: 0.2,
    contestants: [
      { name: 'relay', ...added('both', 'auto') },
      { name: baseline, ...added('auto', 'bare') },
    ],
  },
  {
    path: 'memory of an empty program, without an SDK',
    goal: 1.5,
    unit: 'bytes',
    contestants: [
      {
        name: 'relay',
        ...measured(
          ({ relayMemory }) => relayMemory,
          ({ bareMemory }) => bareMemory,
        ),
      },
      {
        name: 'no relay',
        ...measured(
          ({ bareMemory }) => bareMemory,
          ({ bareMemory }) => bareMemory,
        ),
      },
    ],
  },
])
rmSync(folder, { recursive: true })
