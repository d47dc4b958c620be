/** Questions to Redis, with an end to how long an answer is waited for. */

import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import { suppressTracing } from '../telemetry/suppression.ts'
import type { Command, RedisConnection } from './connection.ts'

/** How long Redis may take for an answer, unless something else is said. */
export const ANSWER_MILLIS = 500
/** A host that vanishes without a word would be waited for until TCP gives up, which takes a quarter of an hour. */
const SILENCE_MILLIS = 3_000
const MAX_UNANSWERED = 10_000

/** Redis has not answered. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError'
  /** Whether it may have done what it was asked for, or do so yet. */
  readonly isSent: boolean

  constructor(isSent: boolean) {
    super('Redis does not answer')
    this.isSent = isSent
  }
}

export interface InquirerOptions {
  readonly connection: RedisConnection
  readonly answerMillis?: number
  readonly onLost?: () => void
  readonly onReady?: () => void
  /** The other end is not there any more, although nobody has said so. */
  readonly onVanished?: () => void
}

/** Asks only where an answer can be expected soon: clients keep commands for later while they are not connected. */
export class Inquirer {
  readonly #options: InquirerOptions
  readonly #answerMillis: number
  /** Until the first connection is there, or should be: whoever asks at once waits for that. */
  readonly #begun: Promise<void>
  #ready = false
  #unanswered = 0
  #heardAt = 0

  constructor(options: InquirerOptions) {
    const { connection, answerMillis = ANSWER_MILLIS, onReady } = options
    this.#options = options
    this.#answerMillis = answerMillis
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#begun = promise
    const timer = setTimeout(resolve, answerMillis).unref()
    connection.observe(
      () => this.#lose(),
      () => {
        this.#ready = true
        this.#heardAt = performance.now()
        clearTimeout(timer)
        resolve()
        onReady?.()
      },
    )
    untraced(() => connection.open())
  }

  /** Rejects with a {@link NoAnswerError} and with nothing else. */
  async ask(command: Command): Promise<unknown> {
    if (!this.#ready) await this.#begun
    if (!this.#ready || this.#unanswered >= MAX_UNANSWERED) throw new NoAnswerError(false)
    this.#unanswered += 1
    try {
      return await within(this.#answerMillis, this.#answer(command))
    } catch {
      this.#renewIfSilent()
      throw new NoAnswerError(true)
    }
  }

  async #answer(command: Command): Promise<unknown> {
    try {
      return await untraced(() => this.#options.connection.send(command))
    } finally {
      this.#unanswered -= 1
      this.#heardAt = performance.now()
    }
  }

  #renewIfSilent(): void {
    if (!this.#ready || performance.now() - this.#heardAt < SILENCE_MILLIS) return
    this.#lose()
    this.#options.connection.renew()
    this.#options.onVanished?.()
  }

  #lose(): void {
    this.#ready = false
    this.#options.onLost?.()
  }

  close(): void {
    this.#ready = false
    this.#options.connection.close()
  }
}

/** What is asked is not for spans to repeat, and no caller of now has a part in it. */
function untraced<T>(ask: () => T): T {
  return context.with(suppressTracing(ROOT_CONTEXT), ask)
}

async function within<T>(millis: number, answer: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  // An answer that has arrived while this process was busy is read before the rejection.
  const timer = setTimeout(() => setImmediate(() => setImmediate(reject)), millis)
  try {
    return await Promise.race([answer, promise])
  } finally {
    clearTimeout(timer)
  }
}
