/** What the source says about errors, withhold reasons, metrics and exports. */

import { existsSync } from 'node:fs'
import { posix } from 'node:path'
import { OptionError } from '../../src/base/option-checks.ts'
import type { ServiceErrorCode } from '../../src/client/errors.ts'
import { SERVICE_ERRORS, ServiceError, ServiceScopeError } from '../../src/client/errors.ts'
import { RevocationStoreError } from '../../src/redis/index.ts'
import { RelayActiveError } from '../../src/relay/relay.ts'
import type { TokenErrorCode } from '../../src/token/errors.ts'
import { TOKEN_ERRORS } from '../../src/token/errors.ts'
import type { Node, SourceFile } from '../architecture/source.ts'
import { child, children, isNode, nameOf, nodesOf, readSources } from '../architecture/source.ts'
import { readDocument } from '../docs/markdown.ts'
import { errorFor } from '../support/relay.ts'
import { commentBefore } from './options.ts'

const sources = readSources()

function sourceOf(path: string): SourceFile {
  const file = sources.find((candidate) => candidate.path === path)
  if (file === undefined) throw new Error(`no file src/${path}`)
  return file
}

export interface ErrorFacts {
  readonly code: string
  readonly name: string
  /** Absent if the error is not an answer to a request. */
  readonly status?: number
  readonly message: string
}

export function readErrors(): readonly ErrorFacts[] {
  const tokens = (Object.keys(TOKEN_ERRORS) as TokenErrorCode[]).map((code) => {
    const { status, message } = TOKEN_ERRORS[code]
    return { code, name: errorFor(code).name, status, message }
  })
  const services = (Object.keys(SERVICE_ERRORS) as ServiceErrorCode[]).map((code) => {
    const { name, message } =
      code === 'ERR_SERVICE_SCOPE' ? new ServiceScopeError('a', []) : new ServiceError(code, { endpoint: 'a' })
    return { code, name, message }
  })
  const others = [new OptionError('<path>', '<problem>'), new RevocationStoreError(), new RelayActiveError()]
  return [...tokens, ...others.map(({ code, name, message }) => ({ code, name, message })), ...services]
}

/** The withhold reasons, with their comments. */
export function readReasons(): ReadonlyMap<string, string> {
  const file = sourceOf('telemetry/events.ts')
  const alias = nodesOf(file.tree, 'TSTypeAliasDeclaration').find(
    (node) => nameOf(child(node, 'id')) === 'WithholdReason',
  )
  if (alias === undefined) throw new Error('no type WithholdReason')
  const types = children(child(alias, 'typeAnnotation'), 'types')
  return new Map(
    types.map((type) => {
      const start = file.text.lastIndexOf('|', Number(type['start']))
      return [nameOf(child(type, 'literal')), commentBefore({ start }, file.text)]
    }),
  )
}

const KINDS: Readonly<Record<string, string>> = {
  createBatchedHistogram: 'histogram, seconds',
  createCheapCounter: 'counter, observable',
  createCounter: 'counter',
  createGauge: 'gauge, seconds',
  createHistogram: 'histogram, seconds',
  createOccupancyCounter: 'up-down counter',
  createUpDownCounter: 'up-down counter',
}

/** The kinds of the metrics by their names. */
export function readMetrics(): ReadonlyMap<string, string> {
  const calls = sources.flatMap((file) => nodesOf(file.tree, 'CallExpression'))
  return new Map(
    calls.flatMap((call) => {
      const kind = KINDS[String(child(call, 'callee')['name'])]
      const [name] = children(call, 'arguments')
      return kind === undefined || name?.type !== 'Literal' ? [] : [[nameOf(name), kind] as const]
    }),
  )
}

export interface ExportFacts {
  /** With its parameters, if it is a function. */
  readonly name: string
  /** The first sentence of its TSDoc. */
  readonly text: string
}

/** What each entry of the package exports, types aside, by the paths of the imports. */
export function readExports(): ReadonlyMap<string, readonly ExportFacts[]> {
  const manifest = JSON.parse(readDocument('package.json')) as {
    readonly name: string
    readonly exports: Readonly<Record<string, string | { readonly default: string }>>
  }
  const entries = Object.entries(manifest.exports).flatMap(([path, entry]) => {
    if (typeof entry === 'string') return []
    const file = sourceOf(entry.default.replace('./dist/', '').replace(/\.js$/, '.ts'))
    // The first overload of a function stands for all.
    const facts = [
      ...new Map(
        exportsOf(file)
          .toReversed()
          .map((each) => [nameAlone(each), each]),
      ).values(),
    ].toReversed()
    return [[path.replace('.', manifest.name), facts] as const]
  })
  return new Map(entries.filter(([, facts]) => facts.length > 0))
}

