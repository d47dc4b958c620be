/** Messages that OpenTelemetry's instrumentations produce: sealed for the queue that their span names, sampled or not. */

import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createSqsServer } from 'local-aws-sqs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { close } from '../support/issuer.ts'
import type { OtelLine } from '../support/process.ts'
import { OTEL_LINES, startProgram } from '../support/process.ts'
import type { RedisServer } from '../support/redis.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { P256, publicPart } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const SYSTEMS: Readonly<Record<string, string>> = { kafka: 'kafka', sqs: 'aws_sqs', bullmq: 'bullmq' }

let sqs: Server
let redis: RedisServer | undefined
beforeAll(async () => {
  const queues = ['orders', 'other', 'clear'].map((QueueName) => ({ QueueName }))
  sqs = await createSqsServer({ port: 0, hostname: '127.0.0.1', queues })
  redis = HAS_REDIS ? await startRedis() : undefined
})
afterAll(async () => {
  await close(sqs)
  await redis?.[Symbol.asyncDispose]()
})

type Seen = readonly (readonly unknown[])[]

async function produced(line: OtelLine, mode: string): Promise<Readonly<Record<string, Seen>>> {
  const destinations = Object.values(SYSTEMS).flatMap((system) => [
    { to: `${system}:orders` },
    { to: `${system}:clear`, seal: false },
  ]) // prettier-ignore
  const options = {
    ...optionsFor([signer.jwk]),
    destinations,
    sealing: { keys: [{ kid: 'a', jwk: publicPart(P256.jwk) }] },
  }
  await using program = startProgram('producers.cjs', {
    line,
    env: {
      MODE: mode,
      RELAY_OPTIONS: JSON.stringify(options),
      SQS_URL: `http://127.0.0.1:${(sqs.address() as AddressInfo).port}`,
      TOKEN: signer.token(goodClaims(ISSUER)),
      OTHER_TOKEN: signer.token(goodClaims(ISSUER, { sub: 'bob' })),
      ...(redis === undefined ? {} : { REDIS_PORT: String(redis.port) }),
      ...(mode === 'off' ? { OTEL_TRACES_SAMPLER: 'always_off' } : {}),
    },
  })
  expect([await program.ended, program.stderr()]).toEqual([0, expect.anything()])
  return program.reported as Readonly<Record<string, Seen>>
}

const schemes = (seen: Seen): unknown[] => seen.slice(0, 6).map(([scheme]) => scheme)

describe.each(OTEL_LINES)('%s', (line) => {
  it.each([
    'sampled',
    'off',
    'none',
    'late',
  ])('a token goes to queues that a rule names, sealed: %s [F5, F6, G3]', async (mode) => {
    const { kafka = [], sqs: attributes = [], bullmq = [] } = await produced(line, mode)
    // Named; not named, with the same headers; named, as somebody else; in clear text; nobody calling; suppressed.
    const expected = ['Sealed', '-', 'Sealed', 'Bearer', '-', '-']
    expect(schemes(kafka)).toEqual(expected)
    expect(schemes(attributes)).toEqual(expected)
    // bullmq-otel has the API of the later line, and the one of the earlier line is too old for it.
    if (HAS_REDIS && line === 'otel-3') expect(schemes(bullmq)).toEqual(expected)
    // Seven attributes of its own, and eight: the trace comes first, and there is no eleventh.
    const counted = attributes.slice(6).filter(([, has]) => typeof has === 'boolean')
    const expectedCounts = [
      [9, true],
      [10, true],
    ]
    if (mode !== 'none') expect(counted).toEqual(expectedCounts)
  })
})

it('the producer span tells what became of the token', async () => {
  const { kafka = [], sqs: attributes = [] } = await produced('otel-3', 'sampled')
  for (const [system, seen] of [
    ['kafka', kafka],
    ['aws_sqs', attributes],
  ] as const) {
    // The request to the broker's API is another hop, to which nothing goes.
    const ofProducer = seen.slice(0, 4).map(([, ...events]) => events.at(-1))
    expect(ofProducer).toEqual([
      ['auth.token.sealed', `${system}:orders`],
      ['auth.token.withheld', 'not_named'],
      ['auth.token.sealed', `${system}:orders`],
      ['auth.token.forwarded', `${system}:clear`],
    ])
  }
})
