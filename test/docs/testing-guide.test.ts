/** The blocks of the guide to testing: each is a test that runs, and passes. */

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, expect, it } from 'vitest'
import { createScratch, quietEnvironment } from '../package/scratch.ts'
import { BLOCKS, isFile } from './blocks.ts'
import { ROOT } from './markdown.ts'

const scratch = createScratch()
scratch.write(
  Object.fromEntries(
    BLOCKS.filter((block) => block.page === 'docs/guides/testing.md' && isFile(block)).map(({ file = '', text }) => [
      file,
      text,
    ]),
  ),
)
afterAll(() => scratch[Symbol.dispose]())

function run(args: readonly string[]): string {
  const { stdout, stderr, status } = spawnSync(process.execPath, [...args], {
    cwd: scratch.folder,
    env: quietEnvironment({ NO_COLOR: '1' }),
    encoding: 'utf8',
  })
  expect({ status, output: stdout + stderr }).toEqual({ status: 0, output: expect.any(String) as string })
  return stdout
}

function passes(file: string, count: number): void {
  expect(run(['--test', '--test-reporter=tap', file])).toContain(`# pass ${count}\n`)
}

it('kit-handler.test.mjs, which tests kit-handler.mjs, passes', () => {
  passes('kit-handler.test.mjs', 1)
})

it('kit-orders.test.mjs, which tests kit-orders.mjs, passes', () => {
  passes('kit-orders.test.mjs', 2)
})

it('kit-contract.test.mjs passes', () => {
  passes('kit-contract.test.mjs', 1)
})

it('kit-time.test.mjs passes', () => {
  passes('kit-time.test.mjs', 1)
})

it('kit-matchers.test.mjs passes', () => {
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')
  expect(run([vitest, 'run', '--root', '.', 'kit-matchers.test.mjs'])).toMatch(/1 passed/)
})
