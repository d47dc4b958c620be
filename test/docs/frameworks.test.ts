/** The blocks of the adapters. */

import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { quietEnvironment } from '../package/scratch.ts'
import { complaintsIn } from '../support/process.ts'
import { ROOT, readBlocks, readDocument } from './markdown.ts'
import type { Stage } from './stage.ts'
import { createStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

const CHALLENGE = 'Bearer error="insufficient_scope", scope="profiles:read"'

/** One open path, one that needs a scope, and a caller for all others. */
async function expectProtection(command: string, folder: string, unknown: number): Promise<void> {
  await using running = await stage.start(command, folder)
  expect(await (await stage.get('/health')).text()).toBe('open to all')
  expect(await (await stage.get('/me', await stage.issuer.token())).text()).toBe('alice')
  const refused = await stage.get('/me', await stage.issuer.token({ scope: 'invoices:read' }))
  expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([403, CHALLENGE])
  expect((await stage.get('/unknown')).status).toBe(unknown)
  expect(complaintsIn(running.output())).toEqual([])
}

it('express.mjs: opens one path, requires a scope for one, and a caller for all others', () =>
  expectProtection('node express.mjs', stage.local.folder, 401))

it('fastify.mjs: opens one path, requires a scope for one, and a caller for those of the plugin', () =>
  expectProtection('node fastify.mjs', stage.local.folder, 401))

it('koa.mjs: opens one path, requires a scope for one, and a caller for all others', () =>
  expectProtection('node koa.mjs', stage.local.folder, 401))

it('hono.mjs: opens one path, requires a scope for one, and a caller for all others', () =>
  expectProtection('node hono.mjs', stage.local.folder, 401))

describe('docs/guides/nestjs.md', () => {
  const blocks = readBlocks(readDocument('docs/guides/nestjs.md'))

  it('has one block', () => {
    expect(blocks.map(({ file }) => file)).toEqual(['nest.mts'])
  })

  it('nest.mts: opens one path, requires a scope for one, and a caller for all others', async () => {
    const { folder } = stage.local
    const options = '--module nodenext --target es2023 --types node --strict --skipLibCheck --ignoreConfig'.split(' ')
    const decorators = ['--experimentalDecorators', '--emitDecoratorMetadata', '--pretty', 'false']
    const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
    const { stdout } = spawnSync(tsc, [...options, ...decorators, 'nest.mts'], {
      cwd: folder,
      env: quietEnvironment(),
      encoding: 'utf8',
    })
    expect(stdout).toBe('')
    // Nest answers 404 before its guards are asked.
    await expectProtection('node nest.mjs', folder, 404)
    await using _ = await stage.start('node nest.mjs', folder)
    stage.profiles.clear()
    const token = await stage.issuer.token()
    expect((await stage.get('/')).status).toBe(401)
    expect(await (await stage.get('/', token)).text()).toBe('{}')
    expect(stage.profiles.received).toMatchObject([{ authorization: [`Bearer ${token}`] }])
  })
})

it('grpc-server.mjs runs no handler without a token, and grpc-client.mjs sends the caller’s, with profiles.proto', async () => {
  const server = spawn(process.execPath, ['grpc-server.mjs'], { cwd: stage.local.folder, env: quietEnvironment() })
  const driver = `
    import { runWithToken } from 'otel-token-relay'
    import { fetchProfile } from './grpc-client.mjs'
    const { TOKEN, UNSCOPED } = process.env
    const code = (error) => error.code
    const outcomes = []
    // UNAVAILABLE, until it listens.
    while ([undefined, 14].includes(outcomes[0])) {
      await new Promise((resolve) => setTimeout(resolve, 50))
      outcomes[0] = await fetchProfile({ id: '42' }).catch(code)
    }
    outcomes.push(await runWithToken(TOKEN, () => fetchProfile({ id: '42' })))
    outcomes.push(await runWithToken(UNSCOPED, () => fetchProfile({ id: '42' })).catch(code))
    console.log(JSON.stringify(outcomes))
    process.exit()`
  const env = { TOKEN: await stage.issuer.token(), UNSCOPED: await stage.issuer.token({ scope: 'mail' }) }
  const outcomes = await stage.drive(driver, [], env).finally(() => server.kill('SIGKILL'))
  // UNAUTHENTICATED, and PERMISSION_DENIED.
  expect(outcomes).toEqual([16, { name: 'alice' }, 7])
})
