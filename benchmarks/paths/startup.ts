/** What `--require otel-token-relay/register` adds to the start of a program, beside what auto-instrumentations alone take. */

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
const program = join(folder, 'app.cjs')
writeFileSync(program, "require('node:http'); process.stdout.write('up')")

const env = {
  ...process.env,
  TOKEN_RELAY_ISSUER: 'https://id.example',
  TOKEN_RELAY_AUDIENCE: 'user-service',
  OTEL_TRACES_EXPORTER: 'none',
  OTEL_METRICS_EXPORTER: 'none',
  OTEL_LOGS_EXPORTER: 'none',
  OTEL_NODE_RESOURCE_DETECTORS: 'env',
}

function start(...preload: readonly string[]): number {
  const began = performance.now()
  const run = spawnSync(process.execPath, [...preload, program], { cwd: ROOT, env, encoding: 'utf8' })
  prove(`the program runs: ${run.stderr}`, run.status === 0 && run.stdout === 'up')
  return (performance.now() - began) * 1e6
}

const AUTO = ['--require', '@opentelemetry/auto-instrumentations-node/register'] as const
const CASES = {
  bare: () => start(),
  relay: () => start('--require', REGISTER),
  both: () => start(...AUTO, '--require', REGISTER),
  auto: () => start(...AUTO),
}
type Case = keyof typeof CASES

const rounds = Array.from({ length: ROUNDS + 1 }, () => {
  const times = {} as Record<Case, number>
  const order = (Object.keys(CASES) as Case[]).toSorted(() => Math.random() - 0.5)
  for (const name of order) times[name] = CASES[name]()
  return times
}).slice(1)

/** What `name` takes beyond a bare start, or beyond `than`, beside what auto-instrumentations take beyond a bare start. */
function added(name: Case, than: Case): Pick<Result['contestants'][number], 'nanos' | 'ratio' | 'spread'> {
  const ratios = rounds.map((times) => (times[name] - times[than]) / (times.auto - times.bare))
  const [low, ratio, high] = quartiles(ratios)
  return { nanos: quartiles(rounds.map((times) => times[name] - times[than]))[1], ratio, spread: (high - low) / ratio }
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
    goal: 1.3,
    contestants: [
      { name: 'relay', ...added('both', 'auto') },
      { name: baseline, ...added('auto', 'bare') },
    ],
  },
])
rmSync(folder, { recursive: true })
