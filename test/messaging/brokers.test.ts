/** Real brokers between two processes: every message is worked on as its sender, and no token lies in the broker. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Redis } from 'ioredis'
import { decodeJwt } from 'jose'
import { createSqsServer } from 'local-aws-sqs'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createCanaries } from '../rigs/canaries.ts'
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
import { startProgram } from '../support/process.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const SUBJECTS = Array.from({ length: 100 }, (_, i) => `caller-${i}`)
const COUNT = 3
const tokens = Object.fromEntries(SUBJECTS.map((sub) => [sub, signer.token(goodClaims(ISSUER, { sub }))]))
const key = { kid: 'orders-1', secret: randomSecret() }

let sink: Server
let sinkUrl: string
beforeAll(async () => {
  sink = createServer((request, response) => {
    const token = request.headers.authorization?.split(' ')[1]
    response.end(JSON.stringify({ subject: token === undefined ? null : decodeJwt(token).sub }))
  })
  sinkUrl = `http://127.0.0.1:${await listen(sink)}`
})
afterAll(() => close(sink))

interface Seen {
  readonly right: number
  readonly wrong: number
  readonly rejected: Readonly<Record<string, number>>
  readonly deadLetters?: readonly { readonly headers: Readonly<Record<string, unknown>> }[]
}

interface Kind {
  readonly client: string
  readonly system: string
  readonly available: boolean
  readonly queues: readonly string[]
  readonly start: () => Promise<Broker>
  /** Whether messages lie there after they were worked on. */
  readonly keeps?: true
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

const KINDS: readonly Kind[] = [
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

function optionsOf({ system, queues }: Kind): string {
  const destinations = [...queues, 'other'].map((name) => ({ to: `${system}:${name}` }))
  return JSON.stringify({
    ...optionsFor([signer.jwk]),
    destinations: [...destinations, { to: sinkUrl }],
    sealing: { keys: [key] },
  })
}

const signatureOf = (token: string): string => token.slice(token.lastIndexOf('.') + 1)

describe.each(KINDS)('$client', (kind) => {
  it.runIf(kind.available)(
    'G3 H1 H2 H9 F5 F6 F7 every message is its sender’s, and what is not good is nobody’s',
    async () => {
      await using broker = await kind.start()
      const env = { BROKER: kind.client, OPTIONS: optionsOf(kind), URL: broker.url, QUEUE: 'orders', SINK: sinkUrl }
      const stranger = signer.token(goodClaims(ISSUER, { sub: 'stranger' }))
      await using consumer = startProgram('brokers/consumer.cjs', { env: { ...env, STRANGER: stranger } })
      expect(await consumer.report('ready')).toBe(true)
      await using producer = startProgram('brokers/producer.cjs', {
        env: { ...env, TOKENS: JSON.stringify(tokens), COUNT: String(COUNT), QUEUES: JSON.stringify(kind.queues) },
      })
      const hostile = await producer.report<number>('rejected')

      const letters: NonNullable<Seen['deadLetters']>[number][] = []
      const expected = SUBJECTS.length * COUNT * kind.queues.length + 1
      const seen = await vi.waitFor(async () => {
        const now = await consumer.ask<Seen>('seen')
        letters.push(...(now.deadLetters ?? []))
        const rejected = Object.values(now.rejected).reduce((sum, count) => sum + count, 0)
        expect([now.right + now.wrong, rejected]).toEqual([expected, hostile])
        return now
      })
      expect(seen).toMatchObject({ right: expected, wrong: 0 })
      expect(Object.keys(seen.rejected).toSorted()).toEqual(['ERR_TOKEN_MISSING', 'ERR_TOKEN_SEAL'])
      if (kind.client === 'rabbitmq') {
        expect(letters.map(({ headers }) => headers['auth-error']).toSorted()).toEqual([
          'ERR_TOKEN_MISSING',
          ...Array.from({ length: hostile - 1 }, () => 'ERR_TOKEN_SEAL'),
        ]) // prettier-ignore
        expect(letters.some(({ headers }) => 'authorization' in headers)).toBe(false)
      }
      const stored = await broker.stored()
      const pieces = (signatures: readonly (string | undefined)[]) => {
        const canaries = createCanaries()
        for (const signature of signatures) canaries.add(signature ?? '', '')
        return canaries.find(stored)
      }
      expect(pieces(Object.values(tokens).slice(1).map(signatureOf))).toBeUndefined()
      // Somebody has sent this one in clear text: where messages stay, it is found.
      if (kind.keeps) expect(pieces([signatureOf(tokens[SUBJECTS[0] ?? ''] ?? '')])).toBeDefined()
    },
  )
})
