/** In a batch of kafkajs, unresolved messages stay, and undecided messages keep their consumer in the group. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import { produce } from '../../src/messaging/index.ts'
import type { BatchPayload, KafkaMessage } from '../../src/messaging/kafkajs.ts'
import { asCaller, eachAsCaller } from '../../src/messaging/kafkajs.ts'
import { HAS_KCAT, startKafka } from '../support/brokers.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import { expectPoliteStop } from './kafka-stop.ts'

describe.runIf(HAS_KCAT)('a consumer that stops in the middle of a batch', () => {
  it.each([true, false])('loses nothing, with eachBatchAutoResolve: %s', async (autoResolve) => {
    await using kafka = await startKafka()
    await expectPoliteStop(kafka.url, autoResolve)
  })
})

describe('a batch', () => {
  const signer = createSigner()
  const token = signer.token(goodClaims(ISSUER, { sub: 'alice' }))
  let relay: TokenRelay
  let isDown = false
  beforeEach(() => {
    isDown = false
    const replayWindow = { count: () => (isDown ? Promise.reject(new Error('down')) : 1) }
    relay = createTokenRelay({
      ...optionsFor([signer.jwk]),
      destinations: [{ to: 'kafka:orders' }],
      sealing: { keys: [{ kid: 'orders-1', secret: randomSecret() }], replayWindow },
    })
  })
  afterEach(() => relay.shutdown())

  const message = (offset: string): Promise<KafkaMessage> =>
    runWithToken(token, () => produce('kafka:orders', (headers) => ({ headers, offset })))

  interface Batch extends BatchPayload<KafkaMessage> {
    readonly resolved: string[]
    beats: number
    is: 'running' | 'stopped' | 'stale'
  }
  async function batchOf(count: number): Promise<Batch> {
    const messages = await Promise.all(Array.from({ length: count }, (_, i) => message(String(i))))
    const batch: Batch = {
      batch: { topic: 'orders', messages },
      resolved: [],
      beats: 0,
      is: 'running',
      resolveOffset: (offset) => void batch.resolved.push(offset),
      async heartbeat() {
        batch.beats += 1
      },
      isRunning: () => batch.is !== 'stopped',
      isStale: () => batch.is === 'stale',
    }
    return batch
  }
  const onRejected = (): void => undefined

  it.each([
    'stopped',
    'stale',
  ] as const)('that is %s before its end fails, and resolves nothing more', async (state) => {
    const batch = await batchOf(3)
    const handled: string[] = []
    const each = eachAsCaller<KafkaMessage>(
      ({ offset }) => {
        handled.push(offset)
        if (offset === '1') batch.is = state
      },
      { onRejected },
    )
    await expect(each(batch)).rejects.toThrow('the batch ended before its last message')
    expect([handled, batch.resolved]).toEqual([
      ['0', '1'],
      ['0', '1'],
    ])
  })

  it('that is stopped at its end succeeds', async () => {
    const batch = await batchOf(2)
    const each = eachAsCaller<KafkaMessage>(
      ({ offset }) => {
        if (offset === '1') batch.is = 'stopped'
      },
      { onRejected },
    )
    await each(batch)
    expect(batch.resolved).toEqual(['0', '1'])
  })

  it('ends at an undecided message, after at least a second with heartbeats', async () => {
    const batch = await batchOf(2)
    isDown = true
    const begun = performance.now()
    const each = eachAsCaller<KafkaMessage>(() => undefined, { onRejected, undecidedMillis: 0 })
    await expect(each(batch)).rejects.toMatchObject({ name: 'UndecidedError' })
    expect(performance.now() - begun).toBeGreaterThanOrEqual(1_000)
    expect(batch.resolved).toEqual([])
    expect(batch.beats).toBeGreaterThanOrEqual(2)
  })

  it('that is stopped while a message waits ends at once, without its handler', async () => {
    const batch = await batchOf(1)
    isDown = true
    const handled: string[] = []
    const working = eachAsCaller<KafkaMessage>(({ offset }) => handled.push(offset), { onRejected })(batch)
    batch.is = 'stopped'
    setTimeout(() => {
      isDown = false
    }, 500)
    await expect(working).rejects.toThrow('the batch ended before its last message')
    expect([handled, batch.resolved]).toEqual([[], []])
  })

  it('fails after at least a second if onRejected fails', async () => {
    const batch = await batchOf(0)
    const begun = performance.now()
    const each = eachAsCaller<KafkaMessage>(() => undefined, { onRejected: () => Promise.reject(new Error('full')) })
    const messages = [{ headers: {}, offset: '7' }]
    await expect(each({ ...batch, batch: { topic: 'orders', messages } })).rejects.toThrow('full')
    expect(performance.now() - begun).toBeGreaterThanOrEqual(1_000)
  })

  it('behaves like a single message, which throws the undecided error a second later, after heartbeats', async () => {
    const payload = {
      topic: 'orders',
      message: await message('0'),
      beats: 0,
      heartbeat: () => {
        payload.beats += 1
        return Promise.resolve()
      },
    }
    isDown = true
    const begun = performance.now()
    const each = asCaller<typeof payload>(() => undefined, { onRejected, undecidedMillis: 0 })
    await expect(each(payload)).rejects.toMatchObject({ name: 'UndecidedError' })
    expect(performance.now() - begun).toBeGreaterThanOrEqual(1_000)
    expect(payload.beats).toBeGreaterThanOrEqual(1)
  })
})
