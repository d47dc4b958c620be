/** Producers and a consumer in processes of their own, with a broker between them; and what must be true of any broker. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import { decodeJwt } from 'jose'
import { expect, vi } from 'vitest'
import type { TokenRelayOptions } from '../../src/index.ts'
import { createSecretSealingKey } from '../../src/sealing/key.ts'
import { createCanaries } from '../../src/testing/pieces.ts'
import type { Broker } from '../support/brokers.ts'
import { close, listen } from '../support/issuer.ts'
import type { Program } from '../support/process.ts'
import { startProgram } from '../support/process.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { randomSecret, sealingWith } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

/** A client of a broker. */
export interface Kind {
  readonly client: string
  readonly system: string
  readonly queues: readonly string[]
  /** Whether messages lie there after they were worked on. */
  readonly keeps?: true
}

/** What the consumer has seen. */
export interface Seen {
  readonly right: number
  readonly wrong: number
  /** How many different messages were worked on. */
  readonly distinct: number
  readonly rejected: Readonly<Record<string, number>>
  /** How many `auth.message.decided` there were, by verdict and code. */
  readonly decided: Readonly<Record<string, number>>
  readonly deadLetters?: readonly { readonly headers: Readonly<Record<string, unknown>> }[]
}

export const signer = createSigner()
export const key = { kid: 'orders-1', secret: randomSecret() }
const SUBJECTS = Array.from({ length: 100 }, (_, i) => `caller-${i}`)
export const tokens = Object.fromEntries(SUBJECTS.map((sub) => [sub, signer.token(goodClaims(ISSUER, { sub }))]))

/** Answers who it was called as. */
export interface Sink extends AsyncDisposable {
  readonly url: string
}

export async function startSink(): Promise<Sink> {
  const server: Server = createServer((request, response) => {
    const token = request.headers.authorization?.split(' ')[1]
    response.end(JSON.stringify({ subject: token === undefined ? null : decodeJwt(token).sub }))
  })
  return { url: `http://127.0.0.1:${await listen(server)}`, [Symbol.asyncDispose]: () => close(server) }
}

export function optionsOf({ system, queues }: Kind, sink: Sink, more: Partial<TokenRelayOptions> = {}): string {
  const destinations = [...queues, 'other'].map((name) => ({ to: `${system}:${name}` }))
  return JSON.stringify({
    ...optionsFor([signer.jwk]),
    destinations: [...destinations, { to: sink.url }],
    sealing: { keys: [key] },
    ...more,
  })
}

/** Starts the consumer inside a request of a stranger, and resolves when it consumes. */
export async function startConsumer(
  kind: Kind,
  broker: Broker,
  sink: Sink,
  options: string,
  env = {},
): Promise<Program> {
  const stranger = signer.token(goodClaims(ISSUER, { sub: 'stranger' }))
  const { client, queues } = kind
  const consumer = startProgram('brokers/consumer.cjs', {
    env: {
      BROKER: client,
      OPTIONS: options,
      URL: broker.url,
      QUEUE: queues[0] ?? '',
      SINK: sink.url,
      STRANGER: stranger,
      ...env,
    },
  }) // prettier-ignore
  await consumer.report('ready')
  return consumer
}

export function startProducer(
  kind: Kind,
  broker: Broker,
  options: string,
  env = {},
  program: 'producer' | 'steady' = 'producer',
): Program {
  const { client, queues } = kind
  return startProgram(`brokers/${program}.cjs`, {
    env: {
      BROKER: client,
      OPTIONS: options,
      URL: broker.url,
      QUEUES: JSON.stringify(queues),
      TOKENS: JSON.stringify(tokens),
      ...env,
    },
  }) // prettier-ignore
}

/** Good in everything but the key, which the consumer does not have (any more). */
function sealedWithRemovedKey({ system, queues }: Kind): string {
  const sealing = sealingWith([createSecretSealingKey('orders-0', randomSecret())])
  const message = { destination: `${system}:${queues[0]}`, traceId: undefined }
  return `Sealed ${sealing.seal(tokens[SUBJECTS[0] ?? ''] ?? '', Date.now() + 300_000, true, message)}`
}

