/** The titles of all tests, read from the syntax trees of their files, with the rows of docs/contribute/attacks.md that they name. */

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { ROOT } from '../docs/markdown.ts'
import type { Node, SourceFile } from './source.ts'
import { child, children, isNode, nameOf, sourceFile } from './source.ts'

/** A test, a group of tests, or a case of a table of tests. */
export interface Title {
  /** Relative to the repository, with forward slashes. */
  readonly file: string
  /** As it is written, with its placeholders and without its rows. */
  readonly text: string
  /** The titles of the groups around it, the outermost first. */
  readonly groups: readonly string[]
  /** Whether it stands in a table of cases. */
  readonly isCase: boolean
  /** The rows that stand in brackets at its end. */
  readonly rows: readonly string[]
}

const ROWS = / \[([A-Z]\d+(?:, [A-Z]\d+)*)\]$/

/** All files below `test` that have tests, those of `npm run test:interop` included. */
export function readTestFiles(): readonly SourceFile[] {
  const folder = join(ROOT, 'test')
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(test|interop)\.ts$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.includes('node_modules'))
    .toSorted()
    .map((path) => sourceFile(relative(ROOT, path).replaceAll('\\', '/'), readFileSync(path, 'utf8')))
}

export function titlesOf(files: readonly SourceFile[]): readonly Title[] {
  return files.flatMap((file) => [...titlesBelow(file.tree, file, [])])
}

function* titlesBelow(node: Node, file: SourceFile, groups: readonly string[]): Generator<Title> {
  const written = titleOf(node)
  const title = written === undefined ? undefined : parseTitle(textOf(written, file) ?? '', { file: file.path, groups })
  if (title !== undefined) yield title
  const inner = title === undefined ? groups : [...groups, title.text]
  for (const each of nodesIn(node)) {
    if (each === written) continue
    const text = textOf(each, file)
    // A case of a table, whether the table stands in `it.each(…)` or has a name.
    if (text !== undefined && ROWS.test(text)) yield parseTitle(text, { file: file.path, groups: inner, isCase: true })
    else yield* titlesBelow(each, file, inner)
  }
}

function nodesIn(node: Node): readonly Node[] {
  return Object.values(node).flat().filter(isNode)
}

function parseTitle(
  written: string,
  { file, groups, isCase = false }: Pick<Title, 'file' | 'groups'> & Partial<Title>,
): Title {
  const rows = ROWS.exec(written)?.[1]?.split(', ') ?? []
  return { file, text: written.replace(ROWS, ''), groups, isCase, rows }
}

/** The title in a call of `it`, `test` or `describe`, `it.each(…)` and the like included. */
function titleOf(node: Node): Node | undefined {
  if (node.type !== 'CallExpression' || !['it', 'test', 'describe'].includes(calledName(node))) return undefined
  return children(node, 'arguments').slice(0, 1).find(isText)
}

function isText(node: Node): boolean {
  return node.type === 'TemplateLiteral' || (node.type === 'Literal' && typeof node['value'] === 'string')
}

/** A string as it is written; `undefined` if `node` is none. */
function textOf(node: Node, file: SourceFile): string | undefined {
  if (!isText(node)) return undefined
  return node.type === 'Literal'
    ? String(node['value'])
    : file.text.slice(Number(node['start']) + 1, Number(node['end']) - 1)
}

/** `it` of `it(…)`, `it.skipIf(…)(…)` and `it.each<T>(…)(…)`. */
function calledName(node: Node): string {
  const callee = node.type === 'MemberExpression' ? child(node, 'object') : child(node, 'callee')
  if (callee.type === 'Identifier') return nameOf(callee)
  return callee.type === 'CallExpression' || callee.type === 'MemberExpression' ? calledName(callee) : ''
}
