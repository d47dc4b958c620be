/** What a benchmark hands to the writer of the tables: one line of JSON on standard output. */

import process from 'node:process'
import type { Result } from './compare.ts'

export function report(results: readonly Result[]): void {
  for (const { path, contestants, unit } of results) {
    const parts = contestants.map(({ name, nanos, ratio, spread }) => {
      return `${name} ${format(nanos, unit)} (${ratio.toFixed(2)} ×, ±${Math.round(spread * 100)} %)`
    })
    process.stderr.write(`${path}: ${parts.join(', ')}\n`)
  }
  process.stdout.write(`${JSON.stringify(results)}\n`)
}

export function format(nanos: number, unit?: Result['unit']): string {
  if (unit === 'bytes') return `${(nanos / 1_048_576).toFixed(1)} MiB`
  if (nanos < 1e3) return `${nanos.toFixed(0)} ns`
  return nanos < 1e6 ? `${(nanos / 1e3).toFixed(1)} µs` : `${(nanos / 1e6).toFixed(1)} ms`
}

/** Contestants that do nothing would win: each benchmark says first what they have to have done. */
export function prove(what: string, holds: boolean): void {
  if (!holds) throw new Error(`the contestants do not do the same: ${what}`)
}
