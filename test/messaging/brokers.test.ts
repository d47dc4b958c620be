/** Real brokers between two processes: every message is worked on as its sender, and no token lies in the broker. */

import type { AddressInfo } from 'node:net'
import { Redis } from 'ioredis'
import { createSqsServer } from 'local-aws-sqs'
import { afterAll, beforeAll, describe, it } from 'vitest'
import type { Broker } from '../support/brokers.ts'
import {
  HAS_KCAT,
  HAS_MOSQUITTO,
  HAS_NATS,
  HAS_RABBITMQ,
  startKafka,
  startMosquitto,
  startNats,
  startRabbitMq,
} from '../support/brokers.ts'
import { close } from '../support/issuer.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import type { Kind, Sink } from './rig.ts'
import { expectEachItsOwn, startSink } from './rig.ts'

let sink: Sink
beforeAll(async () => {
  sink = await startSink()
})
afterAll(() => sink[Symbol.asyncDispose]())

interface TestedKind extends Kind {
  readonly available: boolean
  readonly start: () => Promise<Broker>
}

async function startSqs(): Promise<Broker> {
  const queues = ['orders', 'other'].map((QueueName) => ({ QueueName }))
  const server = await createSqsServer({ port: 0, hostname: '127.0.0.1', queues })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, stored: async () => '', [Symbol.asyncDispose]: () => close(server) }
}
async function startRedisBroker(): Promise<Broker> {
  const redis = await startRedis()
  const client = new Redis(redis.url)
  client.on('error', () => undefined)
  return {
    url: redis.url,
    async stored() {
      const jobs = await client.keys('bull:*:[0-9]*')
      return JSON.stringify(await Promise.all(jobs.map((job) => client.hgetall(job))))
    },
    async [Symbol.asyncDispose]() {
      client.disconnect()
      await redis[Symbol.asyncDispose]()
    },
  }
}

const KINDS: readonly TestedKind[] = [
  {
    client: 'rabbitmq',
    system: 'rabbitmq',
    available: HAS_RABBITMQ,
    queues: ['orders', 'orders-plain'],
    start: startRabbitMq,
  },
  {
    client: 'nats',
    system: 'nats',
    available: HAS_NATS,
    queues: ['orders', 'core-orders'],
    start: startNats,
    keeps: true,
  },
  { client: 'mqtt', system: 'mqtt', available: HAS_MOSQUITTO, queues: ['orders'], start: startMosquitto },
  {
    client: 'kafkajs',
    system: 'kafka',
    available: HAS_KCAT,
    queues: ['orders', 'orders-batch'],
    start: startKafka,
    keeps: true,
  },
  {
    client: 'bullmq',
    system: 'bullmq',
    available: HAS_REDIS,
    queues: ['orders', 'orders-otel'],
    start: startRedisBroker,
    keeps: true,
  },
  { client: 'sqs', system: 'aws_sqs', available: true, queues: ['orders'], start: startSqs },
]

describe.each(KINDS)('$client', (kind) => {
  it.runIf(kind.available)(
    'G3 H1 H2 H4 H9 F5 F6 F7 every message is its sender’s, and what is not good is nobody’s, with one event each',
    async () => {
      await using broker = await kind.start()
      await expectEachItsOwn(kind, broker, sink, 3)
    },
  )
})
