/** The test kit in the packed artifact: services load nothing of it, and a production process cannot. */

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createScratch, PACKED, quietEnvironment } from '../package/scratch.ts'

const scratch = createScratch()
afterAll(() => scratch[Symbol.dispose]())
beforeAll(() => {
  scratch.write({
    'watch.cjs': `
      const loaded = []
      require('node:module').registerHooks({
        load(url, context, next) {
          if (url.includes('/otel-token-relay/')) loaded.push(url.slice(url.indexOf('/otel-token-relay/') + 18))
          return next(url, context)
        },
      })
      process.on('exit', () => console.log(JSON.stringify(loaded)))`,
    'main.mjs': "import 'otel-token-relay'",
    'main.cjs': "require('otel-token-relay')",
    'empty.cjs': '',
    'kit.mjs': "import { createTestIssuer } from 'otel-token-relay/testing'\nawait (await createTestIssuer()).close()",
    'kit.cjs': "require('otel-token-relay/testing').createTestIssuer().then((issuer) => issuer.close())",
    'relay.json': JSON.stringify({ issuers: [{ issuer: 'https://id.example', audience: 'user-service' }] }),
  })
})

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return spawnSync(process.execPath, [...args], {
    cwd: scratch.folder,
    env: quietEnvironment(env),
    encoding: 'utf8',
  })
}

/** Whether the module is, or has in it, a part of the kit. */
function isOfKit(file: string): boolean {
  return file.includes('testing') || readFileSync(join(PACKED, file), 'utf8').includes('createTestIssuer')
}

describe('nothing of it is loaded with', () => {
  const register = ['--require', 'otel-token-relay/register', 'empty.cjs']
  it.each([
    ['the entry, imported', ['main.mjs'], {}],
    ['the entry, required', ['main.cjs'], {}],
    ['register', register, { TOKEN_RELAY_CONFIG_FILE: 'relay.json', OTEL_SDK_DISABLED: 'true' }],
  ])('%s', (_, args, env) => {
    const { stdout } = run(['--require', './watch.cjs', ...args], env)
    const loaded = JSON.parse(stdout) as string[]
    expect(loaded.length).toBeGreaterThan(0)
    expect(loaded.filter(isOfKit)).toEqual([])
  })

  it('while the kit itself is seen', () => {
    const loaded = JSON.parse(run(['--require', './watch.cjs', 'kit.mjs']).stdout) as string[]
    expect(loaded.filter(isOfKit)).toContain('dist/testing/index.js')
  })
})

describe.each(['kit.mjs', 'kit.cjs'])('%s', (file) => {
  it('works in a test', () => {
    expect(run([file])).toMatchObject({ status: 0, stderr: '' })
  })

  it('throws in production, and says which word allows it', () => {
    const { status, stderr } = run([file], { NODE_ENV: 'production' })
    expect(status).toBe(1)
    expect(stderr).toContain('OTEL_TOKEN_RELAY_TESTING=allow-in-production')
    const env = { NODE_ENV: 'production', OTEL_TOKEN_RELAY_TESTING: 'allow-in-production' }
    expect(run([file], env)).toMatchObject({ status: 0, stderr: '' })
  })
})
