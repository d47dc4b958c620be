/** Bounds how many lines of a cause the log gets, and counts what is left out: a flood must not be one of lines. */

import type { LogEntry } from './log-record.ts'

/** How many entries of one cause are written within so many milliseconds. */
interface Limit {
  readonly entries: number
  readonly windowMillis: number
}

const PROBLEMS: Limit = { entries: 1, windowMillis: 60_000 }
const DECISIONS: Limit = { entries: 100, windowMillis: 1_000 }
/** More causes than this at a time are one. */
const MAX_CAUSES = 256

interface Window {
  written: number
  omitted: number
  latest: LogEntry
  readonly timer: NodeJS.Timeout
}

export class LogLimits {
  readonly #emit: (entry: LogEntry, omitted: number) => void
  readonly #windows = new Map<string, Window>()

  constructor(emit: (entry: LogEntry, omitted: number) => void) {
    this.#emit = emit
  }

  /** Writes the first entries of a cause at once; the last one at the end of its window, with the number of others. */
  add(entry: LogEntry): void {
    const cause = this.#causeOf(entry)
    const window = this.#windows.get(cause) ?? this.#open(cause, entry)
    if (window.written < limitOf(entry).entries) {
      window.written += 1
      this.#emit(entry, 0)
    } else {
      window.omitted += 1
      window.latest = entry
    }
  }

  close(): void {
    for (const cause of this.#windows.keys()) this.#end(cause)
  }

  #causeOf({ cause, severity }: LogEntry): string {
    const own = `${severity} ${cause}`
    return this.#windows.has(own) || this.#windows.size < MAX_CAUSES ? own : severity
  }

  #open(cause: string, latest: LogEntry): Window {
    const timer = setTimeout(() => this.#continue(cause), limitOf(latest).windowMillis).unref()
    const window = { written: 0, omitted: 0, latest, timer }
    this.#windows.set(cause, window)
    return window
  }

  /** A cause that goes on gets another window, in which its summary is the one line. */
  #continue(cause: string): void {
    const ended = this.#end(cause)
    if (ended !== undefined && ended.omitted > 0) this.#open(cause, ended.latest).written = 1
  }

  #end(cause: string): Window | undefined {
    const window = this.#windows.get(cause)
    if (window === undefined) return undefined
    this.#windows.delete(cause)
    clearTimeout(window.timer)
    if (window.omitted > 0) this.#emit(window.latest, window.omitted - 1)
    return window
  }
}

function limitOf({ severity }: LogEntry): Limit {
  return severity === 'info' ? DECISIONS : PROBLEMS
}
