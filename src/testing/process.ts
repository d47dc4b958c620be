/** Watches the process of a canary: its exit, and the threads and processes whose output the canary cannot search. */

import { channel } from 'node:diagnostics_channel'
import process from 'node:process'
import type { Undo } from '../base/patch-method.ts'
import { patchMethod } from '../base/patch-method.ts'

type Emit = (this: unknown, ...args: unknown[]) => unknown

/**
 * Calls `print` after all listeners for the exit, because loggers flush their buffers there. Returns a function that
 * undoes this.
 */
export function afterExit(print: () => void): Undo {
  return patchMethod<Emit>(
    process,
    'emit',
    (emit, patch) =>
      function emitWatched(this: unknown, ...args: unknown[]): unknown {
        const result: unknown = Reflect.apply(emit, this, args)
        if (args[0] === 'exit' && patch.isActive) print()
        return result
      },
  )
}

/** Counts the worker threads and child processes that this thread starts. */
export class OtherPrinters {
  readonly #started = channel('child_process')
  readonly #processes = new Set<object>()
  #threads = 0
  readonly #onThread = (): void => {
    this.#threads += 1
  }
  readonly #onProcess = (message: unknown): void => {
    this.#processes.add((message as { readonly process: object }).process)
  }

  constructor() {
    process.on('worker', this.#onThread)
    this.#started.subscribe(this.#onProcess)
  }

  /** Lists the printers. A child process whose output comes through this process is not one of them. */
  list(): readonly string[] {
    const sharing = [...this.#processes].filter((child) =>
      ['stdout', 'stderr'].some((name) => Reflect.get(child, name) === null),
    )
    return [
      ...(this.#threads === 0 ? [] : [`${this.#threads} worker threads`]),
      ...(sharing.length === 0 ? [] : [`${sharing.length} child processes`]),
    ]
  }

  stop(): void {
    process.off('worker', this.#onThread)
    this.#started.unsubscribe(this.#onProcess)
  }
}
