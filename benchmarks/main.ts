/** `npm run bench`: every path beside its baseline, each in a process of its own; or those that are named. */

import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import type { Result } from './support/compare.ts'
import { readResults, save } from './support/results.ts'

const FOLDER = join(import.meta.dirname, 'paths')
const known = readdirSync(FOLDER).map((file) => file.replace('.ts', ''))
const named = process.argv.slice(2)
const wrong = named.find((name) => !known.includes(name))
if (wrong !== undefined) throw new Error(`there is no ${wrong}: ${known.join(', ')}`)

function run(name: string): readonly Result[] {
  const { status, stdout } = spawnSync(process.execPath, ['--expose-gc', join(FOLDER, `${name}.ts`)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new Error(`${name} has failed`)
  return JSON.parse(stdout) as readonly Result[]
}

const before = (readResults().get('bench')?.['paths'] ?? {}) as Record<string, readonly Result[]>
const paths = { ...(named.length === 0 ? {} : before) }
for (const name of named.length === 0 ? known : named) paths[name] = run(name)
await save('bench', { paths })
