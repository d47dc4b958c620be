/** Projects that are tested with nothing but the kit, from the packed artifact, in Vitest, Jest and `node:test`. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { ROOT } from '../docs/markdown.ts'
import { quietEnvironment } from '../package/scratch.ts'
import { LOADING } from '../support/loading.ts'

const KIT = join(LOADING, 'kit')

interface Run {
  readonly code: number | null
  readonly output: string
}

async function run(project: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> {
  const child = spawn(process.execPath, [...args], {
    cwd: join(KIT, project),
    env: quietEnvironment({ NO_COLOR: '1', ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code: child.exitCode, output: stdout + stderr }
}

const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')
const jest = join(dirname(createRequire(join(LOADING, 'package.json')).resolve('jest/package.json')), 'bin', 'jest.js')

/** How each runner runs one file of a project. */
const RUNNERS = {
  Vitest: (file: string) => [vitest, 'run', '--root', '.', '--reporter=verbose', file],
  Jest: (file: string) => [jest, '--ci', '--runInBand', '--no-watchman', file],
  'node:test': (file: string) => ['--test', file],
} as const

it.each([
  ['Express', 'Vitest', 'express', 'app.test.mjs'],
  ['Fastify', 'node:test', 'fastify', 'app.test.mjs'],
  ['NestJS', 'Jest', 'nest', 'orders.spec.ts'],
  ['no framework', 'node:test', 'node', 'handler.test.cjs'],
] as const)('a project with %s is tested in %s', async (_, runner, project, file) => {
  const { code, output } = await run(project, RUNNERS[runner](file))
  expect(output).toMatch(/pass/i)
  expect({ code, output }).toEqual({ code: 0, output: expect.any(String) as string })
})

describe('a service that copies the token into a request fails its test', () => {
  it.each([
    ['Vitest', 'express', 'leaky.test.mjs', /leaky\.cjs:8:\d+/],
    ['Jest', 'nest', 'leaky.spec.ts', /leaky\.spec\.ts:9:\d+/],
    ['node:test', 'node', 'leaky.test.cjs', /leaky\.cjs:8:\d+/],
  ] as const)('in %s, with the host and the line', async (runner, project, file, line) => {
    const { code, output } = await run(project, RUNNERS[runner](file))
    expect(code).toBe(1)
    expect(output).toContain('tokens reached a host that the test does not name')
    expect(output).toMatch(/to 127\.0\.0\.1:\d+ \(POST \/records\): a token of 'alice' in the field authorization/)
    expect(output).toMatch(new RegExp(`sent by \\S*${line.source}`))
    expect(output).not.toContain('eyJ')
  })
})

describe('expiry, renewal, revocation and sealing follow the fake timers', () => {
  it.each([
    ['Vitest', 'express', 'times.test.mjs'],
    ['Jest', 'nest', 'times.spec.ts'],
    ['node:test', 'node', 'times.test.mjs'],
  ] as const)('of %s', async (runner, project, file) => {
    const { code, output } = await run(project, RUNNERS[runner](file))
    for (const name of ['checkExpiry', 'checkRevocation', 'checkSealing', 'checkRenewal'])
      expect(output).toContain(name)
    expect({ code, output }).toEqual({ code: 0, output: expect.any(String) as string })
  })
})

it('is refused in production', async () => {
  const { code, output } = await run('node', RUNNERS['node:test']('handler.test.cjs'), { NODE_ENV: 'production' })
  expect(code).toBe(1)
  expect(output).toContain('otel-token-relay/testing is for tests')
})
