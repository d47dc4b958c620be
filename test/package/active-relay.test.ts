/** Programs reach the relay that was started for them, however they and it are loaded. */

import { spawnSync } from 'node:child_process'
import process from 'node:process'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { signer } from '../support/service.ts'
import { createScratch, quietEnvironment } from './scratch.ts'

const DESTINATION = 'https://profile.internal.example'
const scratch = createScratch()
afterAll(() => scratch[Symbol.dispose]())
beforeAll(() => {
  const body = `
    const relay = getActiveRelay()
    const seen = relay && {
      isReady: relay.ready(),
      verdict: relay.explain('${DESTINATION}').verdict,
      canRevoke: typeof relay.revoke === 'function',
    }
    const created = relay ?? createTokenRelay(JSON.parse(process.env.RELAY_OPTIONS))
    const isSame = getActiveRelay() === created
    created.shutdown().then(() => console.log(JSON.stringify({ seen, isSame, after: typeof getActiveRelay() })))`
  scratch.write({
    'main.cjs': `const { createTokenRelay, getActiveRelay } = require('otel-token-relay')\n${body}`,
    'main.mjs': `import { createTokenRelay, getActiveRelay } from 'otel-token-relay'\n${body}`,
    'relay.json': JSON.stringify({ ...optionsFor([signer.jwk]), destinations: [{ to: DESTINATION }] }),
  })
})

function run(args: readonly string[], env: Readonly<Record<string, string>>): unknown {
  const { stdout, stderr } = spawnSync(process.execPath, [...args], {
    cwd: scratch.folder,
    env: quietEnvironment({ OTEL_SDK_DISABLED: 'true', ...env }),
    encoding: 'utf8',
  })
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout)
}

for (const option of ['--require', '--import']) {
  it.each(['main.cjs', 'main.mjs'])(`${option} register: %s reaches the relay`, (file) => {
    const env = { TOKEN_RELAY_CONFIG_FILE: 'relay.json' }
    expect(run([option, 'otel-token-relay/register', file], env)).toEqual({
      seen: { isReady: true, verdict: 'forward', canRevoke: true },
      isSame: true,
      after: 'undefined',
    })
  })
}

it.each(['main.cjs', 'main.mjs'])('%s reaches the relay that it has created, and none before', (file) => {
  const env = { RELAY_OPTIONS: JSON.stringify(optionsFor([signer.jwk])) }
  expect(run([file], env)).toEqual({ isSame: true, after: 'undefined' })
})

it('there is none if register was disabled by a wrong configuration', () => {
  const env = {
    TOKEN_RELAY_ISSUER: ISSUER,
    TOKEN_RELAY_ON_CONFIG_ERROR: 'disable',
    RELAY_OPTIONS: JSON.stringify(optionsFor([signer.jwk])),
  }
  expect(run(['--require', 'otel-token-relay/register', 'main.cjs'], env)).toEqual({
    isSame: true,
    after: 'undefined',
  })
})
