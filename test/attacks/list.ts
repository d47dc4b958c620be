/** The list of attacks in docs/contribute/attacks.md, and the tests that hold each row, found by the rows that their titles name. */

import type { Title } from '../architecture/titles.ts'

export interface AttackRow {
  readonly id: string
  readonly attack: string
  readonly outcome: string
  readonly heldBy: string
}

/** So many tests of a row are shown, of different files if there are. */
const MAX_SHOWN = 3

const ROW = /^\| (\S+) \| (.*) \| (.*) \|(.*)\|$/
const HEAD = ['Row', '---']

/** The rows of all tables. */
export function readAttacks(markdown: string): readonly AttackRow[] {
  return markdown.split('\n').flatMap((line) => {
    const [, id, attack, outcome, heldBy] = ROW.exec(line) ?? []
    if (id === undefined || attack === undefined || outcome === undefined || HEAD.includes(id)) return []
    return [{ id, attack, outcome, heldBy: (heldBy ?? '').trim() }]
  })
}

/** `markdown` with the last column as the titles of the tests say. */
export function writeAttacks(markdown: string, titles: readonly Title[]): string {
  const lines = markdown.split('\n').map((line) => {
    const [row] = readAttacks(line)
    return row === undefined ? line : `| ${row.id} | ${row.attack} | ${row.outcome} | ${heldBy(row.id, titles)} |`
  })
  return lines.join('\n')
}

function heldBy(id: string, titles: readonly Title[]): string {
  const named = titles.filter(({ rows }) => rows.includes(id))
  const all = [...named.filter(({ isCase }) => !isCase), ...named.filter(({ isCase }) => isCase)]
  const files = [...new Set(all.map(({ file }) => file))]
  const first = files.flatMap((file) => all.filter((title) => title.file === file).slice(0, 1))
  const shown = [...first, ...all.filter((title) => !first.includes(title))].slice(0, MAX_SHOWN)
  const more = all.length - shown.length
  const links = shown.map((title) => `[${nameOf(title.file)}](../../${title.file}): ${sentence(title)}`)
  return [...links, ...(more > 0 ? [`and ${more} more`] : [])].join('; ')
}

function nameOf(file: string): string {
  return file.replace(/^test\//, '').replace(/\.(test|interop)\.ts$/, '')
}

/** The title behind those of its groups, without what is a placeholder alone. */
function sentence({ groups, text }: Title): string {
  const parts = [...groups, text].filter((part) => /[a-z]{2}/i.test(part.replace(/%\w|\$\w+/g, '')))
  return parts.join(' › ').replaceAll('|', '\\|')
}
