/** Reads what the tests want from Markdown: tables and fenced code blocks. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export const ROOT = join(import.meta.dirname, '..', '..')

export function readDocument(name: string): string {
  return readFileSync(join(ROOT, name), 'utf8')
}

/** A row of a table by the names of its columns. Cells keep their Markdown. */
export type Row = Readonly<Record<string, string>>

/** The rows of the one table in `markdown` whose first column is called `firstColumn`. */
export function readTable(markdown: string, firstColumn: string): readonly Row[] {
  const lines = markdown.split('\n')
  const starts = lines.flatMap((line, i) => (cellsOf(line)[0] === firstColumn ? [i] : []))
  const start = starts[0]
  if (start === undefined || starts.length > 1) {
    throw new Error(`expected one table with the first column "${firstColumn}", found ${starts.length}`)
  }
  const names = cellsOf(lines[start] ?? '')
  const end = lines.findIndex((line, i) => i > start && !line.startsWith('|'))
  return lines.slice(start + 2, end === -1 ? undefined : end).map((line) => {
    const cells = cellsOf(line)
    if (cells.length !== names.length) throw new Error(`expected ${names.length} cells: ${line}`)
    return Object.fromEntries(names.map((name, i) => [name, cells[i] ?? '']))
  })
}

function cellsOf(line: string): string[] {
  return line.startsWith('|')
    ? line
        .replace(/^\||\|\s*$/g, '')
        .split('|')
        .map((cell) => cell.trim())
    : []
}

/** The column `name` of `rows`, without the backticks of code. */
export function column(rows: readonly Row[], name: string): readonly string[] {
  return rows.map((row) => {
    const cell = row[name]
    if (cell === undefined) throw new Error(`no column "${name}"`)
    return plain(cell)
  })
}

export function plain(cell: string): string {
  return /^`[^`]*`$/.test(cell) ? cell.slice(1, -1) : cell
}

/** The texts in backticks in `cell`. */
export function codes(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '')
}

/** A fenced code block. The second word of the info string is the name of the file that it is. */
export interface Block {
  readonly language: string
  readonly file: string | undefined
  readonly text: string
}

export function readBlocks(markdown: string): readonly Block[] {
  return [...markdown.matchAll(/^```([^\n]*)\n(.*?)^```$/gms)].map(([, info = '', text = '']) => {
    const [language = '', file] = info.trim().split(/\s+/)
    return { language, file, text }
  })
}
