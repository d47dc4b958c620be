/** The source of this package as syntax trees. */

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parseAst } from 'vitest/node'
import { ROOT } from '../docs/markdown.ts'

/** A node of an ESTree with TypeScript's additions. */
export interface Node {
  readonly type: string
  readonly [member: string]: unknown
}

/** A source file; `path` is relative to `src` and has forward slashes. */
export interface SourceFile {
  readonly path: string
  readonly text: string
  readonly tree: Node
}

export const SRC = join(ROOT, 'src')

export function sourceFile(path: string, text: string): SourceFile {
  return { path, text, tree: parseAst(text, { lang: 'ts' }) as unknown as Node }
}

/** All TypeScript files below `folder`. */
export function readSources(folder = SRC): readonly SourceFile[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => sourceFile(relative(folder, file).replaceAll('\\', '/'), readFileSync(file, 'utf8')))
}

/** The folders of `src`, in no particular order. */
export function readFolders(): readonly string[] {
  return readdirSync(SRC, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
}

/** `root` and every node below it, each with the node that holds it. */
export function* walk(root: Node, parent: Node = root): Generator<{ readonly node: Node; readonly parent: Node }> {
  yield { node: root, parent }
  for (const member of Object.values(root)) {
    for (const child of Array.isArray(member) ? (member as unknown[]) : [member]) {
      if (isNode(child)) yield* walk(child, root)
    }
  }
}

export function nodesOf(root: Node, type: string): readonly Node[] {
  return [...walk(root)].flatMap(({ node }) => (node.type === type ? [node] : []))
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'
}

export function child(node: Node, name: string): Node {
  const value = node[name]
  if (!isNode(value)) throw new Error(`${node.type} has no node "${name}"`)
  return value
}

export function children(node: Node, name: string): readonly Node[] {
  const value = node[name]
  return Array.isArray(value) ? value.filter(isNode) : []
}

/** The name of an identifier or the value of a literal. */
export function nameOf(node: Node): string {
  return String(node.type === 'Literal' ? node['value'] : node['name'])
}

const SPECIFIER_HOLDERS = [
  'ImportDeclaration',
  'ExportNamedDeclaration',
  'ExportAllDeclaration',
  'ImportExpression',
  'TSImportType',
]

/** Everything that `file` imports, types included, as it is written: `./pattern.ts`, `node:http`, `jose`. */
export function importsOf(file: SourceFile): readonly string[] {
  const found: string[] = []
  for (const { node } of walk(file.tree)) {
    const source = SPECIFIER_HOLDERS.includes(node.type) ? node['source'] : requiredOf(node)
    if (isNode(source) && source.type === 'Literal') found.push(nameOf(source))
  }
  return found
}

function requiredOf(node: Node): unknown {
  const callee = node.type === 'CallExpression' ? child(node, 'callee') : undefined
  return callee?.type === 'Identifier' && nameOf(callee) === 'require' ? children(node, 'arguments')[0] : undefined
}
