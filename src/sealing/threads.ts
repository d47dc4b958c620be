/** What the threads of a process share: a key for hand-overs, and the window of those that were opened. */

import { generateKeySync, KeyObject } from 'node:crypto'
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads'
import type { SealingKey } from './key.ts'
import { secretSealingKey } from './key.ts'
import type { ReplayWindow } from './replay-window.ts'
import { createThreadWindow, WINDOW_BYTES } from './thread-window.ts'

export interface Threads {
  /** Random, and never outside of this process. */
  readonly key: SealingKey
  readonly window: ReplayWindow
}

const NAME = 'otel-token-relay.threads'

/** No configured key can have an `@`. */
const KID = '@threads'

/**
 * Returns what this thread has inherited; if that is nothing and `create` is set, creates it for threads that start
 * later.
 */
export function threadsOf(create: boolean): Threads | undefined {
  const inherited = getEnvironmentData(NAME)
  if (isShared(inherited)) return threads(inherited)
  if (!create) return undefined
  const shared = { secret: generateKeySync('aes', { length: 256 }), openings: new SharedArrayBuffer(WINDOW_BYTES) }
  setEnvironmentData(NAME, shared as never)
  return threads(shared)
}

interface Shared {
  readonly secret: KeyObject
  readonly openings: SharedArrayBuffer
}

function isShared(value: unknown): value is Shared {
  const { secret, openings } = (value ?? {}) as Partial<Record<keyof Shared, unknown>>
  return secret instanceof KeyObject && openings instanceof SharedArrayBuffer
}

function threads({ secret, openings }: Shared): Threads {
  return { key: secretSealingKey(KID, secret), window: createThreadWindow(openings) }
}
