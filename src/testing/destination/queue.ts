/** A queue in memory, for producers and consumers of messages in one process. */

import { randomBytes } from 'node:crypto'
import type { DestinationOptions } from '../../config/destinations.ts'
import type { SealingKeyOptions } from '../../config/sealing.ts'
import { decode, decrypt, maxSealedChars } from '../../sealing/compact-jwe.ts'
import { createSecretSealingKey } from '../../sealing/key.ts'
import type { Received } from './received.ts'
import { readReceived } from './received.ts'

/** A message as its consumer gets it. */
export interface TestMessage {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A queue in memory. */
export interface TestQueue extends AsyncDisposable {
  readonly protocol: 'queue'
  /** Its name in rules, for `produce` and `consume`. */
  readonly name: string
  /** The entry of `destinations` that names it. */
  readonly entry: DestinationOptions
  /** The key with which its tokens are sealed, for `sealing.keys` of a relay that is not a test relay. */
  readonly sealingKey: SealingKeyOptions
  /** What was published, the oldest first. */
  readonly received: readonly Received[]
  /** Publishes a message, as a client of a broker would. */
  publish(body: string, headers?: Readonly<Record<string, string>>): void
  /** Takes the oldest message that was not taken yet; waits until there is one. */
  take(): Promise<TestMessage>
}

let sealingKey: SealingKeyOptions | undefined

/** The key of all queues of this process; made once. */
export function testSealingKey(): SealingKeyOptions & { readonly secret: string } {
  sealingKey ??= { kid: 'test', secret: randomBytes(32).toString('base64url') }
  return sealingKey as SealingKeyOptions & { readonly secret: string }
}

const MAX_TOKEN_BYTES = 65_536

/** Reads a token that was sealed with the key of the queues, to say whose it is. It is not used. */
function openSealed(sealed: string): string | undefined {
  const { kid, secret } = testSealingKey()
  const jwe = decode(sealed, maxSealedChars(MAX_TOKEN_BYTES))
  const kek = createSecretSealingKey(kid, secret).kekToOpen(jwe?.header['epk'])
  return jwe === undefined || kek === undefined ? undefined : decrypt(jwe, kek)?.toString('latin1')
}

export function createQueue(name: string): TestQueue {
  const received: Received[] = []
  const messages: TestMessage[] = []
  const waiting: ((message: TestMessage) => void)[] = []
  return {
    protocol: 'queue',
    name,
    entry: { to: name },
    sealingKey: testSealingKey(),
    received,
    publish(body, headers = {}) {
      const message = { body, headers: { ...headers } }
      received.push(
        readReceived({ method: 'PUBLISH', path: name, headerLines: Object.entries(headers), body }, openSealed),
      )
      const next = waiting.shift()
      if (next === undefined) messages.push(message)
      else next(message)
    },
    take() {
      const next = messages.shift()
      return next === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(next)
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}