const total = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0)
const signatureOf = (token: string): string => token.slice(token.lastIndexOf('.') + 1)

/** `count` messages of each of 100 callers, and hostile ones; then looks at who has run, and at what lies in the broker. */
export async function expectEachItsOwn(kind: Kind, broker: Broker, sink: Sink, count: number): Promise<void> {
  const options = optionsOf(kind, sink)
  await using consumer = await startConsumer(kind, broker, sink, options)
  const env = { COUNT: String(count), REMOVED: sealedWithRemovedKey(kind) }
  await using producer = startProducer(kind, broker, options, env)
  const hostile = await producer.report<number>('rejected')

  const letters: NonNullable<Seen['deadLetters']>[number][] = []
  const expected = SUBJECTS.length * count * kind.queues.length + 1
  const seen = await vi.waitFor(async () => {
    const now = await consumer.ask<Seen>('seen')
    letters.push(...(now.deadLetters ?? []))
    const counts = [now.right + now.wrong, total(now.rejected), total(now.decided)]
    expect(counts).toEqual([expected, hostile, expected + hostile])
    return now
  })
  expect(seen).toMatchObject({ right: expected, wrong: 0 })
  const { ERR_TOKEN_MISSING: missing, ...others } = seen.rejected
  expect([missing, others]).toEqual([1, { ERR_TOKEN_SEAL: hostile - 1 }])
  expect(seen.decided).toEqual({
    caller: expected,
    'rejected ERR_TOKEN_MISSING': 1,
    'rejected ERR_TOKEN_SEAL': hostile - 1,
  })
  if (kind.client === 'rabbitmq') expectReasonsOnly(letters, hostile)
  await expectNoToken(kind, broker)
}

function expectReasonsOnly(letters: NonNullable<Seen['deadLetters']>, hostile: number): void {
  expect(letters.map(({ headers }) => headers['auth-error']).toSorted()).toEqual([
    'ERR_TOKEN_MISSING',
    ...Array.from({ length: hostile - 1 }, () => 'ERR_TOKEN_SEAL'),
  ]) // prettier-ignore
  expect(letters.some(({ headers }) => 'authorization' in headers)).toBe(false)
}

async function expectNoToken(kind: Kind, broker: Broker): Promise<void> {
  const stored = await broker.stored()
  const pieces = (signatures: readonly (string | undefined)[]) => {
    const canaries = createCanaries()
    for (const signature of signatures) canaries.add(signature ?? '', '')
    return canaries.find(stored)
  }
  expect(pieces(Object.values(tokens).slice(1).map(signatureOf))).toBeUndefined()
  // Somebody has sent this one in clear text: where messages stay, it is found.
  if (kind.keeps) expect(pieces([signatureOf(tokens[SUBJECTS[0] ?? ''] ?? '')])).toBeDefined()
}

interface Progress {
  readonly sent: number
  readonly failures: number
}

/** As often as a message may be delivered again here. */
const OPENINGS = { sealing: { keys: [key], maxOpenings: 100 } }

/** Stops the broker in the middle of a run, and starts it again: nothing runs as somebody else, and nothing is lost. */
export async function expectToSurvive(kind: Kind, broker: Broker, sink: Sink): Promise<void> {
  const options = optionsOf(kind, sink, OPENINGS)
  const callers = Object.fromEntries(Object.entries(tokens).slice(0, 20))
  const [count, total] = [20, 400]
  await using consumer = await startConsumer(kind, broker, sink, options)
  const env = { COUNT: String(count), PACE_MILLIS: '20', TOKENS: JSON.stringify(callers) }
  await using producer = startProducer(kind, broker, options, env, 'steady')
  await producer.report('started')
  const reaches = (isReached: (progress: Progress) => boolean): Promise<void> =>
    vi.waitFor(async () => expect(isReached(await producer.ask<Progress>('progress'))).toBe(true))

  await reaches(({ sent }) => sent > total / 4)
  await broker.stop()
  const { sent } = await producer.ask<Progress>('progress')
  expect(sent).toBeLessThan(total)
  await reaches(({ failures }) => failures > 0)
  await broker.start()
  await producer.report('done')
  const seen = await vi.waitFor(async () => {
    const now = await consumer.ask<Seen>('seen')
    expect(now.distinct).toBe(total)
    return now
  })
  expect(seen).toMatchObject({ wrong: 0, rejected: {} })
}

