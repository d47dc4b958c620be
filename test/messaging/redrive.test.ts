/** Messages from a dead-letter queue stay bound to their original queue, and open only as often as allowed. */

import type { AddressInfo } from 'node:net'
import type { Message, QueueAttributeName } from '@aws-sdk/client-sqs'
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs'
import type { ChannelModel, ConfirmChannel, ConsumeMessage } from 'amqplib'
import amqplib from 'amqplib'
import { createSqsServer } from 'local-aws-sqs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import { asCaller } from '../../src/messaging/amqplib.ts'
import { eachAsCaller, sendAsCaller } from '../../src/messaging/aws-sqs.ts'
import { produce } from '../../src/messaging/index.ts'
import type { Broker } from '../support/brokers.ts'
import { HAS_RABBITMQ, startRabbitMq } from '../support/brokers.ts'
import { close } from '../support/issuer.ts'
import { waitFor } from '../support/patience.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const alice = signer.token(goodClaims(ISSUER, { sub: 'alice' }))
const keys = [{ kid: 'orders-1', secret: randomSecret() }]

let relay: TokenRelay
function relayWith(maxOpenings: number): void {
  const destinations = ['rabbitmq:orders', 'aws_sqs:orders'].map((to) => ({ to }))
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations, sealing: { keys, maxOpenings } })
}
afterEach(() => relay.shutdown())

const subject = (): string => getActiveCredential()?.subject ?? 'nobody'
const BACK = [
  [2, 'alice'],
  [1, 'ERR_TOKEN_SEAL'],
] as const

describe.runIf(HAS_RABBITMQ)('RabbitMQ', () => {
  let broker: Broker
  let connection: ChannelModel
  beforeAll(async () => {
    broker = await startRabbitMq()
    connection = await amqplib.connect(broker.url)
  })
  afterAll(async () => {
    await connection.close()
    await broker[Symbol.asyncDispose]()
  })

  /** A channel with empty queues. Messages that `orders` refuses, or that stay in `slow`, go to `dead`. */
  async function open(): Promise<ConfirmChannel> {
    const channel = await connection.createConfirmChannel()
    const dead = { deadLetterExchange: '', deadLetterRoutingKey: 'dead' }
    await channel.assertQueue('orders', dead)
    await channel.assertQueue('dead')
    for (const queue of ['orders', 'dead']) await channel.purgeQueue(queue)
    return channel
  }
  async function send(channel: ConfirmChannel): Promise<void> {
    await runWithToken(alice, () =>
      produce('rabbitmq:orders', (headers) => channel.sendToQueue('orders', Buffer.from('order'), { headers })),
    )
    await channel.waitForConfirms()
  }

  /** Returns the caller of the next message of `queue`, or the error code. The handler fails if requested. */
  async function work(channel: ConfirmChannel, queue: string, fails = false): Promise<string> {
    const worked = Promise.withResolvers<string>()
    const handler = (): void => {
      worked.resolve(subject())
      if (fails) throw new Error('not today')
    }
    const onRejected = (_: ConsumeMessage, { code }: { readonly code: string }): void => worked.resolve(code)
    const { consumerTag } = await channel.consume(queue, asCaller<ConsumeMessage>(channel, handler, { onRejected }))
    const outcome = await worked.promise
    await channel.cancel(consumerTag)
    return outcome
  }

  /** Puts the same content and headers back into the original queue, as a shovel or a person does. */
  async function putBack(channel: ConfirmChannel): Promise<void> {
    const letter = await waitFor(async () => {
      const message = await channel.get('dead', { noAck: true })
      if (message === false) throw new Error('not there yet')
      return message
    })
    channel.sendToQueue('orders', letter.content, { headers: letter.properties.headers })
    await channel.waitForConfirms()
  }

  it.each(
    BACK,
  )('a message that is put back after its handler failed, with %i openings, gets %s [H2, H9]', async (maxOpenings, expected) => {
    relayWith(maxOpenings)
    const channel = await open()
    await send(channel)
    expect(await work(channel, 'orders', true)).toBe('alice')
    await putBack(channel)
    expect(await work(channel, 'orders')).toBe(expected)
    await channel.close()
  })

  it('a message that is put back before it was opened runs as its caller [H2]', async () => {
    relayWith(1)
    const channel = await open()
    await send(channel)
    const message = await channel.get('orders')
    if (message !== false) channel.nack(message, false, false)
    await putBack(channel)
    expect(await work(channel, 'orders')).toBe('alice')
    await channel.close()
  })

  it('a message that is read from the dead-letter queue is refused: it was sealed for another queue [H1]', async () => {
    relayWith(9)
    const channel = await open()
    await send(channel)
    expect(await work(channel, 'orders', true)).toBe('alice')
    expect(await work(channel, 'dead')).toBe('ERR_TOKEN_SEAL')
    await channel.close()
  })
})

