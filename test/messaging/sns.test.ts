/** Messages go from a topic of SNS to a queue of SQS, raw or in an envelope, and never get an eleventh attribute. */

import type { AddressInfo } from 'node:net'
import { ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { createSqsServer } from 'local-aws-sqs'
import { describe, expect, it } from 'vitest'
import { getActiveCredential, runWithToken } from '../../src/index.ts'
import { eachAsCaller, sendAsCaller } from '../../src/messaging/aws-sqs.ts'
import { close } from '../support/issuer.ts'
import { startProgram } from '../support/process.ts'
import { ISSUER, optionsFor, withRelay } from '../support/relay.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import type { Published } from '../support/sns.ts'
import { envelopeOf, rawAttributesOf, startSns } from '../support/sns.ts'

const signer = createSigner()
const alice = signer.token(goodClaims(ISSUER, { sub: 'alice' }))
const options = {
  ...optionsFor([signer.jwk]),
  destinations: [{ to: 'aws_sns:orders' }, { to: 'aws_sqs:orders' }],
  sealing: { keys: [{ kid: 'orders-1', secret: randomSecret() }] },
}

interface Step {
  readonly topic?: string
  readonly own?: number
  readonly hasState?: boolean
}

async function publish(...steps: readonly Step[]): Promise<readonly Published[]> {
  await using sns = await startSns()
  const plan = steps.map((step) => ({ topic: 'orders', own: 0, ...step }))
  const env = { OPTIONS: JSON.stringify(options), PLAN: JSON.stringify(plan), TOKEN: alice, URL: sns.url }
  await using program = startProgram('brokers/sns.cjs', { env })
  await program.report('published')
  return sns.published
}

const added = ({ attributes }: Published): string[] => Object.keys(attributes).filter((name) => !name.startsWith('own'))

interface Queue extends AsyncDisposable {
  readonly sqs: SQSClient
  readonly url: string
}
async function startQueue(): Promise<Queue> {
  const queues = [{ QueueName: 'orders' }]
  const server = await createSqsServer({ port: 0, hostname: '127.0.0.1', queues })
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
  const sqs = new SQSClient({ region: 'eu-central-1', endpoint, credentials })
  return { sqs, url: `${endpoint}/123456789012/orders`, [Symbol.asyncDispose]: () => close(server) }
}

/** Sends a message through a real queue, and returns the caller that it is handled as. */
async function travel(message: object, source?: string): Promise<string> {
  await using queue = await startQueue()
  const QueueUrl = queue.url
  await queue.sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'order', ...message }))
  const request = new ReceiveMessageCommand({ QueueUrl, MessageAttributeNames: ['All'] })
  const { Messages = [] } = await queue.sqs.send(request)
  let subject = 'nobody'
  const handler = (): void => {
    subject = getActiveCredential()?.subject ?? 'nobody'
  }
  const { failed } = await eachAsCaller('orders', Messages, handler, source === undefined ? {} : { source })
  return failed.length === 0 ? subject : String((failed[0]?.reason as { readonly code?: unknown }).code)
}

describe('a message to a topic', () => {
  it('runs as its sender, in the envelope of SNS or raw, if the consumer names the topic [H1]', async () => {
    const [first, second, third, other] = await publish({}, {}, {}, { topic: 'other' })
    if (first === undefined || second === undefined || third === undefined || other === undefined) throw new Error()
    await withRelay(options, async () => {
      expect(await travel({ MessageBody: envelopeOf(first) }, 'aws_sns:orders')).toBe('alice')
      expect(await travel({ MessageAttributes: rawAttributesOf(second) }, 'aws_sns:orders')).toBe('alice')
      // If the consumer names another topic, or only its own queue, the message is refused.
      const [wrapped, raw] = [{ MessageBody: envelopeOf(third) }, { MessageAttributes: rawAttributesOf(third) }]
      expect(await travel(wrapped, 'aws_sns:other')).toBe('ERR_TOKEN_SEAL')
      expect(await travel(raw)).toBe('ERR_TOKEN_SEAL')
      // An attacker who can write to the queue controls bodies: envelopes are read for topics only.
      expect(await travel(wrapped)).toBe('ERR_TOKEN_MISSING')
      expect(await travel({ MessageBody: envelopeOf(other) }, 'aws_sns:other')).toBe('ERR_TOKEN_MISSING')
    })
  })

  it('is at most rejected, whatever its envelope holds [F7, H9]', async () => {
    await withRelay(options, async () => {
      const bodies = [
        '',
        '[]',
        'null',
        '{"MessageAttributes":null}',
        '{"MessageAttributes":{"authorization":null}}',
        '{"MessageAttributes":{"authorization":{"Value":["x"]}}}',
        '{"MessageAttributes":[1]}',
        '{'.repeat(9),
      ] // prettier-ignore
      const messages = bodies.map((Body) => ({ Body }))
      const { done, failed } = await eachAsCaller('orders', messages, () => undefined, { source: 'aws_sns:orders' })
      expect([done, failed.length]).toEqual([[], bodies.length])
    })
  })

  it('has at most ten attributes: the token is left out before the trace [F5]', async () => {
    const published = await publish(
      { own: 0 },
      { own: 8 },
      { own: 9 },
      { own: 10 },
      { own: 7, hasState: true },
      { own: 8, hasState: true },
    ) // prettier-ignore
    expect(published.map(({ attributes }) => Object.keys(attributes).length)).toEqual([2, 10, 9, 10, 10, 10])
    expect(published.map(added)).toEqual([
      ['traceparent', 'authorization'],
      ['traceparent', 'authorization'],
      // The instrumentation reserves two attributes for a trace, or adds none.
      [],
      [],
      ['traceparent', 'tracestate', 'authorization'],
      ['traceparent', 'tracestate'],
    ])
  })
})

describe('sendAsCaller', () => {
  const ownOf = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`own${i}`, { DataType: 'String', StringValue: 'x' }]))
  const addedTo = (own: Readonly<Record<string, unknown>>): Promise<string[]> =>
    runWithToken(alice, () => sendAsCaller('orders', (caller) => Object.keys(caller), own))

  it('adds no eleventh attribute to a message [F5]', async () => {
    await withRelay(options, async () => {
      expect(await Promise.all([0, 9, 10].map((count) => addedTo(ownOf(count))))).toEqual([
        ['authorization'],
        ['authorization'],
        [],
      ])
    })
  })

  it('replaces the token of attributes that are used again [F5]', async () => {
    await withRelay(options, async () => {
      const { authorization } = await runWithToken(alice, () => sendAsCaller('orders', (caller) => caller))
      const own = { ...ownOf(9), authorization }
      const again = await runWithToken(alice, () => sendAsCaller('orders', (caller) => ({ ...own, ...caller }), own))
      expect(again.authorization).not.toEqual(authorization)
      expect(await travel({ MessageAttributes: again })).toBe('alice')
    })
  })
})
