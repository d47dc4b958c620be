/** Undecided messages of RabbitMQ are kept for a while, never loop, and survive a short outage. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import type { ChannelModel, ConfirmChannel, ConsumeMessage, Options } from 'amqplib'
import amqplib from 'amqplib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay, TokenRelayOptions } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import type { AdapterOptions } from '../../src/messaging/amqplib.ts'
import { asCaller } from '../../src/messaging/amqplib.ts'
import { produce } from '../../src/messaging/index.ts'
import type { Broker } from '../support/brokers.ts'
import { HAS_RABBITMQ, startRabbitMq } from '../support/brokers.ts'
import { close, listen } from '../support/issuer.ts'
import { waitFor } from '../support/patience.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const [first, second] = [createSigner(), createSigner('ES256', 'second')]
const keys = [{ kid: 'orders-1', secret: randomSecret() }]
const COUNT = 20
const QUORUM = { 'x-queue-type': 'quorum', 'x-delivery-limit': 20 }

let broker: Broker
let issuer: Server
let isDown = false
let mayAnswer = Promise.resolve()
let published: readonly object[] = []
beforeAll(async () => {
  if (HAS_RABBITMQ) broker = await startRabbitMq()
  issuer = createServer(async (_, response) => {
    await mayAnswer
    response.writeHead(isDown ? 503 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ keys: published }))
  })
})
afterAll(async () => {
  await broker?.[Symbol.asyncDispose]()
})

let relay: TokenRelay
let connection: ChannelModel
let channel: ConfirmChannel
beforeEach(async () => {
  connection = await amqplib.connect(broker.url)
  channel = await connection.createConfirmChannel()
  isDown = false
  mayAnswer = Promise.resolve()
  published = [first.jwk]
  await listen(issuer)
})
afterEach(async () => {
  await connection.close().catch(() => undefined)
  await relay.shutdown()
  await close(issuer)
})

function relayWith(more: Partial<TokenRelayOptions> = {}): TokenRelay {
  const { port } = issuer.address() as { readonly port: number }
  const jwksUri = `http://127.0.0.1:${port}`
  return createTokenRelay({
    issuers: [{ issuer: ISSUER, audience: 'user-service', jwksUri }],
    destinations: [{ to: 'rabbitmq:orders' }],
    sealing: { keys },
    ...more,
  })
}

/** Declares an empty queue and its dead-letter queue. */
async function declare(queueArguments: Options.AssertQueue['arguments'] = {}): Promise<void> {
  for (const queue of ['orders', 'dead']) await channel.deleteQueue(queue)
  await channel.assertQueue('dead')
  const deadLetters = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
  await channel.assertQueue('orders', { arguments: { ...deadLetters, ...queueArguments } })
}

/** Messages of alice from a producer that has the keys. */
async function fill(): Promise<void> {
  const [producer, token] = [relayWith(optionsFor([second.jwk])), second.token(goodClaims(ISSUER, { sub: 'alice' }))]
  for (let i = 0; i < COUNT; i += 1)
    await runWithToken(token, () =>
      produce('rabbitmq:orders', (headers) => channel.sendToQueue('orders', Buffer.from(String(i)), { headers })),
    )
  await channel.waitForConfirms()
  await producer.shutdown()
}

interface Consumed {
  /** Number of deliveries by message text. */
  readonly deliveries: ReadonlyMap<string, number>
  /** Callers of the handlers by message text. */
  readonly handled: ReadonlyMap<string, string>
}

async function consume(options: AdapterOptions<ConsumeMessage> = {}): Promise<Consumed> {
  const [deliveries, handled] = [new Map<string, number>(), new Map<string, string>()]
  const work = asCaller<ConsumeMessage>(
    channel,
    ({ content }) => void handled.set(content.toString(), getActiveCredential()?.subject ?? 'nobody'),
    options,
  )
  await channel.prefetch(COUNT)
  await channel.consume('orders', (message) => {
    const text = message?.content.toString() ?? ''
    deliveries.set(text, (deliveries.get(text) ?? 0) + 1)
    void work(message)
  })
  return { deliveries, handled }
}

const allOf = (subject: string): Map<string, string> =>
  new Map(Array.from({ length: COUNT }, (_, i) => [String(i), subject]))

