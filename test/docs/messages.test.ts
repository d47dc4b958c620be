/** The blocks of messages, sealed and sent. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import type { Stage } from './stage.ts'
import { createStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

it('orders.mjs handles a message of sealing.config.mjs as its sender, once', async () => {
  const driver = `
    import { createTokenRelay, runWithToken } from 'otel-token-relay'
    import { propagation } from '@opentelemetry/api'
    import { writeFileSync } from 'node:fs'
    import options from './sealing.config.mjs'
    const [key] = options.sealing.keys
    key.secretFile = 'orders-2'
    writeFileSync(key.secretFile, crypto.getRandomValues(Buffer.alloc(32)).toString('base64url') + '\\n')
    propagation.setGlobalPropagator(createTokenRelay(options).propagator)
    const { orderHeaders } = await import('./caller.ts')
    const { handleOrder } = await import('./orders.mjs')
    const headers = await runWithToken(process.env.TOKEN, () => orderHeaders())
    const subject = await handleOrder({ headers })
    const again = await handleOrder({ headers: { ...headers } }).catch((error) => error.name)
    console.log(JSON.stringify([headers.authorization.slice(0, 8), subject, again]))
    process.exit()`
  expect(await stage.drive(driver, [], { TOKEN: await stage.issuer.token() })).toEqual([
    'Sealed e',
    'alice',
    'SealError',
  ])
})

it.runIf(HAS_REDIS)('fleet.config.mjs makes a fleet exchange once, and open a message once', async () => {
  await using redis = await startRedis()
  stage.billing.clear()
  stage.endpoint.requests.length = 0
  const driver = `
    import { writeFileSync } from 'node:fs'
    import { createTokenRelay, runWithToken } from 'otel-token-relay'
    import { consume, produce } from 'otel-token-relay/messaging'
    import options from './fleet.config.mjs'
    const [key] = options.sealing.keys
    key.secretFile = 'fleet-key'
    writeFileSync(key.secretFile, crypto.getRandomValues(Buffer.alloc(32)).toString('base64url'))
    let headers
    const outcomes = []
    for (let i = 0; i < 3; i += 1) {
      // Another process of the fleet.
      const relay = createTokenRelay(options)
      await runWithToken(process.env.TOKEN, async () => {
        await fetch(process.env.BILLING).then((response) => response.text())
        await produce('kafka:orders', (made) => { headers ??= made })
      })
      const consumed = await consume({ source: 'kafka:orders', headers: { ...headers } }, () => 'opened')
      outcomes.push(consumed.result ?? consumed.error.code)
      await relay.shutdown()
    }
    console.log(JSON.stringify(outcomes))
    process.exit()`
  const env = {
    TOKEN: await stage.issuer.token(),
    BILLING: stage.billing.origin,
    CLIENT_SECRET: 'secret',
    REDIS_URL: redis.url,
  }
  expect(await stage.drive(driver, [], env)).toEqual(['opened', 'ERR_TOKEN_SEAL', 'ERR_TOKEN_SEAL'])
  expect(new Set(stage.billing.received.map(({ authorization }) => authorization.join())).size).toBe(1)
  expect(stage.endpoint.requests).toHaveLength(1)
})

it('shipping.mjs ships an order as the customer, and reports what it could not ship', async () => {
  const driver = `
    import { createTokenRelay, runWithToken } from 'otel-token-relay'
    import options from './sealing.config.mjs'
    const [key] = options.sealing.keys
    createTokenRelay({ ...options, sealing: { keys: [{ kid: key.kid, secret: crypto.getRandomValues(Buffer.alloc(32)).toString('base64url') }] } })
    const { order, ship } = await import('./shipping.mjs')
    const queue = []
    await runWithToken(process.env.TOKEN, () => order(queue, 'a bicycle'))
    console.log(JSON.stringify([await ship(queue[0]), await ship({ text: 'a car', headers: {} })]))
    process.exit()`
  expect(await stage.drive(driver, [], { TOKEN: await stage.issuer.token() })).toEqual([
    'a bicycle for alice',
    'rejected: ERR_TOKEN_MISSING',
  ])
})
