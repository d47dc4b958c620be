/** The blocks of revocation. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import type { Stage } from './stage.ts'
import { createStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

it('logout.mjs does what its comment says', async () => {
  const driver = `
    import { relay } from './tracing.mjs'
    import { endSession } from './logout.mjs'
    const before = (await relay.verify(process.env.TOKEN)).sessionId
    await endSession(process.env.ISSUER, before)
    const after = await relay.verify(process.env.TOKEN).catch((error) => error.code)
    console.log(JSON.stringify([before, after]))
    process.exit()`
  const TOKEN = await stage.issuer.token({ sid: 'session-1' })
  expect(await stage.drive(driver, [], { TOKEN, ISSUER: stage.issuer.issuer })).toEqual([
    'session-1',
    'ERR_TOKEN_REVOKED',
  ])
})

it.runIf(HAS_REDIS)('relay.config.mjs is a configuration with a shared list', async () => {
  await using redis = await startRedis()
  const driver = `
    import { createTokenRelay } from 'otel-token-relay'
    import options from './relay.config.mjs'
    const relay = createTokenRelay(options)
    while (!relay.ready()) await new Promise((resolve) => setTimeout(resolve, 10))
    const credential = await relay.verify(process.env.TOKEN)
    await relay.revoke(credential)
    console.log(JSON.stringify(await relay.verify(process.env.TOKEN).catch((error) => error.code)))
    process.exit()`
  const TOKEN = await stage.issuer.token({ jti: 'token-1' })
  expect(await stage.drive(driver, [], { TOKEN, REDIS_URL: redis.url })).toBe('ERR_TOKEN_REVOKED')
})
