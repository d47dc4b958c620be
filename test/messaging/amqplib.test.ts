/** How the adapter answers a RabbitMQ channel for each message, and when. */

import { EventEmitter } from 'node:events'
import { context, defaultTextMapSetter, SpanKind, trace } from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import type { AdapterOptions, AmqpMessage } from '../../src/messaging/amqplib.ts'
import { asCaller } from '../../src/messaging/amqplib.ts'
import { produce } from '../../src/messaging/index.ts'
import { startProgram } from '../support/process.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const token = signer.token(goodClaims(ISSUER, { sub: 'alice' }))
const QUEUE = { exchange: '', routingKey: 'orders' }

let relay: TokenRelay
let isDown = false
beforeEach(() => {
  isDown = false
  const replayWindow = { count: () => (isDown ? Promise.reject(new Error('down')) : 1) }
  relay = createTokenRelay({
    ...optionsFor([signer.jwk]),
    destinations: [{ to: 'rabbitmq:orders' }],
    sealing: { keys: [{ kid: 'orders-1', secret: randomSecret() }], replayWindow },
  })
})
afterEach(() => relay.shutdown())

const sealedFor = (destination: string): Promise<Record<string, unknown>> =>
  runWithToken(token, () => produce(destination, (headers) => headers))

class Channel extends EventEmitter {
  readonly answers: string[] = []
  ack(): void {
    this.answers.push('ack')
  }
  nack(_: AmqpMessage, allUpTo?: boolean, requeue?: boolean): void {
    this.answers.push(`nack allUpTo=${allUpTo} requeue=${requeue}`)
  }
}

interface Worked {
  readonly answers: readonly string[]
  readonly subjects: readonly (string | undefined)[]
  readonly millis: number
}

async function work(
  headers: Record<string, unknown>,
  {
    fields = QUEUE,
    handler = () => undefined,
    ...options
  }: AdapterOptions<AmqpMessage> & { fields?: AmqpMessage['fields']; handler?: () => unknown } = {},
): Promise<Worked> {
  const [channel, subjects, begun] = [new Channel(), [] as (string | undefined)[], performance.now()]
  const handle = (): unknown => {
    subjects.push(getActiveCredential()?.subject)
    return handler()
  }
  await asCaller<AmqpMessage>(channel, handle, options)({ fields, properties: { headers } })
  return { answers: channel.answers, subjects, millis: performance.now() - begun }
}

const REQUEUED = 'nack allUpTo=false requeue=true'
const REFUSED = 'nack allUpTo=false requeue=false'
const fails = (): never => {
  throw new Error('not today')
}

describe('a message', () => {
  it('is acknowledged after its handler', async () => {
    expect(await work(await sealedFor('rabbitmq:orders'))).toMatchObject({ answers: ['ack'], subjects: ['alice'] })
  })

  it('is refused if its handler fails, or its token is rejected', async () => {
    const failed = await work(await sealedFor('rabbitmq:orders'), { handler: fails })
    expect(failed).toMatchObject({ answers: [REFUSED], subjects: ['alice'] })
    expect(await work({})).toMatchObject({ answers: [REFUSED], subjects: [] })
  })

  it('that onRejected cannot store is kept for at least a second, and requeued', async () => {
    for (const onRejected of [fails, () => Promise.reject(new Error('not today'))]) {
      const { answers, millis } = await work({}, { onRejected })
      expect(answers).toEqual([REQUEUED])
      expect(millis).toBeGreaterThanOrEqual(1_000)
    }
    expect(await work({}, { onRejected: () => undefined })).toMatchObject({ answers: ['ack'] })
  })

  it('is requeued, and not refused, if no relay is active', async () => {
    const headers = await sealedFor('rabbitmq:orders')
    await relay.shutdown()
    const { answers, millis } = await work(headers)
    expect(answers).toEqual([REQUEUED])
    expect(millis).toBeGreaterThanOrEqual(1_000)
  })

  it('that is undecided is kept longer than the error asks if a quorum queue has delivered it often', async () => {
    const headers = { ...(await sealedFor('rabbitmq:orders')), 'x-delivery-count': 3 }
    isDown = true
    const { answers, millis } = await work(headers, { undecidedMillis: 0 })
    expect(answers).toEqual([REQUEUED])
    expect(millis).toBeGreaterThanOrEqual(8_000)
  })

  it.each([
    'undecidedMillis 0',
    'all defaults',
  ])('that waits is not handled after its channel closes: %s', async (name) => {
    const headers = await sealedFor('rabbitmq:orders')
    isDown = true
    const [channel, subjects] = [new Channel(), [] as unknown[]]
    const options = name === 'all defaults' ? {} : { undecidedMillis: 0 }
    const working = asCaller<AmqpMessage>(
      channel,
      () => void subjects.push(getActiveCredential()?.subject),
      options,
    )({ fields: QUEUE, properties: { headers } })
    setTimeout(() => {
      isDown = false
      channel.emit('close')
    }, 100)
    // Otherwise it would wait for undecidedMillis, and then run.
    await working
    expect(subjects).toEqual([])
  })

  it('stops waiting when the signal of the consumer aborts, and is requeued', async () => {
    const headers = await sealedFor('rabbitmq:orders')
    isDown = true
    const signal = AbortSignal.timeout(100)
    expect(await work(headers, { signal })).toMatchObject({ answers: [REQUEUED], subjects: [] })
  })

  it('that waits does not keep the process alive', async () => {
    await using program = startProgram('brokers/held.cjs')
    expect([await program.ended, program.reported]).toEqual([0, { isHeld: true, answers: [] }])
  })
})

