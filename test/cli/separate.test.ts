/** What the command line needs is loaded by nothing else: neither by `register`, nor by any import of the package. */

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '..', '..')
const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { readonly exports: object }
const IMPORT = /(?:from|import|import\()\s*["']([^"']+)["']/g

/** The packages that `file` of `dist` loads, with all that it imports. */
function packagesOf(file: string, seen = new Set<string>()): ReadonlySet<string> {
  const found = new Set<string>()
  if (seen.has(file)) return found
  seen.add(file)
  for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
    if (!name.startsWith('.')) found.add(name)
    else for (const each of packagesOf(join(dirname(file), name), seen)) found.add(each)
  }
  return found
}

const entries = JSON.stringify(exports).match(/\.\/dist\/(?!cli|commonjs)[\w./-]+\.js/g) ?? []
const COMMAND_LINE = ['commander', '@clack/prompts']

it('the entries of the package do not load it', () => {
  expect(entries.length).toBeGreaterThan(10)
  for (const entry of entries) {
    expect([...packagesOf(join(ROOT, entry))].filter((name) => COMMAND_LINE.includes(name))).toEqual([])
  }
})

it('the command line does', () => {
  expect([...packagesOf(join(ROOT, 'dist', 'cli', 'main.js'))]).toEqual(expect.arrayContaining(COMMAND_LINE))
})

it('the probe loads modules of Node.js only', () => {
  const loaded = [...packagesOf(join(ROOT, 'dist', 'cli', 'probe.js'))]
  expect(loaded.length).toBeGreaterThan(3)
  expect(loaded.filter((name) => !name.startsWith('node:'))).toEqual([])
})