/** Checks twice, seconds apart, that no message came more than once a second after `since`, also on a slow machine. */
async function expectNoHotLoop({ deliveries }: Consumed, since: number): Promise<void> {
  for (let look = 0; look < 2; look += 1) {
    await pause(2_500)
    const allowed = 1 + Math.floor((performance.now() - since) / 1_000)
    expect(Math.max(...deliveries.values())).toBeLessThanOrEqual(allowed)
  }
}

/** Makes messages undecided. Returns a function that ends the outage. */
type Outage = () => Promise<() => void>

const coldKeys: Outage = async () => {
  isDown = true
  relay = relayWith()
  return () => {
    published = [second.jwk]
    isDown = false
  }
}

const newKid: Outage = async () => {
  relay = relayWith()
  await relay.verify(first.token(goodClaims(ISSUER)))
  isDown = true
  return () => undefined
}

const silentWindow: Outage = async () => {
  published = [second.jwk]
  let isSilent = true
  const replayWindow = { count: () => (isSilent ? Promise.reject(new Error('down')) : Promise.resolve(1)) }
  relay = relayWith({ sealing: { keys, replayWindow } })
  return () => {
    isSilent = false
  }
}

const OUTAGES: readonly (readonly [string, Outage])[] = [
  ['the keys of the issuer cannot be read', coldKeys],
  ['a token has a new kid, and the one look for it has failed', newKid],
  ['the replay window does not answer', silentWindow],
]

describe.runIf(HAS_RABBITMQ).each(OUTAGES)('while %s', (_, outage) => {
  it.each([
    ['all defaults', {}],
    ['undecidedMillis 0', { undecidedMillis: 0 }],
    ['undecidedMillis 300', { undecidedMillis: 300 }],
  ])('a message comes at most once a second, with %s', async (__, options) => {
    await declare()
    await fill()
    await outage()
    const since = performance.now()
    const consumed = await consume(options)
    await waitFor(() => expect(consumed.deliveries.size).toBe(COUNT))
    await expectNoHotLoop(consumed, since)
    expect(consumed.handled.size).toBe(0)
  })
})

describe.runIf(HAS_RABBITMQ)('a channel that closes while messages wait', () => {
  it.each([
    ['all defaults', {}],
    ['undecidedMillis 0', { undecidedMillis: 0 }],
  ])('leaves them to another consumer, with %s', async (_, options) => {
    await declare()
    await fill()
    const end = await coldKeys()
    const before = await consume(options)
    await waitFor(() => expect(before.deliveries.size).toBe(COUNT))
    await channel.close()
    end()
    channel = await connection.createConfirmChannel()
    const after = await consume(options)
    await waitFor(() => expect(after.handled).toEqual(allOf('alice')))
    expect(before.handled.size).toBe(0)
  })

  it('leaves them to another consumer if a decision becomes possible at that moment', async () => {
    await declare()
    await fill()
    const answer = Promise.withResolvers<void>()
    mayAnswer = answer.promise
    published = [second.jwk]
    relay = relayWith()
    const before = await consume()
    await waitFor(() => expect(before.deliveries.size).toBe(COUNT))
    await channel.close()
    answer.resolve()
    await waitFor(() => relay.verify(second.token(goodClaims(ISSUER))))
    channel = await connection.createConfirmChannel()
    const after = await consume()
    await waitFor(() => expect(after.handled).toEqual(allOf('alice')))
    expect(before.handled.size).toBe(0)
  })
})

describe.runIf(HAS_RABBITMQ)('after a short outage', () => {
  it.each([
    ['undecidedMillis 0', { undecidedMillis: 0 }],
    ['undecidedMillis 300', { undecidedMillis: 300 }],
  ])('a quorum queue with a delivery limit of 20 has lost nothing, with %s', async (_, options) => {
    await declare(QUORUM)
    await fill()
    const end = await coldKeys()
    const since = performance.now()
    const consumed = await consume(options)
    await waitFor(() => expect(consumed.deliveries.size).toBe(COUNT))
    await expectNoHotLoop(consumed, since)
    end()
    await waitFor(() => expect(consumed.handled).toEqual(allOf('alice')))
    expect((await channel.checkQueue('dead')).messageCount).toBe(0)
  })
})