/** How long a consumer waits for an issuer before it has a message delivered again. */
const UNDECIDED_MILLIS = 300

/** Keeps the issuer's keys from the consumer: nothing runs meanwhile, as anybody, and all does when they are back. */
export async function expectToWait(kind: Kind, broker: Broker, sink: Sink): Promise<void> {
  let isDown = false
  const keys = createServer((_, response) => {
    response.writeHead(isDown ? 503 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ keys: [signer.jwk] }))
  })
  await using _ = { [Symbol.asyncDispose]: () => close(keys) }
  const keySet = { maxAgeMillis: 1, staleMillis: 0, cooldownMillis: 0 }
  const issuers = [
    { issuer: ISSUER, audience: 'user-service', jwksUri: `http://127.0.0.1:${await listen(keys)}`, keySet },
  ]
  const consuming = optionsOf(kind, sink, { ...OPENINGS, issuers })
  await using consumer = await startConsumer(kind, broker, sink, consuming, { UNDECIDED_MILLIS })
  isDown = true
  const downAt = Date.now()
  const callers = Object.fromEntries(Object.entries(tokens).slice(0, 10))
  const env = { COUNT: '2', TOKENS: JSON.stringify(callers) }
  await using producer = startProducer(kind, broker, optionsOf(kind, sink, OPENINGS), env, 'steady')
  await producer.report('done')

  const waiting = await vi.waitFor(async () => {
    const now = await consumer.ask<Seen>('seen')
    expect(total(now.decided)).toBeGreaterThan(0)
    return now
  })
  expect(Object.keys(waiting.decided)).toEqual(['undecided ERR_TOKEN_KEYS_UNAVAILABLE'])
  expect(waiting).toMatchObject({ right: 0, wrong: 0, rejected: {} })
  // No hot loop: each is given up after a while, and not at once.
  expect(total(waiting.decided)).toBeLessThanOrEqual(20 * Math.ceil((Date.now() - downAt) / UNDECIDED_MILLIS))

  isDown = false
  await vi.waitFor(async () => expect((await consumer.ask<Seen>('seen')).distinct).toBe(20))
  expect(await consumer.ask<Seen>('seen')).toMatchObject({ wrong: 0, rejected: {} })
}

/** Producers that have the new key already and such that have not, and a consumer with both: nothing is refused. */
export async function expectToRotate(kind: Kind, broker: Broker, sink: Sink): Promise<void> {
  const next = { kid: 'orders-2', secret: randomSecret() }
  const ringOf = (keys: readonly (typeof next)[]): string =>
    optionsOf(kind, sink, { sealing: { keys, maxOpenings: 100 } })
  await using consumer = await startConsumer(kind, broker, sink, ringOf([key, next]))
  const send = async (keys: readonly (typeof next)[], callers: readonly [string, string][]): Promise<void> => {
    const env = { COUNT: '5', TOKENS: JSON.stringify(Object.fromEntries(callers)) }
    await using producer = startProducer(kind, broker, ringOf(keys), env, 'steady')
    await producer.report('done')
  }
  const [half, others] = [Object.entries(tokens).slice(0, 50), Object.entries(tokens).slice(50)]
  await Promise.all([send([key], half), send([next, key], others)])
  const seen = await vi.waitFor(async () => {
    const now = await consumer.ask<Seen>('seen')
    expect(now.distinct).toBe(500)
    return now
  })
  expect(seen).toMatchObject({ wrong: 0, rejected: {} })
}
