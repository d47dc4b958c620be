/** Stops a kafkajs consumer in the middle of a batch, and starts another consumer of its group. */

import type { EachBatchHandler } from 'kafkajs'
import { Kafka, logLevel } from 'kafkajs'
import { expect } from 'vitest'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import { produce } from '../../src/messaging/index.ts'
import { eachAsCaller } from '../../src/messaging/kafkajs.ts'
import { waitFor } from '../support/patience.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const COUNT = 40
const STOPS_AFTER = 5

/** Checks that one of the consumers handled each message, whether kafkajs resolves batches itself or not. */
export async function expectPoliteStop(url: string, eachBatchAutoResolve: boolean): Promise<void> {
  const topic = `orders-${eachBatchAutoResolve}`
  const signer = createSigner()
  const relay = createTokenRelay({
    ...optionsFor([signer.jwk]),
    destinations: [{ to: `kafka:${topic}` }],
    // Offsets are committed after the handler, so the last message may come again.
    sealing: { keys: [{ kid: 'orders-1', secret: randomSecret() }], maxOpenings: 2 },
  })
  const kafka = new Kafka({ brokers: [url], logLevel: logLevel.NOTHING, retry: { retries: 20, maxRetryTime: 1_000 } })
  const token = signer.token(goodClaims(ISSUER, { sub: 'alice' }))
  const producer = kafka.producer()
  await producer.connect()
  // Sent in one request, so that they arrive in one batch.
  const messages: { value: string; headers: Record<string, string> }[] = []
  for (let i = 0; i < COUNT; i += 1)
    await runWithToken(token, () =>
      produce(`kafka:${topic}`, (headers) => messages.push({ value: String(i), headers })),
    )
  await producer.send({ topic, messages: messages.map((message) => ({ ...message, partition: 0 })) })
  await producer.disconnect()

  const seen: string[] = []
  async function start(onMessage: (text: string) => Promise<void>) {
    const consumer = kafka.consumer({ groupId: topic, sessionTimeout: 6_000, heartbeatInterval: 500 })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    const onRejected = ({ value }: { readonly value: Buffer | null }): void => void seen.push(`rejected ${value}`)
    const eachBatch: EachBatchHandler = eachAsCaller(
      ({ value }: { readonly value: Buffer | null; readonly offset: string }) => {
        seen.push(`${value} ${getActiveCredential()?.subject}`)
        return onMessage(String(value))
      },
      { onRejected },
    )
    await consumer.run({ eachBatchAutoResolve, eachBatch })
    return consumer
  }

  const isReached = Promise.withResolvers<void>()
  const isStopping = Promise.withResolvers<void>()
  const first = await start(async (text) => {
    if (text !== String(STOPS_AFTER - 1)) return
    isReached.resolve()
    await isStopping.promise
  })
  await isReached.promise
  const stopped = first.stop()
  isStopping.resolve()
  await stopped
  await first.disconnect()
  expect(seen).toHaveLength(STOPS_AFTER)

  const second = await start(() => Promise.resolve())
  const all = Array.from({ length: COUNT }, (_, i) => `${i} alice`)
  await waitFor(() => expect([...new Set(seen)].toSorted()).toEqual(all.toSorted()))
  await second.disconnect()
  await relay.shutdown()
}
