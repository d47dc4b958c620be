/** Each example starts by its one command, does what its page says, and can be copied. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { EXAMPLES } from '../../examples/run/examples.ts'
import { HAS_KCAT } from '../support/brokers.ts'
import { HAS_REDIS } from '../support/redis.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const FOLDER = join(ROOT, 'examples')
/** What is not an example by itself. */
const OTHERS = ['demo', 'profile', 'run']
const MAX_LINES = 60

/** As a reader does, by the command of its page. */
async function play(name: string): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [join('examples', 'run', 'main.ts'), name], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'] },
  })
  const chunks: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output: Buffer.concat(chunks).toString() }
}

/** Those that can be played here; `npm run test:interop` plays the one with Java. */
const isPossible = (name: string): boolean =>
  ({ bullmq: HAS_REDIS, kafka: HAS_KCAT, 'spring-neighbour': false })[name] ?? true

describe.each(Object.keys(EXAMPLES))('%s', (name) => {
  const read = (file: string): string => readFileSync(join(FOLDER, name, file), 'utf8')
  const programs = readdirSync(join(FOLDER, name)).filter((file) => /\.(mjs|cjs|ts)$/.test(file))

  it.runIf(isPossible(name))('refuses a request without a token, and works as alice', async () => {
    const { code, output } = await play(name)
    expect(output).toMatch(/✓ \w+ http\S+ without a token: 401/)
    expect(output).toMatch(/✓ \w+ http\S+ as alice: 20\d/)
    expect(output).not.toContain('✗')
    expect(output).not.toMatch(/eyJ[\w-]{8,}/)
    expect(code).toBe(0)
  })

  it('has a page of a few lines with its command', () => {
    const page = read('README.md')
    expect(page).toContain(`\nnpm run example ${name}\n`)
    expect(page.trim().split('\n').length).toBeLessThanOrEqual(14)
    for (const file of programs) expect(page).toContain(`(${file})`)
  })

  it.each(programs)('%s is short, says what it is, and needs nothing outside of its folder', (file) => {
    const text = read(file)
    expect(text).toMatch(/^\/\*\* .*\. \*\/\n/)
    expect(text.trim().split('\n').length).toBeLessThanOrEqual(MAX_LINES)
    expect(text).not.toMatch(/from '\.\.|require\('\.\./)
  })
})

it('every folder is an example, or one of those that are not', () => {
  const folders = readdirSync(FOLDER, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
  expect(folders.filter((name) => !(name in EXAMPLES) && !OTHERS.includes(name))).toEqual([])
  expect(Object.keys(EXAMPLES).filter((name) => !folders.includes(name))).toEqual([])
})
