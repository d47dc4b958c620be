/** The tables of the chain of three services: what it costs, what its parts cost, and where the time goes. */

import type { Bar } from './chart.ts'
import { barChart } from './chart.ts'
import { percent, settingsOf, table, times } from './table.ts'

interface Summary {
  readonly median: number
  readonly low: number
  readonly high: number
}

interface Alone {
  readonly p50: Summary
  readonly bySet: readonly number[]
  readonly p99: number
  readonly cpu: Summary
}

interface Against {
  readonly alone: Alone
  readonly cpu: Summary
  readonly perSecond: Summary
}

interface ChainMode {
  readonly mode: string
  readonly p50Micros: number
  readonly cpuMicros: number
  readonly to: { readonly otel: Against; readonly copy: Against }
}

const OTHERS = 'OpenTelemetry alone'
const range = ({ median, low, high }: Summary): string => `${times(median)} [${low.toFixed(2)} to ${high.toFixed(2)}]`
const bySetOf = ({ bySet }: Alone): string => bySet.map((ratio) => ratio.toFixed(2)).join(', ')

export function showChain(results: Readonly<Record<string, unknown>>, name: string): string {
  const modes = results['modes'] as readonly ChainMode[]
  const alone = modes.map(({ mode, p50Micros, to: { otel, copy } }) => [
    labelOf(mode),
    `${p50Micros.toFixed(0)} µs`,
    range(otel.alone.p50),
    bySetOf(otel.alone),
    range(copy.alone.p50),
    bySetOf(copy.alone),
    times(otel.alone.p99),
    range(otel.alone.cpu),
    range(copy.alone.cpu),
  ])
  const busy = modes.map(({ mode, cpuMicros, to: { otel, copy } }) => [
    labelOf(mode),
    `${cpuMicros.toFixed(0)} µs`,
    range(otel.cpu),
    range(copy.cpu),
    range(otel.perSecond),
    range(copy.perSecond),
  ])
  return [
    `${settingsOf(results)} ${spreadsOf(results)}`,
    table(
      ['One at a time', 'p50', 'to otel', 'by set', 'to copy', 'by set', 'p99 to otel', 'CPU to otel', 'CPU to copy'],
      alone,
    ),
    table(['Busy', 'CPU', 'to otel', 'to copy', 'Requests per second, to otel', 'to copy'], busy),
    `![p50, one request at a time](results/${name}.svg)`,
  ].join('\n\n')
}

export function chartChain(results: Readonly<Record<string, unknown>>, name: string): string {
  const modes = results['modes'] as readonly ChainMode[]
  const bars = modes.map(({ mode, to: { otel } }): Bar => {
    const { median } = otel.alone.p50
    return { label: mode, value: median, text: times(median, 3), isMine: mode === 'relay' }
  })
  const title = `p50 of one request at a time through three services, ${name.slice('chain-'.length)}`
  return barChart(title, bars, { value: 1, label: OTHERS })
}

function spreadsOf(results: Readonly<Record<string, unknown>>): string {
  const spreads = results['spreads'] as readonly number[]
  return `Quartiles of the baseline's p50 apart, by set: ${spreads.map(percent).join(', ')}.`
}

const LABELS: Readonly<Record<string, string>> = {
  relay: '**relay**',
  'no-events': 'relay without its span events',
  'no-events-metrics': 'relay without its span events and metrics',
  'ingress-only': "relay's ingress only, header copied by hand",
  'open-gate': 'the same, the gate lets everything through unseen',
  'no-extraction': 'the same, without the extraction',
}

function labelOf(mode: string): string {
  return LABELS[mode] ?? mode
}

interface AblatedMode extends Alone {
  readonly mode: string
  readonly p50Micros: number
  readonly own: number
  readonly withCalls: number
  readonly bytes: number
}

export function showAblation(results: Readonly<Record<string, unknown>>): string {
  const modes = results['modes'] as readonly AblatedMode[]
  const baseline = modes[0]?.bytes ?? Number.NaN
  const kib = (bytes: number): string => (bytes / 1024).toFixed(1)
  const rows = modes.map((ablated) => [
    labelOf(ablated.mode),
    `${ablated.p50Micros.toFixed(0)} µs`,
    range(ablated.p50),
    bySetOf(ablated),
    range(ablated.cpu),
    `${ablated.own.toFixed(0)} µs`,
    `${ablated.withCalls.toFixed(0)} µs`,
    `${kib(ablated.bytes)} KiB`,
    `${kib(ablated.bytes - baseline)} KiB`,
  ])
  const head = ['One at a time', 'p50', 'to otel', 'by set', 'CPU to otel', "Relay's code", 'With what it calls']
  return [`${settingsOf(results)} ${spreadsOf(results)}`, table([...head, 'Allocated', 'beyond otel'], rows)].join(
    '\n\n',
  )
}

interface ProfiledMode {
  readonly mode: string
  readonly byOwner: Readonly<Record<string, number>>
}

export function showProfile(results: Readonly<Record<string, unknown>>): string {
  const modes = results['modes'] as readonly ProfiledMode[]
  const underRelay = results['underRelay'] as Readonly<Record<string, number>>
  const owners = [...new Set(modes.flatMap(({ byOwner }) => Object.keys(byOwner)))]
  const columns = [...modes.map(({ byOwner }) => byOwner), underRelay]
  const micros = (value = 0): string => value.toFixed(1)
  const rows = owners.map((owner) => [owner, ...columns.map((column) => micros(column[owner]))])
  const sums = columns.map((column) => micros(Object.values(column).reduce((sum, value) => sum + value, 0)))
  const functions = results['functions'] as Readonly<Record<string, { own: number; withCalls: number }>>
  return [
    settingsOf(results),
    table(
      ['Microseconds of', ...modes.map(({ mode }) => mode), 'called by the relay'],
      [...rows, ['**all**', ...sums]],
    ),
    table(
      ['Function of the relay', 'Microseconds', 'With what it calls'],
      Object.entries(functions).map(([name, { own, withCalls }]) => [`\`${name}\``, micros(own), micros(withCalls)]),
    ),
  ].join('\n\n')
}
