/** Measures of source files: their lengths, those of their functions, their comments, and their import cycles. */

import { posix } from 'node:path'
import type { Node, SourceFile } from './source.ts'
import { child, importsOf, isNode, nameOf, walk } from './source.ts'

export interface MeasuredFunction {
  readonly file: string
  /** `parseOptions`, or `(anonymous)`. */
  readonly name: string
  readonly lines: number
}

export function linesOf({ text }: SourceFile): number {
  return text.replace(/\n$/, '').split('\n').length
}

const FUNCTIONS = ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']

/** All functions and methods of `file`, those inside of others included. */
export function functionsOf(file: SourceFile): readonly MeasuredFunction[] {
  return [...walk(file.tree)]
    .filter(({ node }) => FUNCTIONS.includes(node.type))
    .map(({ node, parent }) => ({ file: file.path, name: functionName(node, parent), lines: linesBetween(file, node) }))
}

/** With the name in front of it, for methods and constants. */
function functionName(node: Node, parent: Node): string {
  for (const [owner, member] of [
    [node, 'id'],
    [parent, 'key'],
    [parent, 'id'],
  ] as const) {
    if (isNode(owner[member])) return nameOf(child(owner, member))
  }
  return '(anonymous)'
}

function linesBetween({ text }: SourceFile, node: Node): number {
  return text.slice(Number(node['start']), Number(node['end'])).split('\n').length
}

export interface LineKinds {
  readonly code: number
  /** Lines of comments that begin with two stars. */
  readonly doc: number
  /** Lines that hold another comment and nothing else. */
  readonly comment: number
}

export function lineKindsOf(file: SourceFile): LineKinds {
  const counts = { code: 0, doc: 0, comment: 0 }
  let inside: 'doc' | 'comment' | undefined
  for (const line of file.text.split('\n').map((each) => each.trim())) {
    if (line === '') continue
    inside ??= openedBy(line)
    counts[inside ?? 'code'] += 1
    if (inside !== undefined && (line.endsWith('*/') || line.startsWith('//'))) inside = undefined
  }
  return counts
}

function openedBy(line: string): 'doc' | 'comment' | undefined {
  if (line.startsWith('/**')) return 'doc'
  return line.startsWith('/*') || line.startsWith('//') ? 'comment' : undefined
}

/** The files of `src` that `file` imports, by their paths. */
export function targetsOf(file: SourceFile): readonly string[] {
  return importsOf(file)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => posix.join(posix.dirname(file.path), specifier))
}

/** The files that import themselves through others. */
export function findCycles(files: readonly SourceFile[]): readonly string[] {
  const targets = new Map(files.map((file) => [file.path, targetsOf(file)]))
  const reaches = (from: string): boolean => {
    const seen = new Set<string>()
    const pending = [...(targets.get(from) ?? [])]
    for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
      if (path === from) return true
      if (seen.has(path)) continue
      seen.add(path)
      pending.push(...(targets.get(path) ?? []))
    }
    return false
  }
  return files.map(({ path }) => path).filter(reaches)
}

/** The value that `share` of `values` do not exceed; 0.5 is the median. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0
}
