/** Questions to Redis, with an end to how long an answer is waited for. */

import type { Command, RedisConnection } from './redis-connection.ts'

/** How long Redis may take for an answer. */
export const ANSWER_MILLIS = 500
/** A host that vanishes without a word would be waited for until TCP gives up, which takes a quarter of an hour. */
const SILENCE_MILLIS = 3_000
const MAX_UNANSWERED = 10_000

/** The others could not be told. This process refuses the tokens all the same, and tells the others when it can. */
export class RevocationStoreError extends Error {
  override readonly name = 'RevocationStoreError'
  readonly code = 'ERR_RELAY_REVOCATION_STORE'

  constructor() {
    super('the revocation could not be stored: other processes do not know of it yet')
  }
}

/** Asks only where an answer can be expected soon: clients keep commands for later while they are not connected. */
export class Inquirer {
  readonly #connection: RedisConnection
  readonly #onLost: () => void
  readonly #onVanished: () => void
  #ready = false
  #unanswered = 0
  #heardAt = 0

  constructor(connection: RedisConnection, onLost: () => void, onReady: () => void, onVanished: () => void) {
    this.#connection = connection
    this.#onLost = onLost
    this.#onVanished = onVanished
    connection.observe(
      () => this.#lose(),
      () => {
        this.#ready = true
        this.#heardAt = performance.now()
        onReady()
      },
    )
    connection.open()
  }

  async ask(command: Command): Promise<unknown> {
    if (!this.#ready || this.#unanswered >= MAX_UNANSWERED) throw new RevocationStoreError()
    this.#unanswered += 1
    try {
      return await within(ANSWER_MILLIS, this.#answer(command))
    } catch {
      this.#renewIfSilent()
      throw new RevocationStoreError()
    }
  }

  async #answer(command: Command): Promise<unknown> {
    try {
      return await this.#connection.send(command)
    } finally {
      this.#unanswered -= 1
      this.#heardAt = performance.now()
    }
  }

  #renewIfSilent(): void {
    if (!this.#ready || performance.now() - this.#heardAt < SILENCE_MILLIS) return
    this.#lose()
    this.#connection.renew()
    this.#onVanished()
  }

  #lose(): void {
    this.#ready = false
    this.#onLost()
  }

  close(): void {
    this.#ready = false
    this.#connection.close()
  }
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
