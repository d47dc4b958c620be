/** Brokers that go away in the middle: whatever is delivered again runs as its sender, and nothing is lost. */

import { afterAll, beforeAll, describe, it } from 'vitest'
import { KINDS } from './kinds.ts'
import type { Sink } from './rig.ts'
import { expectToSurvive, startSink } from './rig.ts'

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
})
