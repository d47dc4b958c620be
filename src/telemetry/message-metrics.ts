/** Counts messages that were read, by what became of them. */

import type { TokenErrorCode } from '../token/errors.ts'
import type { MessageVerdict } from './auth-event.ts'
import { createCounter } from './counter.ts'

/** `system` is one of those that rules know. */
export interface MessageMeasurement {
  readonly verdict: MessageVerdict
  readonly code: TokenErrorCode | undefined
  readonly system: string | undefined
}

const addMessages = createCounter('auth.messages', {
  description: 'Messages that were read, by whom they are worked on as.',
  unit: '{message}',
})

/** Never throws. */
export function measureMessage({ verdict, code, system }: MessageMeasurement): void {
  addMessages(1, {
    'auth.message.verdict': verdict,
    ...(code === undefined ? {} : { 'error.type': code }),
    ...(system === undefined ? {} : { 'messaging.system': system }),
  })
}
