/** Sets of fresh processes, in which every mode is measured in short slices in random order, and how much they can say. */

import process from 'node:process'
import { quartiles } from '../support/compare.ts'
import type { SigningAlgorithm } from '../support/tokens.ts'
import type { ChainInMode, Chains } from './chains.ts'
import { BASELINE, startChains } from './chains.ts'

export interface Plan {
  readonly alg: SigningAlgorithm
  /** Beside the baseline. */
  readonly modes: readonly string[]
  readonly sets: number
  /** So many sets that are too noisy are replaced by others. */
  readonly retries: number
  /** In each set: slices of one request at a time in each mode. */
  readonly rounds: number
  /** Of one slice. */
  readonly requests: number
  /** Before the first slice, for the compiler and the caches. */
  readonly warm: number
  /** A noisy set is kept, since nothing is saved. */
  readonly keepNoisy: boolean
}

/** Of one mode in one round: one request at a time. */
export interface Slice {
  /** Microseconds. */
  readonly p50: number
  /** Microseconds of CPU per request, of the three services. */
  readonly cpu: number
}

export interface MeasuredSet<T> {
  /** By mode; the same place is the same round. */
  readonly alone: ReadonlyMap<string, readonly Slice[]>
  /** By mode, over all slices, in microseconds. */
  readonly p99: ReadonlyMap<string, number>
  /** See {@link spreadOf}. */
  readonly spread: number
  readonly also: T
}

/**
 * The quartiles of the baseline's p50 may be so far apart. If they are further apart, the machine changes its pace by more
 * than what is looked for.
 */
export const MAX_SPREAD = 0.05
/** At the beginning of each slice, uncounted: the first requests after a pause cost most. */
export const FIRST = 10

/**
 * Measures `plan.sets` sets one after the other, and `also` what else is wanted of each. Writes why, and ends the process
 * with exit code 1, if too many sets are too noisy.
 */
export async function measureSets<T>(
  plan: Plan,
  also: (chains: Chains) => Promise<T>,
): Promise<readonly MeasuredSet<T>[]> {
  const sets: MeasuredSet<T>[] = []
  let retries = plan.retries
  while (sets.length < plan.sets) {
    const chains = await startChains(plan.alg, plan.modes, plan.warm)
    chains.place('one')
    const { alone, p99 } = await measureAlone(chains, plan)
    const spread = spreadOf(alone.get(BASELINE) ?? [])
    const isNoisy = !(spread <= MAX_SPREAD) && !plan.keepNoisy
    say(`set ${sets.length + 1} of ${plan.sets}: the quartiles of the baseline's p50 are ${percent(spread)} apart`)
    if (!isNoisy) sets.push({ alone, p99, spread, also: await also(chains) })
    await chains.stop()
    if (!isNoisy) continue
    if (retries === 0) refuse(spread)
    retries -= 1
  }
  return sets
}

/**
 * How far the quartiles of the slices' p50 are apart, as a part of their median. Within one set of processes: those of
 * another set are compiled and laid out in memory in another way, which is no noise, and does not go away with time.
 */
export function spreadOf(slices: readonly Slice[]): number {
  const [low, median, high] = quartiles(slices.map(({ p50 }) => p50))
  return (high - low) / median
}

function refuse(spread: number): never {
  say(
    `No table: one request at a time, OpenTelemetry alone, the quartiles of p50 are ${percent(spread)} apart within a set ` +
      `of processes, and more than ${percent(MAX_SPREAD)} says that the machine is too busy to show what is looked for.`,
  )
  process.exit(1)
}

async function measureAlone({ byMode }: Chains, { rounds, requests }: Plan) {
  const alone = new Map<string, Slice[]>([...byMode.keys()].map((mode) => [mode, []]))
  const times = new Map<string, number[]>([...byMode.keys()].map((mode) => [mode, []]))
  for (let round = 0; round < rounds; round += 1) {
    for (const { mode, chain, client } of inRandomOrder(byMode)) {
      await client.times(FIRST)
      const before = await chain.cpuMicros()
      const taken = await client.times(requests)
      const cpu = ((await chain.cpuMicros()) - before) / requests
      alone.get(mode)?.push({ p50: quartiles(taken)[1], cpu })
      times.get(mode)?.push(...taken)
    }
  }
  const p99 = new Map(
    [...times].map(([mode, all]) => [mode, all.toSorted((a, b) => a - b)[Math.floor(all.length * 0.99)] ?? NaN]),
  )
  return { alone, p99 }
}

/** Another one every time: what ran more often, or always after the same, would be warmer in the caches. */
export function inRandomOrder(byMode: ReadonlyMap<string, ChainInMode>): readonly ChainInMode[] {
  return [...byMode.values()]
    .map((chain) => ({ chain, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ chain }) => chain)
}

export interface Summary {
  readonly median: number
  readonly low: number
  readonly high: number
}

/** Median and quartiles of the ratios of what was measured in the same round. */
export function ratioOf(mine: readonly number[], baseline: readonly number[]): Summary {
  const [low, median, high] = quartiles(mine.map((value, i) => value / (baseline[i] ?? Number.NaN)))
  return { median, low, high }
}

/** What `sets` say of `mode`, one request at a time. */
export function summaryAlone(sets: readonly MeasuredSet<unknown>[], mode: string, baseline: string) {
  const slices = (of: string): readonly Slice[] => sets.flatMap(({ alone }) => alone.get(of) ?? [])
  const ratio = (measure: keyof Slice) =>
    ratioOf(
      slices(mode).map((slice) => slice[measure]),
      slices(baseline).map((slice) => slice[measure]),
    )
  const bySet = sets.map((set) => summaryOfSet(set, mode, baseline))
  const p99 = quartiles(
    sets.map(({ p99: all }) => (all.get(mode) ?? Number.NaN) / (all.get(baseline) ?? Number.NaN)),
  )[1]
  return { p50: ratio('p50'), bySet, p99, cpu: ratio('cpu') }
}

function summaryOfSet({ alone }: MeasuredSet<unknown>, mode: string, baseline: string): number {
  const p50 = (of: string): readonly number[] => (alone.get(of) ?? []).map((slice) => slice.p50)
  return ratioOf(p50(mode), p50(baseline)).median
}

/** Median of the slices of all sets. */
export function medianAlone(sets: readonly MeasuredSet<unknown>[], mode: string, measure: keyof Slice): number {
  return quartiles(sets.flatMap(({ alone }) => (alone.get(mode) ?? []).map((slice) => slice[measure])))[1]
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`
}
