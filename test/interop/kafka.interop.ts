/** A real Apache Kafka between two processes: every message is its sender’s, and no token lies in the segments of its logs. */

import { afterAll, beforeAll, describe, it } from 'vitest'
import { expectPoliteStop } from '../messaging/kafka-stop.ts'
import type { Kind, Sink } from '../messaging/rig.ts'
import { expectEachItsOwn, startSink } from '../messaging/rig.ts'
import { startKafka } from './kafka.ts'

let sink: Sink
beforeAll(async () => {
  sink = await startSink()
})
afterAll(() => sink[Symbol.asyncDispose]())

const KINDS: readonly Kind[] = [
  { client: 'kafkajs', system: 'kafka', queues: ['orders', 'orders-batch'], keeps: true },
  { client: 'platformatic-kafka', system: 'kafka', queues: ['orders'], keeps: true },
]

it.each([
  true,
  false,
])('a consumer that stops in the middle of a batch loses nothing, with eachBatchAutoResolve: %s', async (autoResolve) => {
  await using kafka = await startKafka([`orders-${autoResolve}`])
  await expectPoliteStop(kafka.url, autoResolve)
})

describe.each(KINDS)('$client', (kind) => {
  it('100 callers with 10 messages each: every message is its sender’s, and stored without his token [G3, H1, H2, H4, H9]', async () => {
    await using kafka = await startKafka([...kind.queues, 'other'])
    await expectEachItsOwn(kind, kafka, sink, 10)
  })
})