function nameAlone({ name }: ExportFacts): string {
  return name.replace(/\(.*/, '')
}

function exportsOf(file: SourceFile): readonly ExportFacts[] {
  return nodesOf(file.tree, 'ExportNamedDeclaration')
    .filter((node) => node['exportKind'] !== 'type')
    .flatMap((node) => {
      if (isNode(node['declaration'])) return namesOf(node['declaration']).map((name) => factsOf(file, name, name))
      const from = isNode(node['source']) ? posix.join(posix.dirname(file.path), nameOf(node['source'])) : file.path
      return children(node, 'specifiers').map((specifier) =>
        factsOf(sourceOf(from), nameOf(child(specifier, 'local')), nameOf(child(specifier, 'exported'))),
      )
    })
}

/** The names that a statement declares as values. */
function namesOf(declaration: Node): readonly string[] {
  if (/^TS(?!DeclareFunction)/.test(declaration.type)) return []
  if (declaration.type !== 'VariableDeclaration') return [nameOf(child(declaration, 'id'))]
  return children(declaration, 'declarations').map((each) => nameOf(child(each, 'id')))
}

function factsOf(file: SourceFile, local: string, exported: string): ExportFacts {
  const statement = children(file.tree, 'body').find((each) => declarationsOf(each).includes(local))
  if (statement === undefined) return factsElsewhere(file, local, exported)
  const text = firstSentence(commentBefore(statement, file.text))
  if (text === '') throw new Error(`${local} of src/${file.path} has no TSDoc`)
  return { name: `${exported}${parametersOf(unwrapped(statement))}`, text }
}

function unwrapped(statement: Node): Node {
  return isNode(statement['declaration']) ? statement['declaration'] : statement
}

function declarationsOf(statement: Node): readonly string[] {
  const declaration = unwrapped(statement)
  const isNamed = isNode(declaration['id']) || declaration.type === 'VariableDeclaration'
  return isNamed && declaration.type !== 'ImportDeclaration' ? namesOf(declaration) : []
}

/** Of what `file` imports or exports again. */
function factsElsewhere(file: SourceFile, local: string, exported: string): ExportFacts {
  const nodes = ['ExportNamedDeclaration', 'ImportDeclaration'].flatMap((type) => nodesOf(file.tree, type))
  for (const node of nodes.filter((each) => isNode(each['source']))) {
    const specifier = children(node, 'specifiers').find((each) => localOf(each) === local)
    if (specifier === undefined) continue
    const from = posix.join(posix.dirname(file.path), nameOf(child(node, 'source')))
    const inner = specifier['imported'] ?? specifier['local']
    return factsOf(sourceOf(from), isNode(inner) ? nameOf(inner) : local, exported)
  }
  throw new Error(`src/${file.path} does not declare ${local}`)
}

function localOf(specifier: Node): string {
  return nameOf(child(specifier, specifier.type === 'ExportSpecifier' ? 'exported' : 'local'))
}

function parametersOf(declaration: Node): string {
  if (declaration.type !== 'FunctionDeclaration' && declaration.type !== 'TSDeclareFunction') return ''
  return `(${children(declaration, 'params').map(parameterOf).join(', ')})`
}

function parameterOf(parameter: Node): string {
  if (parameter.type === 'AssignmentPattern') return parameterOf(child(parameter, 'left'))
  if (parameter.type === 'RestElement') return `…${parameterOf(child(parameter, 'argument'))}`
  return parameter.type === 'Identifier' ? nameOf(parameter) : 'options'
}

function firstSentence(text: string): string {
  return /^.*?\.(?= [A-Z`@]|$)/.exec(text.replaceAll(/\{@link ([\w.]+)\}/g, '`$1`'))?.[0] ?? text
}

/** Whether a package is installed, so that its licence can be read. */
export function manifestOf(name: string): { readonly version: string; readonly license: string } | undefined {
  const file = `node_modules/${name}/package.json`
  return existsSync(file) ? JSON.parse(readDocument(file)) : undefined
}
