/** Several processes that get the same messages at once: each message is worked on by one of them. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import { produce } from '../../src/messaging/index.ts'
import { startProgram } from '../support/process.ts'
import type { RedisServer } from '../support/redis.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { Resources } from '../support/resources.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const MESSAGES = 10
const PROCESSES = 4
const DELIVERIES = 50

describe.runIf(HAS_REDIS)('a fleet of consumers', () => {
  let redis: RedisServer
  beforeEach(async () => {
    redis = await startRedis()
  })
  afterEach(() => redis[Symbol.asyncDispose]())

  it.each([1, 3])('opens each of 10 messages %i times, of 200 deliveries in 4 processes [H2]', async (maxOpenings) => {
    const signer = createSigner()
    const options = {
      ...optionsFor([signer.jwk]),
      destinations: [{ to: 'kafka:orders' }],
      sealing: { keys: [{ kid: 'orders-1', secret: randomSecret() }], maxOpenings },
    }
    const messages = await producedBy(options, signer.token(goodClaims(ISSUER)))
    const env = {
      REDIS_URL: redis.url,
      RELAY_OPTIONS: JSON.stringify(options),
      MESSAGES: JSON.stringify(messages),
      DELIVERIES: String(DELIVERIES),
    }
    await using programs = new Resources()
    const fleet = Array.from({ length: PROCESSES }, () => programs.use(startProgram('redeliver.cjs', { env })))
    await Promise.all(fleet.map((program) => program.report('ready')))
    const outcomes = await Promise.all(fleet.map((program) => program.ask<string[][]>('outcomes')))
    for (const message of messages.keys()) {
      const all = outcomes.flatMap((byMessage) => byMessage[message] ?? [])
      const counts = Object.entries(Object.groupBy(all, (outcome) => outcome)).map(([name, each]) => [
        name,
        each?.length,
      ])
      expect(Object.fromEntries(counts)).toEqual({
        handled: maxOpenings,
        ERR_TOKEN_SEAL: PROCESSES * DELIVERIES - maxOpenings,
      })
    }
  })
})

/** Messages with a sealed token each. */
async function producedBy(options: Parameters<typeof createTokenRelay>[0], token: string): Promise<object[]> {
  const relay = createTokenRelay(options)
  const messages: object[] = []
  await runWithToken(token, async () => {
    for (let i = 0; i < MESSAGES; i += 1) await produce('kafka:orders', (headers) => messages.push({ ...headers }))
  })
  await relay.shutdown()
  return messages
}
