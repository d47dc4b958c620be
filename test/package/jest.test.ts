/** `require('otel-token-relay')` in Jest, which needs no configuration for it: each test file has another realm. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { LOADING } from '../support/loading.ts'
import { optionsFor } from '../support/relay.ts'
import { signer, tokenOf } from '../support/service.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'
import type { Scratch } from './scratch.ts'
import { createScratch, quietEnvironment } from './scratch.ts'

const tokens = { alice: tokenOf(), bob: tokenOf({ sub: 'bob' }), carol: tokenOf({ sub: 'carol' }) }

let scratch: Scratch
let sink: Sink
let env: Record<string, string>
beforeAll(async () => {
  scratch = createScratch()
  sink = await startSink()
  const options = { ...optionsFor([signer.jwk]), destinations: [{ to: sink.origin }], ingress: { mode: 'require' } }
  const file = join(scratch.folder, 'relay.json')
  writeFileSync(file, JSON.stringify(options))
  env = quietEnvironment({
    RELAY_OPTIONS: JSON.stringify(options),
    TOKENS: JSON.stringify(tokens),
    SINK: sink.origin,
    TOKEN_RELAY_CONFIG_FILE: file,
  })
})
afterAll(async () => {
  scratch[Symbol.dispose]()
  await sink[Symbol.asyncDispose]()
})

interface Results {
  readonly numPassedTests: number
  readonly success: boolean
}

/** Runs the test files of `project` that `pattern` matches, in one process. */
async function runJest(version: string, project: string, pattern: string, more: object = {}): Promise<Results> {
  const manifest = createRequire(join(LOADING, 'package.json')).resolve(`${version}/package.json`)
  const jest = join(dirname(manifest), 'bin', 'jest.js')
  const child = spawn(process.execPath, [jest, '--json', '--ci', '--runInBand', '--no-watchman', pattern], {
    cwd: join(LOADING, project),
    env: { ...env, ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  if (!stdout.startsWith('{')) throw new Error(stdout + stderr)
  const results = JSON.parse(stdout) as Results
  if (!results.success) throw new Error(stderr)
  return results
}

function sentTo(path: string): readonly string[] {
  return sink.received.filter(({ target }) => target === path).flatMap(({ authorization }) => authorization)
}

const PRELOADED = { NODE_OPTIONS: '--require otel-token-relay/register' }

it.each(['jest', 'jest-29'])('%s: a test creates a relay, with which its handlers and calls work', async (version) => {
  sink.clear()
  expect((await runJest(version, 'jest', 'created')).numPassedTests).toBe(4)
  expect(sentTo('/created')).toEqual(Array(2).fill(`Bearer ${tokens.alice}`))
})

it.each(['jest', 'jest-29'])('%s: a test finds the relay that is preloaded, and its callers', async (version) => {
  sink.clear()
  expect((await runJest(version, 'jest', 'preloaded', PRELOADED)).numPassedTests).toBe(5)
  expect(sentTo('/preloaded')).toEqual(Array(2).fill(`Bearer ${tokens.bob}`))
  expect(sink.received.filter(({ target }) => target === '/unsent').map(({ authorization }) => authorization)).toEqual([
    [],
  ])
})

it.each(['jest', 'jest-29'])('%s: a project of NestJS, with ts-jest', async (version) => {
  expect((await runJest(version, 'nest', 'app')).numPassedTests).toBe(4)
})
