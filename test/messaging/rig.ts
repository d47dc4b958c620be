/**
 * Runs producers and a consumer in separate processes with a broker between them, and checks what must hold for any
 * broker.
 */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { decodeJwt } from 'jose'
import { expect } from 'vitest'
import type { TokenRelayOptions } from '../../src/index.ts'
import { createSecretSealingKey } from '../../src/sealing/key.ts'
import { createCanaries } from '../../src/testing/pieces.ts'
import type { Broker } from '../support/brokers.ts'
import { close, listen } from '../support/issuer.ts'
import { waitFor } from '../support/patience.ts'
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
  /** Whether the broker keeps messages after they were handled. */
  readonly keeps?: true
}

/** The report of the consumer. */
interface Seen {
  readonly right: number
  readonly wrong: number
  /** How many different messages were handled. */
  readonly distinct: number
  readonly rejected: Readonly<Record<string, number>>
  /** How many `auth.message.decided` there were, by verdict and code. */
  readonly decided: Readonly<Record<string, number>>
  readonly deadLetters?: readonly { readonly headers: Readonly<Record<string, unknown>> }[]
}

const signer = createSigner()
const key = { kid: 'orders-1', secret: randomSecret() }
const SUBJECTS = Array.from({ length: 100 }, (_, i) => `caller-${i}`)
/** Later than the end of any run, also on a slow machine. */
const exp = Math.floor(Date.now() / 1000) + 7_200
const tokens = Object.fromEntries(SUBJECTS.map((sub) => [sub, signer.token(goodClaims(ISSUER, { sub, exp }))]))

/** Answers with the subject of the token that it gets. */
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

function optionsOf({ system, queues }: Kind, sink: Sink, more: Partial<TokenRelayOptions> = {}): string {
  const destinations = [...queues, 'other'].map((name) => ({ to: `${system}:${name}` }))
  return JSON.stringify({
    ...optionsFor([signer.jwk]),
    destinations: [...destinations, { to: sink.url }],
    sealing: { keys: [key] },
    ...more,
  })
}

/** Starts the consumer inside an unrelated request, and resolves when it consumes. */
async function startConsumer(kind: Kind, broker: Broker, sink: Sink, options: string, env = {}): Promise<Program> {
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

function startProducer(
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

/** Seals a good token with a key that the consumer does not have, or no longer has. */
function sealedWithRemovedKey({ system, queues }: Kind): string {
  const sealing = sealingWith([createSecretSealingKey('orders-0', randomSecret())])
  const message = { destination: `${system}:${queues[0]}`, traceId: undefined }
  return `Sealed ${sealing.seal(tokens[SUBJECTS[0] ?? ''] ?? '', Date.now() + 300_000, true, message)}`
}

const total = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0)
const signatureOf = (token: string): string => token.slice(token.lastIndexOf('.') + 1)

/** A good token that comes twice is recorded as its caller's, and then refused when its opening is counted. */
const REPLAYS = 1

/**
 * Sends `count` messages of each of 100 callers, and hostile ones, and checks their callers and the contents of the
 * broker.
 */
export async function expectEachItsOwn(kind: Kind, broker: Broker, sink: Sink, count: number): Promise<void> {
  const options = optionsOf(kind, sink)
  await using consumer = await startConsumer(kind, broker, sink, options)
  const env = { COUNT: String(count), REMOVED: sealedWithRemovedKey(kind) }
  await using producer = startProducer(kind, broker, options, env)
  const hostile = await producer.report<number>('rejected')

  const letters: NonNullable<Seen['deadLetters']>[number][] = []
  const expected = SUBJECTS.length * count * kind.queues.length + 1
  const seen = await waitFor(async () => {
    const now = await consumer.ask<Seen>('seen')
    letters.push(...(now.deadLetters ?? []))
    const counts = [now.right + now.wrong, total(now.rejected), total(now.decided)]
    expect(counts).toEqual([expected, hostile, expected + hostile + REPLAYS])
    return now
  })
  expect(seen).toMatchObject({ right: expected, wrong: 0 })
  const { ERR_TOKEN_MISSING: missing, ...others } = seen.rejected
  expect([missing, others]).toEqual([1, { ERR_TOKEN_SEAL: hostile - 1 }])
  expect(seen.decided).toEqual({
    caller: expected + REPLAYS,
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
  // This message was sent in clear text: brokers that keep messages still hold it.
  if (kind.keeps) expect(pieces([signatureOf(tokens[SUBJECTS[0] ?? ''] ?? '')])).toBeDefined()
}

interface Progress {
  readonly sent: number
  readonly failures: number
}

/** More openings than redeliveries in a run. */
const OPENINGS = { sealing: { keys: [key], maxOpenings: 100 } }

/** Stops and restarts the broker in the middle of a run: no message runs as another caller, and none is lost. */
export async function expectToSurvive(kind: Kind, broker: Broker, sink: Sink): Promise<void> {
  const options = optionsOf(kind, sink, OPENINGS)
  const callers = Object.fromEntries(Object.entries(tokens).slice(0, 20))
  const [count, total] = [20, 400]
  await using consumer = await startConsumer(kind, broker, sink, options)
  const env = { COUNT: String(count), PACE_MILLIS: '20', TOKENS: JSON.stringify(callers) }
  await using producer = startProducer(kind, broker, options, env, 'steady')
  await producer.report('started')
  const reaches = (isReached: (progress: Progress) => boolean): Promise<void> =>
    waitFor(async () => expect(isReached(await producer.ask<Progress>('progress'))).toBe(true))

  await reaches(({ sent }) => sent > total / 4)
  await broker.stop()
  const { sent } = await producer.ask<Progress>('progress')
  expect(sent).toBeLessThan(total)
  await reaches(({ failures }) => failures > 0)
  await broker.start()
  await producer.report('done')
  const seen = await waitFor(async () => {
    const now = await consumer.ask<Seen>('seen')
    expect(now.distinct).toBe(total)
    return now
  })
  expect(seen).toMatchObject({ wrong: 0, rejected: {} })
}

/** How long a consumer waits for an issuer before a message is delivered again. */
const UNDECIDED_MILLIS = 300

/** Makes the issuer's keys unavailable: no handler runs until they are back, and then all run. */
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

  await waitFor(async () => expect(total((await consumer.ask<Seen>('seen')).decided)).toBeGreaterThan(0))
  // Looks twice, seconds apart, because a hot loop takes a moment to begin.
  for (let look = 0; look < 2; look += 1) {
    await pause(3_000)
    const waiting = await consumer.ask<Seen>('seen')
    expect(Object.keys(waiting.decided)).toEqual(['undecided ERR_TOKEN_KEYS_UNAVAILABLE'])
    expect(waiting).toMatchObject({ right: 0, wrong: 0, rejected: {} })
    // A message is decided twice per delivery, and kept for at least a second before the next one.
    const deliveries = 1 + Math.floor((Date.now() - downAt) / 1_000)
    expect(total(waiting.decided)).toBeLessThanOrEqual(20 * 2 * deliveries)
  }

  isDown = false
  await waitFor(async () => expect((await consumer.ask<Seen>('seen')).distinct).toBe(20))
  expect(await consumer.ask<Seen>('seen')).toMatchObject({ wrong: 0, rejected: {} })
}

/** Runs producers with the new or the old key, and a consumer with both: no message is refused. */
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
  const seen = await waitFor(async () => {
    const now = await consumer.ask<Seen>('seen')
    expect(now.distinct).toBe(500)
    return now
  })
  expect(seen).toMatchObject({ wrong: 0, rejected: {} })
}
