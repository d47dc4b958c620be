/** A trace as lines of text: one bar per span, and every auth event at its place. */

import type { TraceLayout, TraceMark, TraceRow } from './trace-layout.ts'

/** How a piece of text looks, where the output can show it. */
export type Look = 'dim' | 'bold' | 'green' | 'red' | 'yellow' | 'cyan'
export type Paint = (look: Look, text: string) => string

const BAR_COLUMNS = 26

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

export function renderWaterfall(trace: TraceLayout, paint: Paint): readonly string[] {
  const width = Math.max(...trace.rows.map((row) => titleOf(row).length)) + 2
  const { traceId, services, rows, durationMillis } = trace
  return [
    paint('dim', `trace ${traceId} · ${rows.length} spans · ${services.join(', ')} · ${millis(durationMillis)}`),
    '',
    ...rows.flatMap((row) => [
      renderSpan(row, width, paint),
      ...row.events.map((mark) => renderMark(mark, row, width, paint)),
    ]),
  ]
}

function renderSpan(row: TraceRow, width: number, paint: Paint): string {
  const first = columnOf(row.from)
  const bar = (row.kind === 'server' ? '█' : '▒').repeat(Math.max(1, columnOf(row.to) - first + 1))
  const title = titleOf(row).padEnd(width)
  const outcome = [row.httpStatus, millis(row.durationMillis)].filter((fact) => fact !== undefined).join(' · ')
  const place = (' '.repeat(first) + bar).padEnd(BAR_COLUMNS)
  return `${row.kind === 'server' ? paint('bold', title) : title}${place}  ${outcome}`
}

function renderMark({ name, at, detail }: TraceMark, row: TraceRow, width: number, paint: Paint): string {
  const { sign, look } = MARKS[name] ?? { sign: '·', look: 'dim' }
  const title = `${indent(row.depth + 1)}${sign} ${name}`.padEnd(width)
  const place = `${' '.repeat(columnOf(at))}◆`.padEnd(BAR_COLUMNS)
  return `${paint(look, title + place)}  ${paint('dim', detail)}`.trimEnd()
}

function titleOf({ depth, service, kind, label }: TraceRow): string {
  return indent(depth) + (kind === 'server' ? `${service}  ${label}` : label)
}

function indent(depth: number): string {
  return '  '.repeat(depth)
}

/** Parents begin before their children, but the clocks of two processes may differ by a millisecond. */
function columnOf(share: number): number {
  return Math.min(BAR_COLUMNS - 1, Math.max(0, Math.floor(share * BAR_COLUMNS)))
}

function millis(duration: number): string {
  return `${duration.toFixed(1)} ms`
}
