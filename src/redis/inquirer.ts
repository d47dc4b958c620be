/** Asks Redis, and bounds how long the answer is waited for. */

import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import { monotonicNow } from '../base/clock.ts'
import { withTimeout } from '../base/with-timeout.ts'
import { reportProblem } from '../telemetry/log-entries.ts'
import { suppressTracing } from '../telemetry/suppression.ts'
import type { Command, RedisConnection } from './connection.ts'

/** How long Redis may take for an answer, by default. */
export const ANSWER_MILLIS = 500
/** A host may vanish without closing the connection: TCP would wait for a quarter of an hour. */
const SILENCE_MILLIS = 3_000
const MAX_UNANSWERED = 10_000

/** Redis has not answered, or has refused. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError'
  /** Whether Redis may have executed the command, or may still do so. */
  readonly mayBeDone: boolean
  /** Whether Redis answered that it will not execute the command. */
  readonly isRefused: boolean

  constructor(mayBeDone: boolean, isRefused = false) {
    super(isRefused ? 'Redis refuses' : 'Redis does not answer')
    this.mayBeDone = mayBeDone
    this.isRefused = isRefused
  }
}

export interface InquirerOptions {
  readonly connection: RedisConnection
  readonly answerMillis?: number
  readonly onLost?: () => void
  readonly onReady?: () => void
  /** Called if the other end is gone although the connection was not closed. */
  readonly onVanished?: () => void
}

/** Asks only if an answer can be expected soon: clients keep commands for later while they are not connected. */
export class Inquirer {
  readonly #options: InquirerOptions
  readonly #answerMillis: number
  /** Fulfilled when the first connection is there, or should be: early questions wait for that. */
  readonly #begun: Promise<void>
  #ready = false
  #unanswered = 0
  #heardAt = 0
  /** How often the connection was lost: clients send unanswered commands again afterwards. */
  #losses = 0
  #isRefusing = false

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
        this.#heardAt = monotonicNow()
        clearTimeout(timer)
        resolve()
        onReady?.()
      },
    )
    runUntraced(() => connection.open())
  }

  /** Rejects with a {@link NoAnswerError} and with nothing else. */
  async ask(command: Command): Promise<unknown> {
    if (!this.#ready) await this.#begun
    if (!this.#ready || this.#unanswered >= MAX_UNANSWERED) throw new NoAnswerError(false)
    this.#unanswered += 1
    const losses = this.#losses
    try {
      const answer = await withTimeout(this.#answerMillis, this.#answer(command))
      this.#isRefusing = false
      return answer
    } catch (error) {
      this.#renewIfSilent()
      if (!this.#options.connection.isRefusal(error)) throw new NoAnswerError(true)
      this.#reportRefusal(error as Error)
      // What was sent before the connection was lost may have been done, whatever is answered to the second time.
      throw new NoAnswerError(this.#losses !== losses, true)
    }
  }

  /** Once: there are as many refusals as questions. The rest of the message may repeat what was asked. */
  #reportRefusal({ message }: Error): void {
    if (this.#isRefusing) return
    this.#isRefusing = true
    try {
      reportProblem({ message: `Redis refuses what it is asked: ${/^[A-Z]{2,20}\b/.exec(message)?.[0] ?? 'ERR'}` })
    } catch {
      // A broken logger must not break a question.
    }
  }

  async #answer(command: Command): Promise<unknown> {
    try {
      return await runUntraced(() => this.#options.connection.send(command))
    } finally {
      this.#unanswered -= 1
      this.#heardAt = monotonicNow()
    }
  }

  #renewIfSilent(): void {
    if (!this.#ready || monotonicNow() - this.#heardAt < SILENCE_MILLIS) return
    this.#lose()
    this.#options.connection.renew()
    this.#options.onVanished?.()
  }

  #lose(): void {
    this.#ready = false
    this.#losses += 1
    this.#options.onLost?.()
  }

  close(): void {
    this.#ready = false
    this.#options.connection.close()
  }
}

/** No span may repeat what is asked, and the current caller has no part in it. */
function runUntraced<T>(ask: () => T): T {
  return context.with(suppressTracing(ROOT_CONTEXT), ask)
}
