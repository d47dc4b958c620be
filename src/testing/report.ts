/** The report of a canary: what was searched, what was found, and whether that proves that no token leaked. */

import fs from 'node:fs'
import process from 'node:process'

/** A piece of a token in a place where it must not be. It never holds the token itself. */
export interface Sighting {
  /** `stdout`, `stderr`, `thrown`, `exported`, or the place that was passed to {@link Canary.look}. */
  readonly place: string
  /** The encoding of the piece. */
  readonly encoding: string
  /** How often it was seen. */
  readonly count: number
}

export interface CanaryReport {
  /** Number of marked tokens. */
  readonly tokens: number
  /** How many characters were searched, by place. */
  readonly characters: Readonly<Record<string, number>>
  readonly sightings: readonly Sighting[]
  /** Worker threads, and child processes that share standard output or standard error: their output is not searched. */
  readonly unseen: readonly string[]
}

export interface CanaryOptions {
  /**
   * What happens if there were worker threads or child processes whose output is not searched: `fail`, or `report` if
   * they have their own canaries or print nothing. Default `fail`.
   */
  readonly unseen?: 'fail' | 'report'
}

/** Tokens were seen, or the search proves nothing. */
export class CanaryError extends Error {
  override readonly name = 'CanaryError'
  readonly report: CanaryReport

  constructor(problem: string, report: CanaryReport) {
    super(problem)
    this.report = report
  }
}

/** Returns why the report does not prove that no token was seen, or `undefined` if it does. */
export function findProblem(report: CanaryReport, { unseen = 'fail' }: CanaryOptions): string | undefined {
  const { tokens, characters, sightings } = report
  if (sightings.length > 0) {
    const places = sightings.map(({ place, encoding, count }) => `${place} (${encoding}, ${count} times)`)
    return `pieces of tokens were seen: ${places.join(', ')}`
  }
  if (tokens === 0) return 'no token was marked: nothing is proved'
  if (Object.keys(characters).length === 0) return 'nothing was searched: nothing is proved'
  const isUnproved = unseen === 'fail' && report.unseen.length > 0
  return isUnproved ? `the output of ${report.unseen.join(' and ')} was not searched: nothing is proved` : undefined
}

/** The original function: the canary's line is not searched. */
const { writeSync } = fs

/** Prints the line at the exit. Sets the exit code to 1 if there is a problem. */
export function printReport(report: CanaryReport, problem: string | undefined): void {
  if (problem !== undefined) process.exitCode = 1
  const searched = Object.entries(report.characters).map(([place, count]) => `${place} ${count}`)
  const unseen = report.unseen.length === 0 ? '' : `, without the output of ${report.unseen.join(' and ')}`
  const proof = `no piece of ${report.tokens} tokens in ${searched.join(', ')} characters${unseen}`
  writeSync(2, `otel-token-relay canary: ${problem ?? proof}\n`)
}
