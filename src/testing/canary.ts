/** Canary mode for tests: finds pieces of marked tokens in everything that a process exports, prints and throws. */

import process from 'node:process'
import { setAcceptedTokenHook } from '../telemetry/redaction/accepted-token-hook.ts'
import type { OutputStream } from './output.ts'
import { watchOutput } from './output.ts'
import { createCanaries } from './pieces.ts'
import { afterExit, OtherPrinters } from './process.ts'
import type { CanaryOptions, CanaryReport, Sighting } from './report.ts'
import { CanaryError, findProblem, printReport } from './report.ts'
import { forEachText } from './texts.ts'

/** Searches for tokens in places where they must not be. */
export interface Canary {
  /**
   * Searches for `token` from now on, and returns it. Tokens that the relay of this process verifies or gets by an
   * exchange are marked automatically: use this for tokens that the relay refuses, and for tokens of other services.
   */
  mark(token: string): string
  /**
   * Returns an exporter of spans, log records or metrics that searches everything and passes it on to `exporter`. Wrap
   * the innermost exporter: it then sees the output of {@link TokenRelay.redact}.
   */
  watch<T extends object>(exporter: T): T
  /** Searches `what`: a text, bytes, an error, the answer of a service, or any other value. */
  look(place: string, what: unknown): void
  /** Returns what was found so far. */
  report(): CanaryReport
  /**
   * Fails if a piece of a marked token was seen, if no token was marked, if nothing was searched, or if a thread or
   * process may have printed something that was not searched.
   *
   * @throws CanaryError with the report, which names places and no tokens.
   */
  assertUnseen(): void
  /** Restores standard output and everything else. Nothing is printed at the exit then. */
  stop(): void
}

/**
 * From now on searches everything that this thread writes to `process.stdout` and `process.stderr`, through these
 * streams or through `node:fs` and the file descriptors 1 and 2 (`console`, `diag`, pino), every error that ends the
 * process, and everything that is passed to {@link Canary.watch} and {@link Canary.look}. It finds any 12 consecutive
 * characters of a marked token, in plain text and in other encodings, written at once or in pieces. At the exit it
 * prints one line on standard error that says what was searched; the exit code becomes 1 if {@link Canary.assertUnseen}
 * would fail.
 *
 * For tests only: the search is synchronous and takes time. It does not see functions that were taken from `node:fs`
 * before, writes of native code or to a file descriptor that was opened again, and the output of worker threads and
 * child processes. If there are any of the latter, the search proves nothing.
 */
export function createCanary(options: CanaryOptions = {}): Canary {
  const canary = new ProcessCanary(options)
  // Tests get this object, and may take its methods off it.
  return {
    mark: (token) => canary.mark(token),
    watch: (exporter) => canary.watch(exporter),
    look: (place, what) => canary.look(place, what),
    report: () => canary.report(),
    assertUnseen: () => canary.assertUnseen(),
    stop: () => canary.stop(),
  }
}

/** Longer than a piece of a token in the longest encoding. */
const REMEMBERED_CHARACTERS = 1_024

class ProcessCanary implements Canary {
  readonly #options: CanaryOptions
  readonly #canaries = createCanaries()
  readonly #tokens = new Set<string>()
  readonly #characters = new Map<string, number>()
  readonly #sightings = new Map<string, Sighting>()
  readonly #others = new OtherPrinters()
  /** The end of the output so far: a token may be written in pieces. */
  readonly #remembered: Record<OutputStream, string> = { stdout: '', stderr: '' }
  readonly #restore: readonly (() => void)[]

  constructor(options: CanaryOptions) {
    this.#options = options
    const onThrown = (error: unknown): void => this.look('thrown', error)
    process.on('uncaughtExceptionMonitor', onThrown)
    setAcceptedTokenHook((token) => this.mark(token))
    this.#restore = [
      watchOutput((stream, written) => this.#searchOutput(stream, written)),
      () => this.#others.stop(),
      () => process.off('uncaughtExceptionMonitor', onThrown),
      afterExit(() => printReport(this.report(), findProblem(this.report(), options))),
      () => setAcceptedTokenHook(undefined),
    ]
  }

  mark(token: string): string {
    if (!this.#tokens.has(token)) this.#canaries.add(token)
    this.#tokens.add(token)
    return token
  }

  look(place: string, what: unknown): void {
    forEachText(what, (text) => void this.#search(place, text))
  }

  watch<T extends object>(exporter: T): T {
    return wrapExporter(exporter, (items) => this.look('exported', items))
  }

  report(): CanaryReport {
    return {
      tokens: this.#tokens.size,
      characters: Object.fromEntries(this.#characters),
      sightings: [...this.#sightings.values()],
      unseen: this.#others.list(),
    }
  }

  assertUnseen(): void {
    const problem = findProblem(this.report(), this.#options)
    if (problem !== undefined) throw new CanaryError(problem, this.report())
  }

  stop(): void {
    for (const restore of this.#restore) restore()
  }

  #searchOutput(stream: OutputStream, written: string): void {
    const isSighting = this.#search(stream, written, this.#remembered[stream])
    // A piece counts once, so it must not stay in the remembered text.
    this.#remembered[stream] = isSighting ? '' : `${this.#remembered[stream]}${written}`.slice(-REMEMBERED_CHARACTERS)
  }

  /**
   * Searches `text` together with `before`, the text that was written before it. Returns whether it has a piece of a
   * token.
   */
  #search(place: string, text: string, before = ''): boolean {
    this.#characters.set(place, (this.#characters.get(place) ?? 0) + text.length)
    const encoding = this.#canaries.find(before + text)?.encoding
    if (encoding === undefined) return false
    const key = `${place} ${encoding}`
    this.#sightings.set(key, { place, encoding, count: (this.#sightings.get(key)?.count ?? 0) + 1 })
    return true
  }
}

function wrapExporter<T extends object>(exporter: T, look: (items: unknown) => void): T {
  return new Proxy(exporter, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      return (...args: unknown[]): unknown => {
        if (name === 'export') look(args[0])
        return Reflect.apply(member, target, args)
      }
    },
  })
}
