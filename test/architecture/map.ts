/** Reads `docs/contribute/map.md`, and compares it with the source. `node test/architecture/map.ts --write` mends its line numbers. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import type { Node, SourceFile } from './source.ts'
import { child, isNode, sourceFile, walk } from './source.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const MAP = join(ROOT, 'docs', 'contribute', 'map.md')

export const MEND = 'node test/architecture/map.ts --write'

/** One line of a walk: a function, and the function of an earlier line that calls it. */
interface Step {
  readonly file: string
  readonly line: number
  readonly name: string
  readonly calledBy: string | undefined
  /** The name it is called by, if it is called through a parameter, an option or a member. */
  readonly through: string | undefined
}

/** A walk is a section of the map; `files` is how many its heading says that it opens. */
export interface Walk {
  readonly title: string
  readonly files: number
  readonly steps: readonly Step[]
}

const HEADING = /^## (.*): (\d+) files$/
const STEP = /^\d+\. `([^`:]+):(\d+)` `([#\w]+)`(?:, called by `([#\w]+)`(?: as `([#\w]+)`)?)?: [A-Z].*\.$/

export function readMap(): string {
  return readFileSync(MAP, 'utf8')
}

export function walksIn(map: string): readonly Walk[] {
  const walks: { title: string; files: number; steps: Step[] }[] = []
  for (const line of map.split('\n')) {
    const [, title, files] = HEADING.exec(line) ?? []
    if (title !== undefined) walks.push({ title, files: Number(files), steps: [] })
    if (!/^\d+\. /.test(line)) continue
    const [, file, at, name, calledBy, through] = STEP.exec(line) ?? []
    if (file === undefined || name === undefined) throw new Error(`not a step of a walk: ${line}`)
    walks.at(-1)?.steps.push({ file, line: Number(at), name, calledBy, through })
  }
  return walks
}

function sourceOf(path: string): SourceFile {
  return sourceFile(path, readFileSync(join(ROOT, path), 'utf8'))
}

/** A function that has a name, by declaration, as a member, or as what a variable or property holds. */
interface NamedFunction {
  readonly name: string
  readonly line: number
  readonly body: Node
}

const HOLDERS: Readonly<Record<string, readonly [name: string, value: string]>> = {
  MethodDefinition: ['key', 'value'],
  Property: ['key', 'value'],
  PropertyDefinition: ['key', 'value'],
  VariableDeclarator: ['id', 'init'],
}
/** A class counts as the function that makes its objects, with all of its methods. */
const FUNCTIONS = ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression', 'ClassDeclaration']

function functionsIn(file: SourceFile): readonly NamedFunction[] {
  return [...walk(file.tree)].flatMap(({ node }) => {
    const [key, value] = HOLDERS[node.type] ?? ['id', undefined]
    const body = value === undefined ? node : node[value]
    const name = node[key]
    if (!isNode(name) || !isNode(body) || !FUNCTIONS.includes(body.type)) return []
    return [{ name: writtenName(name), line: lineOf(file, name), body }]
  })
}

function writtenName(node: Node): string {
  return node.type === 'PrivateIdentifier' ? `#${String(node['name'])}` : String(node['name'] ?? node['value'])
}

function lineOf({ text }: SourceFile, node: Node): number {
  return text.slice(0, Number(node['start'])).split('\n').length
}

/** The names that are called in `body`, of functions and of members, and of classes that are made. */
function callsIn(body: Node): ReadonlySet<string> {
  const names = [...walk(body)].flatMap(({ node }) => {
    if (node.type !== 'CallExpression' && node.type !== 'NewExpression') return []
    return calledNames(child(node, 'callee'))
  })
  return new Set(names)
}

/** `f`, `o.f` and `o.#f`; also `f` of `f.bind(o)`. */
function calledNames(callee: Node): readonly string[] {
  if (callee.type !== 'MemberExpression') return [writtenName(callee)]
  const name = writtenName(child(callee, 'property'))
  return name === 'bind' ? calledNames(child(callee, 'object')) : [name]
}

/** All that `name` calls, itself and through other functions of its file. */
export function callsOf(file: SourceFile, name: string): ReadonlySet<string> {
  const functions = functionsIn(file)
  const found = new Set<string>()
  const pending = [name]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const { body } of functions.filter((each) => each.name === next)) {
      for (const called of callsIn(body)) {
        if (found.has(called)) continue
        found.add(called)
        pending.push(called)
      }
    }
  }
  return found
}

/** What is wrong with the steps of `walk`, line numbers apart. */
export function problemsOf({ title, steps }: Walk, read: (path: string) => SourceFile = sourceOf): readonly string[] {
  return steps.flatMap((step, at) => {
    const place = `${title}: ${step.name} of ${step.file}`
    const functions = functionsIn(read(step.file))
    if (!functions.some(({ name }) => name === step.name)) return [`${place} does not exist`]
    if (step.calledBy === undefined) return []
    const callers = steps.slice(0, at).filter(({ name }) => name === step.calledBy)
    const called = step.through ?? step.name
    const isCalled = callers.some((caller) => callsOf(read(caller.file), caller.name).has(called))
    return isCalled ? [] : [`${place} is not called by ${step.calledBy} as ${called}`]
  })
}

/** `map` with the line numbers of the source: of the last function of that name, if a file has several. */
export function withLines(map: string, read: (path: string) => SourceFile = sourceOf): string {
  return map.replace(/^(\d+\. `)([^`:]+):\d+(` `([#\w]+)`)/gm, (step, number, file, rest, name) => {
    const found = functionsIn(read(String(file))).filter((each) => each.name === name)
    return found.length === 0 ? step : `${number}${file}:${found.at(-1)?.line}${rest}`
  })
}

if (process.argv[1] === import.meta.filename && process.argv.includes('--write')) {
  writeFileSync(MAP, withLines(readMap()))
}
