/** The blocks of the audit trail. */

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { PACKED, quietEnvironment } from '../package/scratch.ts'
import { BLOCKS, commandsOf, isCommands } from './blocks.ts'
import type { Stage } from './stage.ts'
import { createStage } from './stage.ts'

const commands = BLOCKS.filter(isCommands)
  .flatMap(commandsOf)
  .filter((command) => / audit verify /.test(command))

let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

it.each(
  commands,
)('npx otel-token-relay audit verify: verifies the trail of audited.config.mjs: %s', async (command) => {
  const driver = `
    import { writeFileSync } from 'node:fs'
    import { createTokenRelay } from 'otel-token-relay'
    import options from './audited.config.mjs'
    writeFileSync('audit-key', 'a key of this test, which is long enough')
    const relay = createTokenRelay({ ...options, audit: { ...options.audit, keyFile: 'audit-key' } })
    await relay.verify(process.env.TOKEN)
    await relay.shutdown()
    console.log(JSON.stringify(options.audit.onFailure))`
  expect(await stage.drive(driver, [], { TOKEN: await stage.issuer.token() })).toBe('block')
  const tool = join(PACKED, 'dist', 'cli', 'main.js')
  const here = command.replace('npx otel-token-relay', `node ${tool}`).replace('/run/secrets/audit', 'audit-key')
  const run = () =>
    spawnSync('sh', ['-c', here], { cwd: stage.local.folder, env: quietEnvironment(), encoding: 'utf8' })
  expect(run()).toMatchObject({ status: 0, stdout: expect.stringContaining('1 lines are intact') })
  const file = join(stage.local.folder, 'audit.jsonl')
  writeFileSync(file, readFileSync(file, 'utf8').replace('verified', 'rejected'))
  expect(run()).toMatchObject({
    status: 1,
    stdout: expect.stringContaining('audit.jsonl:1: was changed'),
  })
})
