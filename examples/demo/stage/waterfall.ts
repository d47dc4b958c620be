/** A trace as lines of text: one bar per span, and every auth event below the span that it belongs to. */

import type { TraceLayout, TraceMark, TraceRow } from './trace-layout.ts'

/** How a piece of text looks, where the output can show it. */
export type Look = 'dim' | 'bold' | 'green' | 'red' | 'yellow' | 'cyan'
export type Paint = (look: Look, text: string) => string

const BAR_COLUMNS = { least: 8, most: 40 }
/** `200 · 1234.5 ms`, and the space before it. */
const OUTCOME_COLUMNS = 17

const MARKS: Readonly<Record<string, { readonly sign: string; readonly look: Look }>> = {
  'auth.token.verified': { sign: '✓', look: 'green' },
  'auth.token.rejected': { sign: '✗', look: 'red' },
  'auth.token.exchanged': { sign: '⇄', look: 'green' },
  'auth.token.renewed': { sign: '⇄', look: 'green' },
  'auth.token.forwarded': { sign: '→', look: 'green' },
  'auth.token.sealed': { sign: '⊡', look: 'green' },
  'auth.token.opened': { sign: '⊟', look: 'green' },
  'auth.token.withheld': { sign: '⊘', look: 'yellow' },
}

/** In lines of at most `columns` characters, if the names of services and paths are as short as those of the demo. */
export function renderWaterfall(trace: TraceLayout, paint: Paint, columns: number): readonly string[] {
  const width = Math.max(...trace.rows.map((row) => titleOf(row).length)) + 2
  const bars = Math.max(BAR_COLUMNS.least, Math.min(BAR_COLUMNS.most, columns - width - OUTCOME_COLUMNS))
  const { traceId, rows, durationMillis } = trace
  return [
    paint('dim', `trace ${traceId} · ${rows.length} spans · ${millis(durationMillis)}`),
    '',
    ...rows.flatMap((row) => [
      renderSpan(row, width, bars, paint),
      ...row.events.map((mark) => renderMark(mark, row, paint)),
    ]),
  ]
}

function renderSpan(row: TraceRow, width: number, columns: number, paint: Paint): string {
  const first = columnOf(row.from, columns)
  const bar = (row.kind === 'server' ? '█' : '▒').repeat(Math.max(1, columnOf(row.to, columns) - first + 1))
  const title = titleOf(row).padEnd(width)
  const outcome = [row.httpStatus, millis(row.durationMillis)].filter((fact) => fact !== undefined).join(' · ')
  const place = (' '.repeat(first) + bar).padEnd(columns)
  return `${row.kind === 'server' ? paint('bold', title) : title}${place}  ${outcome}`
}

function renderMark({ name, detail }: TraceMark, row: TraceRow, paint: Paint): string {
  const { sign, look } = MARKS[name] ?? { sign: '·', look: 'dim' }
  return `${paint(look, `${indent(row.depth + 1)}${sign} ${name}`)}  ${paint('dim', detail)}`.trimEnd()
}

function titleOf({ depth, service, kind, label }: TraceRow): string {
  return indent(depth) + (kind === 'server' || depth === 0 ? `${service} ${label}` : label)
}

function indent(depth: number): string {
  return '  '.repeat(depth)
}

/** Parents begin before their children, but the clocks of two processes may differ by a millisecond. */
function columnOf(share: number, columns: number): number {
  return Math.min(columns - 1, Math.max(0, Math.floor(share * columns)))
}

function millis(duration: number): string {
  return `${duration.toFixed(1)} ms`
}
