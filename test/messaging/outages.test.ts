/** Messages are handled as their sender, and none is lost, while brokers, issuers and keys come and go. */

import { afterAll, beforeAll, describe, it } from 'vitest'
import { KINDS } from './kinds.ts'
import type { Sink } from './rig.ts'
import { expectToRotate, expectToSurvive, expectToWait, startSink } from './rig.ts'

let sink: Sink
beforeAll(async () => {
  sink = await startSink()
})
afterAll(() => sink[Symbol.asyncDispose]())

describe.each(KINDS)('$client', (kind) => {
  it.runIf(kind.available)(
    'handles every message as its sender after a restart of the broker, and loses none [H2, G3]',
    async () => {
      await using broker = await kind.start()
      await expectToSurvive({ ...kind, queues: ['orders'] }, broker, sink)
    },
  )

  // MQTT delivers a message once: an issuer that is down too long costs the message (see docs/guides/brokers.md).
  it.runIf(kind.available && kind.client !== 'mqtt')(
    'runs no handler while the issuer is down, and every handler as its sender afterwards [G3]',
    async () => {
      await using broker = await kind.start()
      await expectToWait({ ...kind, queues: ['orders'] }, broker, sink)
    },
  )

  // Key rings do not depend on the broker: one that pushes and one that is polled are enough.
  it.runIf(kind.available && ['nats', 'rabbitmq'].includes(kind.client))(
    'refuses no message while sealing keys rotate [H4]',
    async () => {
      await using broker = await kind.start()
      await expectToRotate({ ...kind, queues: ['orders'] }, broker, sink)
    },
  )
})
