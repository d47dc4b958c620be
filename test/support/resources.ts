/** What a test has opened and closes in reverse order: an `AsyncDisposableStack` for the oldest Node, which has none. */

export class Resources implements AsyncDisposable {
  #closing: (() => unknown)[] = []

  use<T extends AsyncDisposable>(resource: T): T {
    this.defer(() => resource[Symbol.asyncDispose]())
    return resource
  }

  adopt<T>(value: T, close: (value: T) => unknown): T {
    this.defer(() => close(value))
    return value
  }

  defer(close: () => unknown): void {
    this.#closing.push(close)
  }

  /** Hands everything over to another one, which closes it. */
  move(): Resources {
    const moved = new Resources()
    moved.#closing = this.#closing
    this.#closing = []
    return moved
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const errors: unknown[] = []
    for (let close = this.#closing.pop(); close !== undefined; close = this.#closing.pop()) {
      try {
        await close()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }
}
