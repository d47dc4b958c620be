/** Real brokers between two processes: every message is worked on as its sender, and no token lies in the broker. */

import { afterAll, beforeAll, describe, it } from 'vitest'
import { KINDS } from './kinds.ts'
import type { Sink } from './rig.ts'
import { expectEachItsOwn, startSink } from './rig.ts'

let sink: Sink
beforeAll(async () => {
  sink = await startSink()
})
afterAll(() => sink[Symbol.asyncDispose]())

describe.each(KINDS)('$client', (kind) => {
  it.runIf(kind.available)(
    'G3 H1 H2 H4 H9 F5 F6 F7 every message is its sender’s, and what is not good is nobody’s, with one event each',
    async () => {
      await using broker = await kind.start()
      await expectEachItsOwn(kind, broker, sink, 3)
    },
  )
})
