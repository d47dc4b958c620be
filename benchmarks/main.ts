/** `npm run bench`: every path beside its baseline, hot and cold, each in its own process; or those that are named. */

import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import type { ColdRun, Result } from './support/compare.ts'
import { COLD_VARIABLE } from './support/compare.ts'
import { format } from './support/report.ts'
import { readResults, save } from './support/results.ts'

const FOLDER = join(import.meta.dirname, 'paths')
const known = readdirSync(FOLDER).map((file) => file.replace('.ts', ''))
const named = process.argv.slice(2)
const wrong = named.find((name) => !known.includes(name))
if (wrong !== undefined) throw new Error(`there is no ${wrong}: ${known.join(', ')}`)

/** Those that measure something else than calls of a process that has just started. */
const NEVER_COLD: ReadonlySet<string> = new Set(['growth', 'startup'])

function start<T>(name: string, env: NodeJS.ProcessEnv): T {
  const { status, stdout } = spawnSync(process.execPath, ['--expose-gc', join(FOLDER, `${name}.ts`)], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new Error(`${name} has failed`)
  return JSON.parse(stdout) as T
}

function run(name: string): readonly Result[] {
  const results = start<readonly Result[]>(name, {})
  return NEVER_COLD.has(name) ? results : results.map((result) => ({ ...result, cold: runCold(name, result) }))
}

/** Each contestant in its own process: it would find warm what another has used. */
function runCold(name: string, { path, contestants }: Result): NonNullable<Result['cold']> {
  const [mine = 0, baseline = 0] = [contestants[0], contestants.at(-1)].map((contestant) => {
    const cold: ColdRun = { path, contestant: contestant?.name ?? '' }
    return start<number>(name, { [COLD_VARIABLE]: JSON.stringify(cold) })
  })
  process.stderr.write(`${path}, cold: ${format(mine)} and ${format(baseline)}\n`)
  return { mine, baseline }
}

const before = (readResults().get('bench')?.['paths'] ?? {}) as Record<string, readonly Result[]>
const paths = { ...(named.length === 0 ? {} : before) }
for (const name of named.length === 0 ? known : named) paths[name] = run(name)
await save('bench', { paths })
