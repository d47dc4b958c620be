/** Queues, locks and pools as applications write them: none of them keeps a context. */

type Task<T> = () => Promise<T>

/** The next task is started when the one before is done, by whatever did that. */
export class ChainedQueue {
  readonly #waiting: (() => Promise<void>)[] = []
  #isBusy = false

  push<T>(task: Task<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push(() => task().then(resolve, reject))
      this.#next()
    })
  }

  #next(): void {
    const task = this.#isBusy ? undefined : this.#waiting.shift()
    if (task === undefined) return
    this.#isBusy = true
    void task().finally(() => {
      this.#isBusy = false
      this.#next()
    })
  }
}

/** One loop works on what has come meanwhile. */
export class LoopingQueue {
  readonly #waiting: { task: Task<unknown>; resolve: (value: never) => void; reject: (error: unknown) => void }[] = []
  #isRunning = false

  push<T>(task: Task<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.#waiting.push({ task, resolve, reject })
    void this.#run()
    return promise
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return
    this.#isRunning = true
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      try {
        next.resolve((await next.task()) as never)
      } catch (error) {
        next.reject(error)
      }
    }
    this.#isRunning = false
  }
}

/** A lock for what only one may do at a time: who waits is let in by who is done. */
export class Lock {
  readonly #waiting: (() => void)[] = []
  #isTaken = false

  async acquire(): Promise<void> {
    if (this.#isTaken) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#isTaken = true
  }

  release(): void {
    this.#isTaken = false
    this.#waiting.shift()?.()
  }

  async run<T>(task: Task<T>): Promise<T> {
    await this.acquire()
    try {
      return await task()
    } finally {
      this.release()
    }
  }
}

/** One resource for all, given to the next in line. */
export class Pool {
  readonly #waiting: ((resource: object) => void)[] = []
  readonly #resource = {}
  #isTaken = false

  async acquire(): Promise<object> {
    if (!this.#isTaken) {
      this.#isTaken = true
      return this.#resource
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  release(resource: object): void {
    const next = this.#waiting.shift()
    this.#isTaken = next !== undefined
    next?.(resource)
  }

  async use<T>(task: (resource: object) => Promise<T>): Promise<T> {
    const resource = await this.acquire()
    try {
      return await task(resource)
    } finally {
      this.release(resource)
    }
  }
}
