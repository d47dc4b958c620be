/** Reads what the tests want from Markdown: tables and fenced code blocks, of one document or of all pages. */

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

export const ROOT = join(import.meta.dirname, '..', '..')

export function readDocument(name: string): string {
  return readFileSync(join(ROOT, name), 'utf8')
}

/** The README and the pages below `docs`, by their paths. What other tools write there is left out. */
export const PAGES: readonly string[] = ['README.md', ...pagesBelow(join(ROOT, 'docs')).toSorted()]

function pagesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith('.') || ['node_modules', 'public', 'api'].includes(entry.name)) return []
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return pagesBelow(path)
    return entry.name.endsWith('.md') ? [relative(ROOT, path).replaceAll('\\', '/')] : []
  })
}

/** A row of a table by the names of its columns. Cells keep their Markdown. */
export type Row = Readonly<Record<string, string>>

/** The rows of the one table in `markdown` whose first column is called `firstColumn`. */
export function readTable(markdown: string, firstColumn: string): readonly Row[] {
  const tables = tablesIn(markdown).filter((table) => table.names[0] === firstColumn)
  if (tables.length !== 1) {
    throw new Error(`expected one table with the first column "${firstColumn}", found ${tables.length}`)
  }
  return tables.flatMap(({ rows }) => rows)
}

/**
 * The rows of the table with the columns `first` and `others`, on whichever page it is. If the reference has it, that is
 * the one; if several other pages have it, they say the same in these columns.
 */
export function findTable(first: string, ...others: readonly string[]): readonly Row[] {
  const found = PAGES.flatMap((page) =>
    tablesIn(readDocument(page))
      .filter((table) => table.names[0] === first && others.every((name) => table.names.includes(name)))
      .map(({ rows }) => ({ page, rows })),
  )
  const [generated] = found.filter(({ page }) => page.startsWith('docs/reference/'))
  const [one, ...copies] = generated === undefined ? found : [generated]
  if (one === undefined) throw new Error(`no page has a table with the columns ${[first, ...others].join(', ')}`)
  const said = ({ rows }: typeof one) => JSON.stringify(rows.map((row) => [first, ...others].map((name) => row[name])))
  const other = copies.find((copy) => said(copy) !== said(one))
  if (other !== undefined) throw new Error(`${other.page} and ${one.page} differ in the table "${first}"`)
  return one.rows
}

interface Table {
  readonly names: readonly string[]
  readonly rows: readonly Row[]
}

function tablesIn(markdown: string): readonly Table[] {
  const lines = markdown.split('\n')
  const starts = lines.flatMap((line, i) => (line.startsWith('|') && !lines[i - 1]?.startsWith('|') ? [i] : []))
  return starts.map((start) => {
    const names = cellsOf(lines[start] ?? '')
    const end = lines.findIndex((line, i) => i > start && !line.startsWith('|'))
    const rows = lines.slice(start + 2, end === -1 ? undefined : end).map((line) => {
      const cells = cellsOf(line)
      if (cells.length !== names.length) throw new Error(`expected ${names.length} cells: ${line}`)
      return Object.fromEntries(names.map((name, i) => [name, cells[i] ?? '']))
    })
    return { names, rows }
  })
}

function cellsOf(line: string): string[] {
  return line.startsWith('|')
    ? line
        .replace(/^\||\|\s*$/g, '')
        .split(/(?<!\\)\|/)
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
