/** The blocks of the service client. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Stage } from './stage.ts'
import { createStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

it('profiles.ts calls as the caller, and falls back', async () => {
  stage.profiles.clear()
  const token = await stage.issuer.token()
  const driver = `
    import { runWithToken } from 'otel-token-relay'
    import { rename } from './profiles.ts'
    const { signal } = new AbortController()
    console.log(JSON.stringify(await runWithToken(process.env.TOKEN, () => rename('a/b', 'Ada', signal))))
    process.exit()`
  const env = { TOKEN: token, TOKEN_RELAY_CONFIG_FILE: 'relay.json' }
  // The sink answers with no profile.
  expect(await stage.drive(driver, ['--import', 'otel-token-relay/register'], env)).toBe('unknown')
  const authorization = [`Bearer ${token}`]
  expect(stage.profiles.received).toMatchObject([
    { method: 'PUT', target: '/profiles/a%2Fb', authorization },
    { method: 'GET', target: '/profiles/a%2Fb', authorization },
  ])
})
