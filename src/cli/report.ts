/** What a command has found out, and how it is printed: as lines of at most 80 columns, or as JSON. */

import process from 'node:process'
import { styleText } from 'node:util'

/** `note` says what to know, `finding` what to change; only findings make the exit code 1. */
type Status = 'ok' | 'note' | 'finding' | 'skipped'

/** One thing that was checked. */
export interface Check {
  /** Stable, for scripts: `issuer.keys`. */
  readonly id: string
  readonly status: Status
  readonly text: string
  /** What to do about it. */
  readonly advice?: string | undefined
}

/** Checks that belong together, under one title. */
export interface Section {
  readonly title: string
  readonly checks: readonly Check[]
}

export interface Report {
  /** As it is typed: `doctor token`. */
  readonly command: string
  readonly sections: readonly Section[]
  /** What follows from it. Of several lines, each stays as it is. */
  readonly conclusion: string
  /** Further members of the JSON. */
  readonly data?: Readonly<Record<string, unknown>>
}

/** Exit codes that scripts can rely on. */
export const EXIT = { fine: 0, findings: 1, usage: 2 } as const

/** A mistake in the command line, or in what it names. Ends the command with {@link EXIT}`.usage`. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

const WIDTH = 80
const MARKS = { ok: '✓', note: '-', finding: '✗', skipped: '·' } as const
const COLORS = { ok: 'green', note: 'yellow', finding: 'red', skipped: 'gray' } as const

export function findingsOf({ sections }: Report): readonly Check[] {
  return sections.flatMap(({ checks }) => checks.filter(({ status }) => status === 'finding'))
}

/** Prints `report`, and returns the exit code. */
export function printReport(report: Report, asJson: boolean): number {
  process.stdout.write(asJson ? jsonOf(report) : textOf(report))
  return findingsOf(report).length === 0 ? EXIT.fine : EXIT.findings
}

function jsonOf(report: Report): string {
  const { command, sections, conclusion, data } = report
  const checks = sections.flatMap(({ title, checks }) => checks.map((check) => ({ section: title, ...check })))
  const shape = { version: 1, command, findings: findingsOf(report).length, conclusion, checks, ...data }
  return `${JSON.stringify(shape, undefined, 2)}\n`
}

function textOf({ sections, conclusion }: Report): string {
  const parts = sections
    .filter(({ checks }) => checks.length > 0)
    .map(({ title, checks }) => `${bold(title)}\n${checks.map(linesOf).join('')}`)
  const end = conclusion.includes('\n') ? `${conclusion}\n` : wrap(conclusion, '', '')
  return [...parts, end].join('\n')
}

function linesOf({ status, text, advice }: Check): string {
  // The mark is colored after the text is wrapped: escape sequences have no width.
  const lines = wrap(text, `  ${MARKS[status]} `, '    ')
  const marked = lines.replace(MARKS[status], styleText(COLORS[status], MARKS[status], { stream: process.stdout }))
  return advice === undefined ? marked : `${marked}${wrap(advice, '    > ', '      ')}`
}

function bold(text: string): string {
  return styleText('bold', text, { stream: process.stdout })
}

/** Breaks `text` at spaces. A word that is longer than a line stays whole, so that it can be copied. */
function wrap(text: string, first: string, others: string): string {
  const lines: string[] = []
  let line = first
  let isEmpty = true
  for (const word of text.split(' ')) {
    if (!isEmpty && line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = others
      isEmpty = true
    }
    line += isEmpty ? word : ` ${word}`
    isEmpty = false
  }
  return `${[...lines, line].join('\n')}\n`
}