describe('SQS', () => {
  const ARN = 'arn:aws:sqs:eu-central-1:123456789012'

  interface Queues extends AsyncDisposable {
    readonly sqs: SQSClient
    readonly url: string
  }

  /** Messages of `orders` that are received once and not deleted within a second go to `dead`. */
  async function open(): Promise<Queues> {
    const server = await createSqsServer({ port: 0, hostname: '127.0.0.1', region: 'eu-central-1' })
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
    const sqs = new SQSClient({ region: 'eu-central-1', endpoint, credentials })
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: `${ARN}:dead`, maxReceiveCount: 1 })
    await sqs.send(new CreateQueueCommand({ QueueName: 'dead' }))
    const Attributes = { VisibilityTimeout: '1', RedrivePolicy }
    await sqs.send(new CreateQueueCommand({ QueueName: 'orders', Attributes }))
    return { sqs, url: `${endpoint}/123456789012`, [Symbol.asyncDispose]: () => close(server) }
  }
  const send = ({ sqs, url }: Queues): Promise<unknown> =>
    runWithToken(alice, () =>
      sendAsCaller('orders', (MessageAttributes) =>
        sqs.send(new SendMessageCommand({ QueueUrl: `${url}/orders`, MessageBody: 'order', MessageAttributes })),
      ),
    )
  const receive = ({ sqs, url }: Queues, queue: string): Promise<readonly Message[]> =>
    waitFor(async () => {
      const request = { QueueUrl: `${url}/${queue}`, MessageAttributeNames: ['All'] }
      const { Messages = [] } = await sqs.send(new ReceiveMessageCommand(request))
      if (Messages.length === 0) throw new Error('not there yet')
      return Messages
    })

  async function work(
    queues: Queues,
    queue: string,
    { fails = false, source = `aws_sqs:${queue}` } = {},
  ): Promise<string> {
    let outcome = ''
    const handler = (): void => {
      outcome = subject()
      if (fails) throw new Error('not today')
    }
    const { done, failed } = await eachAsCaller(queue, await receive(queues, queue), handler, { source })
    for (const { ReceiptHandle } of done)
      await queues.sqs.send(new DeleteMessageCommand({ QueueUrl: `${queues.url}/${queue}`, ReceiptHandle }))
    return outcome === '' ? String((failed[0]?.reason as { readonly code?: unknown }).code) : outcome
  }

  const isDead = ({ sqs, url }: Queues): Promise<void> =>
    waitFor(async () => {
      const AttributeNames: QueueAttributeName[] = ['ApproximateNumberOfMessages']
      const request = new GetQueueAttributesCommand({ QueueUrl: `${url}/dead`, AttributeNames })
      expect((await sqs.send(request)).Attributes).toMatchObject({ ApproximateNumberOfMessages: '1' })
    })

  it.each(
    BACK,
  )('a message that is redriven after its handler failed, with %i openings, gets %s [H2, H9]', async (maxOpenings, expected) => {
    relayWith(maxOpenings)
    await using queues = await open()
    await send(queues)
    expect(await work(queues, 'orders', { fails: true })).toBe('alice')
    await isDead(queues)
    await queues.sqs.send(new StartMessageMoveTaskCommand({ SourceArn: `${ARN}:dead` }))
    expect(await work(queues, 'orders')).toBe(expected)
  })

  it('a message that is read from the dead-letter queue is refused, unless the reader names its original queue [H1]', async () => {
    relayWith(9)
    await using queues = await open()
    for (const [source, expected] of [
      ['aws_sqs:dead', 'ERR_TOKEN_SEAL'],
      ['aws_sqs:orders', 'alice'],
    ] as const) {
      await send(queues)
      expect(await work(queues, 'orders', { fails: true })).toBe('alice')
      await isDead(queues)
      expect(await work(queues, 'dead', { source })).toBe(expected)
    }
  })
})
