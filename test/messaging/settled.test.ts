/** Each adapter stores messages that it does not handle without their token, or has them delivered again. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import { asCaller as amqpAsCaller, withoutToken } from '../../src/messaging/amqplib.ts'
import { eachAsCaller } from '../../src/messaging/aws-sqs.ts'
import type { BullJob } from '../../src/messaging/bullmq.ts'
import { asCaller as bullAsCaller } from '../../src/messaging/bullmq.ts'
import { consume, produce } from '../../src/messaging/index.ts'
import { asCaller as kafkaAsCaller, eachAsCaller as kafkaEachAsCaller } from '../../src/messaging/kafkajs.ts'
import { asCaller as mqttAsCaller } from '../../src/messaging/mqtt.ts'
import { asCaller as natsAsCaller } from '../../src/messaging/nats.ts'
import { asCaller as platformaticAsCaller } from '../../src/messaging/platformatic-kafka.ts'
import { TokenRejectedError } from '../../src/token/errors.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const token = signer.token(goodClaims(ISSUER, { sub: 'alice' }))
const DESTINATIONS = ['kafka:orders', 'bullmq:orders', 'aws_sqs:orders', 'mqtt:orders']

let relay: TokenRelay
let isDown = false
let asked = 0
beforeEach(() => {
  isDown = false
  asked = 0
  const replayWindow = {
    count: () => {
      asked += 1
      return isDown ? Promise.reject(new Error('down')) : 1
    },
  }
  relay = createTokenRelay({
    ...optionsFor([signer.jwk]),
    destinations: DESTINATIONS.map((to) => ({ to })),
    sealing: { keys: [{ kid: 'orders-1', secret: randomSecret() }], replayWindow },
  })
})
afterEach(() => relay.shutdown())

const sealedFor = (destination: string): Promise<Record<string, string>> =>
  runWithToken(token, () => produce(destination, (headers) => headers))
const fails = (): never => {
  throw new Error('not today')
}

describe('the headers of a dead letter', () => {
  it.each([
    ['an object', { authorization: 'Sealed x', order: '1' }],
    ['another case', { Authorization: 'Sealed x', AUTHORIZATION: 'Sealed y', order: '1' }],
    [
      'entries',
      [
        ['Authorization', ['Sealed x']],
        ['order', '1'],
      ] as const,
    ],
    [
      'bytes',
      new Map([
        [Buffer.from('Authorization'), Buffer.from('Sealed x')],
        [Buffer.from('order'), '1'],
      ] as never),
    ],
  ])('have no token, and the reason: %s', (_, headers) => {
    const kept = withoutToken(headers as Record<string, unknown>, new TokenRejectedError('ERR_TOKEN_EXPIRED'))
    expect(kept).toEqual({ order: '1', 'auth-error': 'ERR_TOKEN_EXPIRED' })
  })

  it('are only the reason if the message had none', () => {
    const kept = withoutToken(undefined, new TokenRejectedError('ERR_TOKEN_MISSING'))
    expect(kept).toEqual({ 'auth-error': 'ERR_TOKEN_MISSING' })
  })
})

describe('consume', () => {
  const handler = (): string => getActiveCredential()?.subject ?? 'nobody'

  it('decides once more at the end of undecidedMillis, even if the error asks for a longer pause', async () => {
    const message = { source: 'kafka:orders', headers: await sealedFor('kafka:orders') }
    isDown = true
    const consumed = await consume(message, handler, { undecidedMillis: 300 })
    expect(consumed).toMatchObject({ verdict: 'undecided', error: { retryable: true }, retryAfterMillis: 5_000 })
    expect(asked).toBe(2)
  })

  it('runs a handler whose message can be decided at the end of undecidedMillis', async () => {
    const message = { source: 'kafka:orders', headers: await sealedFor('kafka:orders') }
    isDown = true
    const consuming = consume(message, handler, { undecidedMillis: 300 })
    setTimeout(() => {
      isDown = false
    }, 10)
    expect(await consuming).toEqual({ verdict: 'handled', result: 'alice' })
  })

  it('does not wait with undecidedMillis 0, and says when to deliver the message again', async () => {
    const message = { source: 'kafka:orders', headers: await sealedFor('kafka:orders') }
    isDown = true
    expect(await consume(message, handler, { undecidedMillis: 0 })).toMatchObject({ retryAfterMillis: 5_000 })
    expect(asked).toBe(1)
  })

  it('ends the wait when its signal aborts, before or during the wait, and does not decide again', async () => {
    const message = { source: 'kafka:orders', headers: await sealedFor('kafka:orders') }
    isDown = true
    expect(await consume(message, handler, { signal: AbortSignal.abort() })).toMatchObject({ verdict: 'undecided' })
    expect(await consume(message, handler, { signal: AbortSignal.timeout(50) })).toMatchObject({ verdict: 'undecided' })
    expect(asked).toBe(2)
  })
})

describe('bullmq', () => {
  interface Job extends BullJob {
    readonly delays: number[]
  }
  const jobOf = (headers: object): Job => {
    const delays: number[] = []
    return {
      queueName: 'orders',
      opts: { telemetry: { metadata: JSON.stringify(headers) } },
      moveToDelayed: async (timestamp) => void delays.push(timestamp - Date.now()),
      delays,
    }
  }

  it('delays a job for some seconds if it is undecided or onRejected fails', async () => {
    const undecided = jobOf(await sealedFor('bullmq:orders'))
    isDown = true
    const expected = { name: 'DelayedError' }
    await expect(bullAsCaller(() => 1, { undecidedMillis: 0 })(undecided)).rejects.toMatchObject(expected)
    const rejected = jobOf({})
    await expect(bullAsCaller(() => 1, { onRejected: fails })(rejected)).rejects.toMatchObject(expected)
    for (const delay of [...undecided.delays, ...rejected.delays]) expect(delay).toBeGreaterThan(1_000)
    expect([undecided.delays.length, rejected.delays.length]).toEqual([1, 1])
  })

  it('fails a job with the error of its handler, and a rejected job for good', async () => {
    const job = jobOf(await sealedFor('bullmq:orders'))
    await expect(bullAsCaller(fails)(job)).rejects.toThrow('not today')
    await expect(bullAsCaller(() => 1)(jobOf({}))).rejects.toMatchObject({ name: 'UnrecoverableError' })
  })
})

describe('SQS', () => {
  const messageOf = (headers: Record<string, string>, MessageId: string) => ({
    MessageId,
    MessageAttributes: Object.fromEntries(
      Object.entries(headers).map(([name, StringValue]) => [name, { DataType: 'String', StringValue }]),
    ),
  })

  it('leaves messages that are undecided or that onRejected fails to store, and waits once for a whole batch', async () => {
    const count = 5
    const messages = await Promise.all(
      Array.from({ length: count }, async (_, i) => messageOf(await sealedFor('aws_sqs:orders'), String(i))),
    )
    isDown = true
    const batch = [...messages, messageOf({}, 'rejected')]
    const options = { undecidedMillis: 300, onRejected: fails }
    const { done, failed } = await eachAsCaller('orders', batch, () => undefined, options)
    expect([done, failed.map(({ message }) => message.MessageId)]).toEqual([[], ['0', '1', '2', '3', '4', 'rejected']])
    // The first one twice: that used the wait of the whole batch.
    expect(asked).toBe(count + 1)
  })
})

describe('@platformatic/kafka', () => {
  it('commits no message that is undecided or that onRejected fails to store, and throws after at least a second', async () => {
    let commits = 0
    const commit = (): void => {
      commits += 1
    }
    const headers = new Map(Object.entries(await sealedFor('kafka:orders')))
    isDown = true
    for (const message of [
      { topic: 'orders', headers, commit },
      { topic: 'orders', headers: new Map(), commit },
    ]) {
      const begun = performance.now()
      const working = platformaticAsCaller(() => undefined, { undecidedMillis: 0, onRejected: fails })(message)
      await expect(working).rejects.toThrow()
      expect(performance.now() - begun).toBeGreaterThanOrEqual(1_000)
    }
    expect(commits).toBe(0)
  })
})

describe('MQTT', () => {
  it('passes an undecided message to onRejected, because it is not delivered again', async () => {
    const packet = { topic: 'orders', properties: { userProperties: await sealedFor('mqtt:orders') } }
    isDown = true
    const codes: string[] = []
    const options = {
      undecidedMillis: 0,
      onRejected: (_: unknown, { code }: { readonly code: string }) => codes.push(code),
    }
    await mqttAsCaller(() => undefined, options)('orders', Buffer.from(''), packet)
    expect(codes).toEqual(['ERR_TOKEN_UNDECIDED'])
  })
})

describe('an undecidedMillis that is not a number of milliseconds', () => {
  const wrong = [Number.NaN, -1, '30000', null, {}]

  it.each(wrong)('is refused by every adapter: %j', async (undecidedMillis) => {
    const options = { undecidedMillis, onRejected: () => undefined } as never
    const handler = (): undefined => undefined
    const makers: readonly (() => unknown)[] = [
      () => amqpAsCaller({ ack: handler, nack: handler }, handler, options),
      () => bullAsCaller(handler, options),
      () => kafkaAsCaller(handler, options),
      () => kafkaEachAsCaller(handler, options),
      () => mqttAsCaller(handler, options),
      () => natsAsCaller(handler, options),
      () => platformaticAsCaller(handler, options),
    ]
    const message = 'undecidedMillis: expected milliseconds, 0 or more'
    for (const make of makers) expect(make).toThrow(new TypeError(message))
    await expect(eachAsCaller('orders', [], handler, options)).rejects.toThrow(message)
  })

  it('is refused before the message is read', async () => {
    const headers = await sealedFor('kafka:orders')
    isDown = true
    const consumed = consume({ source: 'kafka:orders', headers }, fails, { undecidedMillis: Number.NaN })
    await expect(consumed).rejects.toThrow(TypeError)
    expect(asked).toBe(0)
  })
})
