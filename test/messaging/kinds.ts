/** The brokers and broker clients that the tests run. */

import type { AddressInfo } from 'node:net'
import { Redis } from 'ioredis'
import { createSqsServer } from 'local-aws-sqs'
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
import { close, listen } from '../support/issuer.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import type { Kind } from './rig.ts'

export interface TestedKind extends Kind {
  readonly available: boolean
  readonly start: () => Promise<Broker>
}

async function startSqs(): Promise<Broker> {
  const queues = ['orders', 'other'].map((QueueName) => ({ QueueName }))
  const server = await createSqsServer({ port: 0, hostname: '127.0.0.1', queues })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    stored: async () => '',
    stop: () => close(server),
    start: async () => void (await listen(server, '127.0.0.1', port)),
    [Symbol.asyncDispose]: () => close(server),
  }
}
async function startRedisBroker(): Promise<Broker> {
  const redis = await startRedis({ durable: true })
  const client = new Redis(redis.url)
  client.on('error', () => undefined)
  return {
    url: redis.url,
    stop: redis.kill,
    start: redis.restart,
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

export const KINDS: readonly TestedKind[] = [
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
