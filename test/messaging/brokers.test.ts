/** Real brokers between two processes handle every message as its sender, and hold no usable token. */

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
    'handles every message as its sender, rejects every bad token, and records each verdict [G3, H1, H2, H4, H9, F5, F6, F7]',
    async () => {
      await using broker = await kind.start()
      await expectEachItsOwn(kind, broker, sink, 3)
    },
  )
})
