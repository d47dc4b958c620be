/** Makes the tables and charts of `benchmarks/README.md` out of the results; the words between them are written by hand. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bar } from './chart.ts'
import { barChart } from './chart.ts'
import type { Result } from './compare.ts'
import { chartChain, showAblation, showChain, showProfile } from './readme-chain.ts'
import { format } from './report.ts'
import type { Circumstances, Results } from './results.ts'
import { percent, settingsOf, table, times } from './table.ts'

const FOLDER = join(import.meta.dirname, '..')
const README = join(FOLDER, 'README.md')

export function writeReadme(results: Results): void {
  for (const [name, chart] of chartsOf(results)) writeFileSync(join(FOLDER, 'results', `${name}.svg`), chart)
  writeFileSync(README, readmeOf(readFileSync(README, 'utf8'), results))
}

/** `text` with what `results` say now. */
export function readmeOf(text: string, results: Results): string {
  let shown = text
  for (const [name, all] of results) {
    shown = replaced(shown, name, `${circumstancesOf(all)}\n\n${sectionOf(name).show(all, name)}`)
  }
  return shown
}

function chartsOf(results: Results): readonly (readonly [name: string, chart: string])[] {
  return [...results].flatMap(([name, all]) => {
    const chart = sectionOf(name).chart?.(all, name)
    return chart === undefined ? [] : [[name, chart] as const]
  })
}

function sectionOf(name: string): Section {
  const section = SECTIONS.find(({ applies }) => applies(name))
  if (section === undefined) throw new Error(`there is no section for ${name}`)
  return section
}

/** Puts `shown` between the marks of `name`. */
export function replaced(text: string, name: string, shown: string): string {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`]
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from === -1 || to === -1) throw new Error(`the README has no place for ${name}`)
  return `${text.slice(0, from)}${begin}\n\n${shown}\n\n${text.slice(to)}`
}

interface Section {
  readonly applies: (name: string) => boolean
  readonly show: (results: Readonly<Record<string, unknown>>, name: string) => string
  readonly chart?: (results: Readonly<Record<string, unknown>>, name: string) => string
}

const SECTIONS: readonly Section[] = [
  { applies: (name) => name === 'bench', show: showPaths, chart: chartPaths },
  { applies: (name) => name.startsWith('chain-'), show: showChain, chart: chartChain },
  { applies: (name) => name === 'ablation', show: showAblation },
  { applies: (name) => name.startsWith('profile'), show: showProfile },
  { applies: (name) => name === 'flood', show: showFlood },
  { applies: (name) => name === 'memory', show: showMemory },
]

function circumstancesOf({ date, commit, node, cpu, cores, memoryGiB, system, versions }: Circumstances): string {
  const others = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return `${date}, commit ${commit}, Node ${node}, ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}; ${others.join(', ')}.`
}

function showPaths(results: Readonly<Record<string, unknown>>): string {
  const { growth = [], ...paths } = results['paths'] as Record<string, readonly Result[]>
  const all = Object.values(paths).flat()
  const rows = all.map(({ path, goal, contestants, cold, unit }) => {
    const [mine, baseline] = [contestants[0], contestants.at(-1)]
    if (mine === undefined || baseline === undefined) throw new Error(`${path} has no contestants`)
    const others = contestants.slice(1, -1).map(({ name, nanos }) => `; ${name}: ${format(nanos, unit)}`)
    return [
      path,
      format(mine.nanos, unit),
      `${baseline.name}: ${format(baseline.nanos, unit)}${others.join('')}`,
      `**${times(mine.ratio)}**`,
      `±${Math.round(mine.spread * 50)} %`,
      goal === undefined ? '' : `≤ ${times(goal)}`,
      cold === undefined ? '' : `${format(cold.mine)}, ${times(cold.mine / cold.baseline)}`,
    ]
  })
  const head = ['Path', 'Relay', 'Baseline', 'Ratio', 'Spread', 'Goal', 'Cold']
  return `${table(head, rows)}\n\n![Ratios and goals](results/bench.svg)\n\n${showGrowth(growth)}`
}

function chartPaths(results: Readonly<Record<string, unknown>>): string {
  const { growth: _, ...paths } = results['paths'] as Record<string, readonly Result[]>
  const all = Object.values(paths).flat()
  const bars = all
    .filter(({ goal }) => goal !== undefined)
    .map(({ path, goal = 1, contestants: [mine] }): Bar => {
      const ratio = mine?.ratio ?? Number.NaN
      return {
        label: path,
        value: Math.min(3, ratio / goal),
        text: `${times(ratio)}, goal ${times(goal)}`,
        isMine: true,
      }
    })
  return barChart('Ratio to the baseline, as a part of its goal', bars, { value: 1, label: 'goal' })
}

/** The smallest of each row is what the others are compared with. */
function showGrowth(all: readonly Result[]): string {
  const rows = all.map(({ path, contestants }) => {
    const [largest, ...others] = contestants
    const sizes = [contestants.at(-1), ...others.slice(0, -1), largest].filter((size) => size !== undefined)
    return [path, sizes.map(({ name, nanos, ratio }) => `${name}: ${format(nanos)} (${times(ratio)})`).join(', ')]
  })
  return table(['Growth', 'Cost by size'], rows)
}

interface Flooded {
  readonly mode: string
  readonly delayP99Millis: number
  readonly servedPart: number
  readonly refusedPerSecond: number
  readonly hitRate: number
  readonly meanGoodMicros: number
  readonly calmP99: number
  readonly floodP99: number
  readonly rssMiB: number
}

function showFlood(results: Readonly<Record<string, unknown>>): string {
  const rows = (results['results'] as readonly Flooded[]).map((flooded) => [
    flooded.mode === 'relay' ? '**relay**' : `${flooded.mode}, cache on`,
    percent(flooded.servedPart),
    flooded.refusedPerSecond.toFixed(0),
    `${flooded.delayP99Millis.toFixed(1)} ms`,
    percent(flooded.hitRate),
    `${flooded.meanGoodMicros.toFixed(1)} µs`,
    `${flooded.calmP99.toFixed(1)} → ${flooded.floodP99.toFixed(1)} ms`,
    `${flooded.rssMiB.toFixed(0)} MiB`,
  ])
  const head = [
    'Verifier',
    'Good served',
    'Bad refused/s',
    'Loop delay p99',
    'Good remembered',
    'Good, mean',
    'Good p99',
    'RSS',
  ]
  return `${settingsOf(results)}\n\n${table(head, rows)}`
}

function showMemory(results: Readonly<Record<string, unknown>>): string {
  const token = results['token'] as { readonly text: number; readonly relay: number; readonly length: number }
  const flooded = results['flooded'] as {
    readonly tokens: number
    readonly accepted: number
    readonly samples: readonly number[]
  }
  const growth = Math.max(...flooded.samples) - (flooded.samples[0] ?? 0)
  const rows = [
    [`Remembered token of ${token.length} bytes`, `${token.relay.toFixed(0)} B`, '≤ 1,229 B'],
    ['Beyond the text itself', `${(token.relay - token.text).toFixed(0)} B`, '≤ 300 B'],
    [
      `Most growth over ${(flooded.tokens / 1e6).toFixed(1)} million distinct tokens, ${flooded.accepted} of them good`,
      `${growth.toFixed(0)} MiB`,
      '≤ 64 MiB',
    ],
  ]
  return `${settingsOf(results)}\n\n${table(['What', 'Measured', 'Goal'], rows)}`
}
