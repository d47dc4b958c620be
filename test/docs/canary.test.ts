/** The blocks of the canary. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { quietEnvironment } from '../package/scratch.ts'
import { complaintsIn } from '../support/process.ts'
import type { Stage } from './stage.ts'
import { createStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

it.each([true, false])('canary.mjs finds a token that is exported; redacted: %s', async (isRedacted) => {
  const text = readFileSync(join(stage.local.folder, 'canary.mjs'), 'utf8')
  const careless = text.replace(/relay\.redact\((.*)\)\] \}\)/, '$1] })')
  expect(careless).not.toBe(text)
  writeFileSync(join(stage.local.folder, 'careless.mjs'), careless)
  const program = isRedacted ? 'canary.mjs' : 'careless.mjs'
  const run = spawn(process.execPath, [program], {
    cwd: stage.local.folder,
    env: { ...quietEnvironment(), TOKEN: await stage.issuer.token() },
  })
  let said = ''
  run.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk
  })
  const [code] = await once(run, 'close')
  expect([code, complaintsIn(said).join('\n')]).toEqual(
    isRedacted
      ? [
          0,
          expect.stringMatching(
            /^otel-token-relay canary: no piece of 1 tokens in stderr \d+, exported \d+ characters$/,
          ),
        ]
      : [1, expect.stringContaining('otel-token-relay canary: pieces of tokens were seen: exported (as it is, ')],
  )
})
