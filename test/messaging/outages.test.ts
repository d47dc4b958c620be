/** Brokers and issuers that go away in the middle, and keys that change: all runs as its sender, and nothing is lost. */

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
    'H2 G3 the broker ends and comes back: every message is its sender’s, and none is lost',
    async () => {
      await using broker = await kind.start()
      await expectToSurvive({ ...kind, queues: ['orders'] }, broker, sink)
    },
  )

  // A message of MQTT is delivered once: whoever cannot be asked in time costs it (see README).
  it.runIf(kind.available && kind.client !== 'mqtt')(
    'G3 the issuer cannot be asked: nothing runs, and all does as its sender when it can',
    async () => {
      await using broker = await kind.start()
      await expectToWait({ ...kind, queues: ['orders'] }, broker, sink)
    },
  )

  // Rings do not know brokers: one of each manner, pushed and pulled.
  it.runIf(kind.available && ['nats', 'rabbitmq'].includes(kind.client))(
    'H4 keys change while messages are on their way: none is refused',
    async () => {
      await using broker = await kind.start()
      await expectToRotate({ ...kind, queues: ['orders'] }, broker, sink)
    },
  )
})
