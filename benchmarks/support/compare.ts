/**
 * Runs contestants side by side, in short slices and in another order each round, and says how they compare; or one of
 * them cold.
 */

import process from 'node:process'
import { measure } from 'mitata'

export interface Contestant {
  readonly name: string
  /** One operation, or several where `operations` says how many. */
  readonly run: () => unknown
  readonly operations?: number
}

export interface Comparison {
  /** What is compared. */
  readonly path: string
  /** The ratio that is aimed at, if any. */
  readonly goal?: number
  readonly mine: Contestant
  readonly baseline: Contestant
  /** Others, for the picture. */
  readonly others?: readonly Contestant[]
}

export interface Result {
  readonly path: string
  readonly goal: number | undefined
  /** What `nanos` counts, if it is no time. */
  readonly unit?: 'bytes'
  readonly contestants: readonly ContestantResult[]
  /** In fresh processes, if it makes sense: in nanoseconds per operation. */
  readonly cold?: { readonly mine: number; readonly baseline: number }
}

interface ContestantResult {
  readonly name: string
  /** Median of the rounds, in nanoseconds per operation. */
  readonly nanos: number
  /** Median of the rounds' ratios to the baseline, which is the last contestant: paired, as machines change their pace. */
  readonly ratio: number
  /** Interquartile range of those ratios, as a part of their median. */
  readonly spread: number
}

const ROUNDS = 11
const SLICE_NANOS = 30e6

export async function compare({ path, goal, mine, baseline, others = [] }: Comparison): Promise<Result> {
  const contestants = [mine, ...others, baseline]
  if (COLD !== undefined) {
    if (path === COLD.path) await runCold(contestants.find(({ name }) => name === COLD.contestant))
    return { path, goal, contestants: [] }
  }
  const rounds: ReadonlyMap<Contestant, number>[] = []
  // The first round is for the compiler.
  for (let round = 0; round <= ROUNDS; round += 1) {
    const times = await timesOf(contestants.toSorted(() => Math.random() - 0.5))
    if (round > 0) rounds.push(times)
  }
  return {
    path,
    goal,
    contestants: contestants.map((contestant) => {
      const nanos = rounds.map((times) => times.get(contestant) ?? Number.NaN)
      const ratios = rounds.map((times) => (times.get(contestant) ?? Number.NaN) / (times.get(baseline) ?? Number.NaN))
      const [low, ratio, high] = quartiles(ratios)
      return { name: contestant.name, nanos: quartiles(nanos)[1], ratio, spread: (high - low) / ratio }
    }),
  }
}

/** What a process is started for that measures one contestant cold. */
export interface ColdRun {
  readonly path: string
  readonly contestant: string
}

/** The variable of the environment that holds a {@link ColdRun} as JSON. */
export const COLD_VARIABLE = 'BENCH_COLD'
const COLD = readColdRun(process.env[COLD_VARIABLE])
const COLD_CALLS = 1_000
const MAX_COLD_MILLIS = 1_000

function readColdRun(text: string | undefined): ColdRun | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as ColdRun)
}

/** Makes the first thousand calls, or as many as take a second, writes what each took, and ends the process. */
async function runCold(contestant: Contestant | undefined): Promise<never> {
  if (contestant === undefined) throw new Error('there is no such contestant')
  const { run, operations = 1 } = contestant
  const startMillis = performance.now()
  let [done, millis] = [0, 0]
  while (done < COLD_CALLS && millis < MAX_COLD_MILLIS) {
    const running = run()
    if (running instanceof Promise) await running
    done += operations
    millis = performance.now() - startMillis
  }
  process.stdout.write(JSON.stringify((millis * 1e6) / done))
  process.exit()
}

async function timesOf(contestants: readonly Contestant[]): Promise<ReadonlyMap<Contestant, number>> {
  const times = new Map<Contestant, number>()
  for (const contestant of contestants) {
    const { p50 } = await measure(contestant.run, { min_cpu_time: SLICE_NANOS, batch_samples: 1024 })
    times.set(contestant, p50 / (contestant.operations ?? 1))
  }
  return times
}

export function quartiles(values: readonly number[]): readonly [low: number, median: number, high: number] {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (part: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
  return [at(0.25), at(0.5), at(0.75)]
}
