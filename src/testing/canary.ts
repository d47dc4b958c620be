/** Canary mode, for tests: marked tokens, and a proof at the exit that no piece of them was exported, printed or thrown. */

import { writeSync } from 'node:fs'
import process from 'node:process'
import { setWitness } from '../telemetry/witness.ts'
import { createCanaries } from './pieces.ts'
import { forEachText } from './texts.ts'

/** A piece of a token where it has no business. Never the token itself. */
export interface Sighting {
  /** `stdout`, `stderr`, `thrown`, `exported`, or what {@link Canary.look} was told. */
  readonly place: string
  /** As what it was written there. */
  readonly encoding: string
  /** How often. */
  readonly count: number
}

export interface CanaryReport {
  /** Tokens that are looked for. */
  readonly tokens: number
  /** How much was looked through, in characters, by place. */
  readonly characters: Readonly<Record<string, number>>
  readonly sightings: readonly Sighting[]
}

/** Tokens were seen, or there is nothing that would prove the opposite. */
export class CanaryError extends Error {
  override readonly name = 'CanaryError'
  readonly report: CanaryReport

  constructor(problem: string, report: CanaryReport) {
    super(problem)
    this.report = report
  }
}

/** Looks for tokens where nobody may find them. */
export interface Canary {
  /**
   * Has `token` looked for from now on, and returns it. Whatever the relay of this process verifies or gets by an exchange
   * is marked by itself: this is for tokens that it refuses, and for those of others.
   */
  mark(token: string): string
  /**
   * An exporter of spans, log records or metrics that passes everything on to `exporter`, and has looked through it.
   * Innermost: what {@link TokenRelay.redact} takes out is not seen.
   */
  watch<T extends object>(exporter: T): T
  /** Looks through `what`: a text, bytes, an error, the answer of a service, anything. */
  look(place: string, what: unknown): void
  /** What was found so far. */
  report(): CanaryReport
  /**
   * Fails where a piece of a marked token was seen, where no token was marked, or where nothing was looked through.
   *
   * @throws CanaryError with the report, which names places and no tokens.
   */
  assertUnseen(): void
  /** Gives back standard output and the rest. Nothing is said at the exit then. */
  stop(): void
}

/**
 * From now on whatever this process prints (`process.stdout`, `process.stderr`, and with them `console` and `diag`) and
 * every error that ends it is looked through, and what is given to {@link Canary.watch} and {@link Canary.look}, for any 12
 * characters of a marked token, as they are and in 13 other encodings. At the exit one line on standard error says what was
 * looked through; the exit code becomes 1 where {@link Canary.assertUnseen} would fail.
 *
 * For tests: everything is looked through at once, which takes time. Worker threads and child processes need their own.
 */
export function createCanary(): Canary {
  const canaries = createCanaries()
  const tokens = new Set<string>()
  const characters = new Map<string, number>()
  const sightings = new Map<string, { place: string; encoding: string; count: number }>()

  function mark(token: string): string {
    if (!tokens.has(token)) canaries.add(token)
    tokens.add(token)
    return token
  }
  function lookThrough(place: string, text: string): void {
    characters.set(place, (characters.get(place) ?? 0) + text.length)
    const encoding = canaries.find(text)?.encoding
    if (encoding === undefined) return
    const known = sightings.get(`${place} ${encoding}`)
    sightings.set(`${place} ${encoding}`, { place, encoding, count: (known?.count ?? 0) + 1 })
  }
  const look: Canary['look'] = (place, what) => forEachText(what, (text) => lookThrough(place, text))
  const report = (): CanaryReport => ({
    tokens: tokens.size,
    characters: Object.fromEntries(characters),
    sightings: [...sightings.values()],
  })
  function assertUnseen(): void {
    const problem = problemOf(report())
    if (problem !== undefined) throw new CanaryError(problem, report())
  }

  const onThrown = (error: unknown): void => look('thrown', error)
  const onExit = (): void => tell(report())
  const restore = [watchStream('stdout', look), watchStream('stderr', look)]
  process.on('uncaughtExceptionMonitor', onThrown)
  process.once('exit', onExit)
  setWitness(mark)

  return {
    mark,
    look,
    report,
    assertUnseen,
    watch: (exporter) => watched(exporter, (items) => look('exported', items)),
    stop() {
      for (const undo of restore) undo()
      process.off('uncaughtExceptionMonitor', onThrown)
      process.off('exit', onExit)
      setWitness(undefined)
    },
  }
}

function problemOf({ tokens, characters, sightings }: CanaryReport): string | undefined {
  if (sightings.length > 0) {
    const places = sightings.map(({ place, encoding, count }) => `${place} (${encoding}, ${count} times)`)
    return `pieces of tokens were seen: ${places.join(', ')}`
  }
  if (tokens === 0) return 'no token was marked: nothing is proved'
  return Object.keys(characters).length === 0 ? 'nothing was looked through: nothing is proved' : undefined
}

function tell(report: CanaryReport): void {
  const problem = problemOf(report)
  if (problem !== undefined) process.exitCode = 1
  const seen = Object.entries(report.characters).map(([place, count]) => `${place} ${count}`)
  const proof = `no piece of ${report.tokens} tokens in ${seen.join(', ')} characters`
  writeSync(2, `otel-token-relay canary: ${problem ?? proof}\n`)
}

/** Looks through what is written; a token may be cut in two by two writes. */
function watchStream(name: 'stdout' | 'stderr', look: Canary['look']): () => void {
  const stream = process[name]
  const write = stream.write
  let before = ''
  stream.write = function (this: unknown, chunk: unknown, ...others: unknown[]): boolean {
    const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk as Uint8Array).toString('latin1')
    look(name, before + text)
    before = text.slice(-OVERLAP)
    return Reflect.apply(write, stream, [chunk, ...others]) as boolean
  } as typeof stream.write
  return () => {
    stream.write = write
  }
}

/** Less than a piece: nothing is seen twice. */
const OVERLAP = 11

function watched<T extends object>(exporter: T, look: (items: unknown) => void): T {
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
