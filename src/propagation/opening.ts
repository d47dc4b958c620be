/** The opening of a sealed token: recorded once, and counted last, so that an undecided message is not used up. */

import { trace } from '@opentelemetry/api'
import { LRUCache } from 'lru-cache'
import { hash } from '../base/newer-functions.ts'
import type { Opening } from '../context/caller.ts'
import { attributesOf } from '../destination/decision.ts'
import type { MessagingTarget } from '../destination/pattern.ts'
import type { OpenedToken } from '../sealing/sealing.ts'
import { recordOnSpan } from '../telemetry/record.ts'

/** How many openings were counted of which nothing has come, by a hash of the sealed text. */
type UnusedCounts = () => LRUCache<string, number>

/** Most texts that are kept: those whose admission became undecided just after they had been counted. */
const MAX_UNUSED = 10_000

export function createUnusedCounts(): UnusedCounts {
  // It takes all its memory at once, and most services open no message.
  let counts: LRUCache<string, number> | undefined
  return () => (counts ??= new LRUCache({ max: MAX_UNUSED }))
}

/** The unused counts of one sealed text. */
interface Unused {
  /** Takes one away; returns whether there was one. */
  take(): boolean
  put(): void
}

export function countsOf(unused: UnusedCounts, sealed: string): Unused {
  const key = hash('sha256', sealed, 'base64url')
  const count = (): number => unused().get(key) ?? 0
  return {
    take() {
      const left = count()
      if (left > 1) unused().set(key, left - 1)
      else unused().delete(key)
      return left > 0
    },
    put: () => void unused().set(key, count() + 1),
  }
}

/**
 * An opening is counted last: while anything about a message is undecided it is not used up, and a forged message
 * pushes out no other. If the message has become undecided while it was being counted, the next delivery to this
 * process is not counted again.
 */
export function createOpening({ credential, count }: OpenedToken, source: MessagingTarget, unused: Unused): Opening {
  let counting: Promise<void> | undefined
  let state: 'uncounted' | 'counted' | 'used' = 'uncounted'
  let isRecorded = false

  async function countOnce(): Promise<void> {
    try {
      await count()
      state = 'counted'
    } finally {
      counting = undefined
    }
  }

  return {
    credential,
    record() {
      if (isRecorded) return
      isRecorded = true
      recordOnSpan(trace.getActiveSpan(), { name: 'auth.token.opened', source: attributesOf(source) })
    },
    count() {
      if (state !== 'uncounted') return undefined
      if (counting === undefined && unused.take()) {
        state = 'counted'
        return undefined
      }
      counting ??= countOnce()
      return counting
    },
    use() {
      if (state === 'counted') state = 'used'
    },
    release() {
      if (state !== 'counted') return
      state = 'uncounted'
      unused.put()
    },
  }
}
