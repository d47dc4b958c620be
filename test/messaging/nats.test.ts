/** JetStream redelivers messages whose handler fails or that are undecided; core NATS does not. */

import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream'
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { connect, headers as newHeaders } from '@nats-io/transport-node'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import type { NatsMessage } from '../../src/messaging/nats.ts'
import { asCaller, publishAsCaller } from '../../src/messaging/nats.ts'
import type { Broker } from '../support/brokers.ts'
import { HAS_NATS, startNats } from '../support/brokers.ts'
import { waitFor } from '../support/patience.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const token = signer.token(goodClaims(ISSUER, { sub: 'alice' }))

let relay: TokenRelay
let isDown = false
beforeEach(() => {
  isDown = false
  const replayWindow = { count: () => (isDown ? Promise.reject(new Error('down')) : 1) }
  relay = createTokenRelay({
    ...optionsFor([signer.jwk]),
    destinations: [{ to: 'nats:orders' }],
    sealing: { keys: [{ kid: 'orders-1', secret: randomSecret() }], replayWindow },
  })
})
afterEach(() => relay.shutdown())

describe.runIf(HAS_NATS)('JetStream', () => {
  let broker: Broker
  let connection: NatsConnection
  let stream: JetStreamClient
  let manager: JetStreamManager
  beforeAll(async () => {
    broker = await startNats()
    connection = await connect({ servers: broker.url })
    stream = jetstream(connection)
    manager = await jetstreamManager(connection)
  })
  afterAll(async () => {
    await connection?.close()
    await broker?.[Symbol.asyncDispose]()
  })

  it('redelivers a message whose handler failed, and learns that a waiting message is in progress', async () => {
    await manager.streams.add({ name: 'all', subjects: ['orders'] })
    // Shorter than the wait below: without a progress report of the consumer, NATS would redeliver during the wait.
    const settings = { durable_name: 'orders', ack_policy: AckPolicy.Explicit, ack_wait: 3e9 }
    await manager.consumers.add('all', settings)
    await runWithToken(token, () =>
      publishAsCaller('orders', newHeaders(), (headers) => stream.publish('orders', 'order', { headers })),
    )
    isDown = true
    const seen: string[] = []
    let deliveries = 0
    const work = asCaller(() => {
      seen.push(getActiveCredential()?.subject ?? 'nobody')
      if (seen.length === 1) throw new Error('not today')
    })
    const messages = await (await stream.consumers.get('all', 'orders')).consume()
    void (async () => {
      for await (const message of messages) {
        deliveries += 1
        void work(message)
      }
    })()
    await waitFor(() => expect(deliveries).toBe(1))
    await new Promise((resolve) => setTimeout(resolve, 7_000))
    expect(deliveries).toBe(1)
    isDown = false
    await waitFor(() => expect(seen).toEqual(['alice', 'alice']))
    await waitFor(async () => expect((await manager.consumers.info('all', 'orders')).num_ack_pending).toBe(0))
    await messages.close()
  })
})

describe('a message', () => {
  class Message implements NatsMessage {
    readonly subject = 'orders'
    readonly answers: string[] = []
    readonly headers: NatsMessage['headers']
    constructor(headers: NatsMessage['headers']) {
      this.headers = headers
    }
    ack(): void {
      this.answers.push('ack')
    }
    nak(millis?: number): void {
      this.answers.push(`nak ${millis}`)
    }
    term(reason?: string): void {
      this.answers.push(`term ${reason}`)
    }
  }
  const sealed = async (): Promise<NatsMessage['headers']> =>
    runWithToken(token, () =>
      publishAsCaller('orders', newHeaders(), (headers) => headers as Iterable<[string, string[]]>),
    )

  it('is delivered again after some seconds if it is undecided, or its handler or onRejected fails', async () => {
    const fails = (): never => {
      throw new Error('not today')
    }
    const failed = new Message(await sealed())
    await asCaller(fails)(failed)
    const rejected = new Message([])
    await asCaller(() => undefined, { onRejected: fails })(rejected)
    const undecided = new Message(await sealed())
    isDown = true
    await asCaller(() => undefined, { undecidedMillis: 0 })(undecided)
    expect([failed.answers, rejected.answers, undecided.answers]).toEqual([['nak 5000'], ['nak 5000'], ['nak 5000']])
  })

  it('is terminated with the code if its token is rejected, and acknowledged if onRejected takes it', async () => {
    const [terminated, taken] = [new Message([]), new Message([])]
    await asCaller(() => undefined)(terminated)
    await asCaller(() => undefined, { onRejected: () => undefined })(taken)
    expect([terminated.answers, taken.answers]).toEqual([['term ERR_TOKEN_MISSING'], ['ack']])
  })

  it('of core NATS goes to onRejected if it is undecided, because it is not delivered again', async () => {
    const codes: string[] = []
    const message: NatsMessage = { subject: 'orders', headers: await sealed() }
    isDown = true
    await asCaller(() => undefined, { undecidedMillis: 0, onRejected: (_, { code }) => codes.push(code) })(message)
    expect(codes).toEqual(['ERR_TOKEN_UNDECIDED'])
  })
})