describe('the consumers of one channel', () => {
  it('share one listener for its end', () => {
    const channel = new Channel()
    for (let i = 0; i < 20; i += 1) asCaller(channel, () => undefined)
    expect(channel.listenerCount('close')).toBe(1)
  })
})

describe('an exchange and a queue of one name are two destinations', () => {
  const EXCHANGE = { exchange: 'orders', routingKey: '' }
  const KEYED = { exchange: 'orders', routingKey: 'orders' }

  it.each([
    ['rabbitmq:orders', QUEUE],
    ['rabbitmq:queues/orders', QUEUE],
    ['rabbitmq:exchanges/orders', EXCHANGE],
    ['rabbitmq:exchanges/orders', KEYED],
  ])('a token that is sealed for %s opens there', async (destination, fields) => {
    expect(await work(await sealedFor(destination), { fields })).toMatchObject({
      answers: ['ack'],
      subjects: ['alice'],
    })
  })

  /** Publishes as OpenTelemetry's instrumentation of amqplib does: to an exchange, with a routing key. */
  function published({ exchange, routingKey }: AmqpMessage['fields']): Promise<Record<string, string>> {
    const attributes = {
      'messaging.system': 'rabbitmq',
      'messaging.destination': exchange,
      'messaging.rabbitmq.routing_key': routingKey,
    }
    return runWithToken(token, () => {
      const span = trace.getTracer('test').startSpan('publish', { kind: SpanKind.PRODUCER, attributes })
      const headers: Record<string, string> = {}
      relay.propagator.inject(trace.setSpan(context.active(), span), headers, defaultTextMapSetter)
      return headers
    })
  }

  it.each([
    [QUEUE, QUEUE, 'ack'],
    [EXCHANGE, EXCHANGE, 'ack'],
    [KEYED, EXCHANGE, 'ack'],
    [EXCHANGE, QUEUE, REFUSED],
    [KEYED, QUEUE, REFUSED],
    [QUEUE, EXCHANGE, REFUSED],
  ])('a rule for orders covers both: a message to %j that comes through %j gets %s', async (to, fields, answers) => {
    expect(await work(await published(to), { fields })).toMatchObject({ answers: [answers] })
  })

  it.each([
    'exchanges/orders',
    'queues/orders',
  ])('no token is sent to a queue whose name reads like another destination: %s', async (routingKey) => {
    expect(await published({ exchange: '', routingKey })).toEqual({})
  })

  it.each([
    ['rabbitmq:orders', EXCHANGE],
    ['rabbitmq:orders', KEYED],
    ['rabbitmq:queues/orders', EXCHANGE],
    ['rabbitmq:exchanges/orders', QUEUE],
    ['rabbitmq:exchanges/orders', { exchange: '', routingKey: 'exchanges/orders' }],
    ['rabbitmq:exchanges/orders', { exchange: 'exchanges/orders', routingKey: '' }],
    ['rabbitmq:orders', { exchange: '', routingKey: 'queues/orders' }],
  ])('a token that is sealed for %s does not open elsewhere: %j', async (destination, fields) => {
    expect(await work(await sealedFor(destination), { fields })).toMatchObject({ answers: [REFUSED], subjects: [] })
  })
})
