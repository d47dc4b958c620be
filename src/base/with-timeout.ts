/** Bounds how long work is waited for. The work itself goes on. */

/**
 * Resolves as `work` does, or rejects after `millis`. An answer that arrived while this process was busy is read before
 * the time-out counts: timers run first after a long pause, so the rejection waits for two more turns of the event
 * loop.
 */
export async function withTimeout<T>(millis: number, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const fail = (): void => reject(new Error('timeout'))
  const timer = setTimeout(() => setImmediate(() => setImmediate(fail)), millis)
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}

/** Resolves or rejects as `work` does, or rejects with the reason of `signal` once that is aborted. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}
