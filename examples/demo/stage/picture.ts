/** Traces as a picture (SVG): one bar per span, and every auth event at its place. */

import type { TraceLayout, TraceMark, TraceRow } from './trace-layout.ts'

export interface Titled {
  readonly title: string
  readonly trace: TraceLayout
}

const WIDTH = 1_120
const MARGIN = 20
const ROW_HEIGHT = 20
const BARS = { from: 420, to: 760 }
const DETAILS = 776
const PALETTE = ['#3b6fb6', '#2a8a6a', '#9a5bb0', '#b8762a', '#7a7f87']
const MARK_COLOURS: Readonly<Record<string, string>> = {
  'auth.token.rejected': '#c0392b',
  'auth.token.withheld': '#b07a00',
}
const MARK_COLOUR = '#1f8a4c'

/** Whole and by itself: no script, no font and no image from elsewhere. */
export function renderPicture(traces: readonly Titled[]): string {
  const parts: string[] = []
  let y = MARGIN
  for (const { title, trace } of traces) {
    parts.push(text(MARGIN, y + 14, title, 'title'), text(MARGIN, y + 32, subtitle(trace), 'dim'))
    y += 2 * ROW_HEIGHT + 8
    for (const row of trace.rows) {
      parts.push(...spanAt(y, row, trace.services))
      y += ROW_HEIGHT
      for (const mark of row.events) {
        parts.push(...markAt(y, mark, row.depth))
        y += ROW_HEIGHT
      }
    }
    y += MARGIN
  }
  return `${frame(y, parts).join('\n')}\n`
}

function frame(height: number, parts: readonly string[]): readonly string[] {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    '<title>The spans of a trace, and the auth events of each</title>',
    '<style>text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#24292f;white-space:pre}',
    '.title{font-weight:bold;font-size:13px}.dim{fill:#6e7781}</style>',
    `<rect width="${WIDTH}" height="${height}" rx="8" fill="#ffffff" stroke="#d0d7de"/>`,
    ...parts,
    '</svg>',
  ]
}

function subtitle({ rows, services, durationMillis }: TraceLayout): string {
  return `${rows.length} spans · ${services.join(', ')} · ${durationMillis.toFixed(1)} ms`
}

function spanAt(y: number, row: TraceRow, services: readonly string[]): readonly string[] {
  const { depth, service, kind, label, httpStatus, durationMillis, from, to } = row
  const colour = PALETTE[services.indexOf(service) % PALETTE.length]
  const left = placeOf(from)
  const width = Math.max(2, placeOf(to) - left)
  const outcome = [httpStatus, `${durationMillis.toFixed(1)} ms`].filter((fact) => fact !== undefined).join(' · ')
  const opacity = kind === 'server' ? 1 : 0.45
  return [
    text(indentOf(depth), y + 14, kind === 'server' || depth === 0 ? `${service}  ${label}` : label),
    `<rect x="${round(left)}" y="${y + 4}" width="${round(width)}" height="12" rx="2" fill="${colour}" opacity="${opacity}"/>`,
    text(DETAILS, y + 14, outcome, 'dim'),
  ]
}

function markAt(y: number, { name, at, detail }: TraceMark, depth: number): readonly string[] {
  const colour = MARK_COLOURS[name] ?? MARK_COLOUR
  const label = `<text x="${indentOf(depth + 1)}" y="${y + 14}" style="fill:${colour}">◆ ${escaped(name)}</text>`
  const dot = `<circle cx="${round(placeOf(at))}" cy="${y + 10}" r="4" fill="${colour}"/>`
  return [label, dot, text(DETAILS, y + 14, detail, 'dim')]
}

function indentOf(depth: number): number {
  return MARGIN + depth * 14
}

/** Clocks of two processes may differ by a millisecond. */
function placeOf(share: number): number {
  return BARS.from + Math.min(1, Math.max(0, share)) * (BARS.to - BARS.from)
}

function text(x: number, y: number, content: string, look?: 'title' | 'dim'): string {
  return `<text x="${x}" y="${y}"${look === undefined ? '' : ` class="${look}"`}>${escaped(content)}</text>`
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
