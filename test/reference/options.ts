/** What the source says about each option: its interface with TSDoc, its schema, its variable. */

import { join } from 'node:path'
import { toJsonSchema } from '@valibot/to-json-schema'
import type { OptionEntry } from '../../src/config/entries.ts'
import { listOptionEntries } from '../../src/config/entries.ts'
import { optionsSchema } from '../../src/config/options.ts'
import type { SourceFile } from '../architecture/source.ts'
import { child, children, nameOf, nodesOf, readSources, SRC } from '../architecture/source.ts'

/** The part of JSON Schema that the schema of the options says. */
export interface JsonSchema {
  type?: string
  enum?: readonly string[]
  anyOf?: readonly JsonSchema[]
  items?: JsonSchema
  properties?: Record<string, JsonSchema>
  required?: string[]
  default?: unknown
  description?: string
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  minItems?: number
  [keyword: string]: unknown
}

/** An option as its interface declares it. */
export interface DeclaredOption {
  /** Such as `issuers[].keySet.timeoutMillis`. */
  readonly path: string
  /** The text of its type, without `readonly`. */
  readonly type: string
  readonly isRequired: boolean
  /** Its TSDoc as one paragraph; empty if there is none. */
  readonly text: string
  /** The TSDoc of the interface that its members are declared in; `undefined` if it is no group. */
  readonly groupText: string | undefined
}

/** An option with all that the source says about it. */
export interface DocumentedOption extends DeclaredOption {
  readonly entry: OptionEntry
  readonly json: JsonSchema
}

export interface Declarations {
  readonly interfaces: ReadonlyMap<string, { readonly file: SourceFile; readonly node: ReturnType<typeof child> }>
}

/** The interfaces that `files` declare, by their names. */
export function declarationsIn(files: readonly SourceFile[]): Declarations {
  const interfaces = files.flatMap((file) =>
    nodesOf(file.tree, 'TSInterfaceDeclaration').map((node) => [nameOf(child(node, 'id')), { file, node }] as const),
  )
  return { interfaces: new Map(interfaces) }
}

/** The options that the interface `name` declares, groups before their members. */
export function declaredOptions(declarations: Declarations, name: string, prefix = ''): readonly DeclaredOption[] {
  const declaration = declarations.interfaces.get(name)
  if (declaration === undefined) throw new Error(`no interface ${name}`)
  const { text } = declaration.file
  return children(child(declaration.node, 'body'), 'body').flatMap((property) => {
    const path = `${prefix}${nameOf(child(property, 'key'))}`
    const type = child(child(property, 'typeAnnotation'), 'typeAnnotation')
    const group = nodesOf(type, 'TSTypeReference')
      .map((reference) => nameOf(child(reference, 'typeName')))
      .find((reference) => reference.endsWith('Options') && declarations.interfaces.has(reference))
    const isList = nodesOf(type, 'TSArrayType').length > 0
    const option = {
      path,
      type: textOf(type, text).replaceAll('readonly ', ''),
      isRequired: property['optional'] !== true,
      text: commentBefore(property, text),
      groupText: group === undefined ? undefined : interfaceText(declarations, group),
    }
    if (group === undefined) return [option]
    return [option, ...declaredOptions(declarations, group, `${path}${isList ? '[]' : ''}.`)]
  })
}

function interfaceText({ interfaces }: Declarations, name: string): string {
  const declaration = interfaces.get(name)
  if (declaration === undefined) throw new Error(`no interface ${name}`)
  const { text } = declaration.file
  const start = text.lastIndexOf('export', Number(declaration.node['start']))
  return commentBefore({ ...declaration.node, start }, text)
}

function textOf(node: { readonly [member: string]: unknown }, text: string): string {
  return text.slice(Number(node['start']), Number(node['end']))
}

/** The TSDoc that stands directly before `node`, as one paragraph. */
export function commentBefore(node: { readonly [member: string]: unknown }, text: string): string {
  const before = text.slice(0, Number(node['start'])).trimEnd()
  if (!before.endsWith('*/')) return ''
  return before
    .slice(before.lastIndexOf('/**') + 3, -2)
    .split('\n')
    .map((line) => line.replace(/^\s*\*\s?/, '').trim())
    .filter((line) => line !== '')
    .join(' ')
    .replaceAll(/\{@link (\w+)\}/g, '`$1`')
}

/** The interface of all options, with those that its members refer to. */
export function readDeclaredOptions(): readonly DeclaredOption[] {
  const files = readSources(join(SRC, 'config'))
  return declaredOptions(declarationsIn(files), 'TokenRelayOptions')
}

/** Every option with its interface and its schema. A test holds that both have the same options. */
export function readOptions(): readonly DocumentedOption[] {
  const entries = new Map(listOptionEntries().map((entry) => [entry.path, entry]))
  const root = jsonSchemaOfOptions()
  return readDeclaredOptions().flatMap((option) => {
    const entry = entries.get(option.path)
    return entry === undefined ? [] : [{ ...option, entry, json: nodeAt(root, option.path) }]
  })
}

/** What the schema says, for what is written in a file. */
export function jsonSchemaOfOptions(): JsonSchema {
  const schema = toJsonSchema(optionsSchema, { typeMode: 'input', target: 'draft-2020-12', errorMode: 'ignore' })
  return JSON.parse(JSON.stringify(schema), (key, value: unknown) =>
    saysNothing(key, value) ? undefined : key === 'anyOf' && Array.isArray(value) ? value.filter(isSaid) : value,
  )
}

/** Of a union, a function says nothing in JSON. */
function isSaid(member: unknown): boolean {
  return Object.keys(member as object).length > 0
}

/** The variable of an option, bounds that say no more than `integer` does, and an empty list of required members. */
function saysNothing(key: string, value: unknown): boolean {
  if (key === 'minimum' || key === 'maximum') return Math.abs(Number(value)) === Number.MAX_SAFE_INTEGER
  return key === 'variable' || (key === 'required' && Array.isArray(value) && value.length === 0)
}

/** The schema of the option at `path`. */
export function nodeAt(root: JsonSchema, path: string): JsonSchema {
  let node: JsonSchema | undefined = root
  for (const key of path.split('.')) {
    const name = key.replace('[]', '')
    node = node?.properties?.[name]
    if (key.endsWith('[]')) node = node?.items
  }
  if (node === undefined) throw new Error(`the JSON Schema has no ${path}`)
  return node
}

/** Whether a configuration file of JSON can hold the option: functions, and objects with methods, it cannot. */
export function isJson({ json }: DocumentedOption): boolean {
  const isAnything = ({ type, anyOf, enum: values }: JsonSchema): boolean =>
    type === undefined && anyOf === undefined && values === undefined
  return !isAnything(json) && !(json.items !== undefined && isAnything(json.items))
}

/** The default that the TSDoc states, in its words; `isLiteral` if it is a value. `undefined` if it states none. */
export function statedDefault(text: string): { readonly words: string; readonly isLiteral: boolean } | undefined {
  const [, colon, words] = /(?:^|\. )Default(:?) ((?:(?!\. Default).)+)\.$/.exec(text) ?? []
  return words === undefined ? undefined : { words, isLiteral: colon === '' }
}

/** `text` without the statement of its default. */
export function withoutDefault(text: string): string {
  return text.replace(/ ?Default:? (?:(?!\. Default).)+\.$/, '')
}

/** A default of the schema in the words of a TSDoc; `undefined` for what only words can say. */
export function literalOf(value: unknown): string | undefined {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(literalOf).join(', ')
  if (typeof value === 'string') return `\`${value}\``
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

/** The numbers that an option may be, in the words of a TSDoc; `undefined` if every number will do. */
export function rangeOf({ minimum, maximum, exclusiveMinimum }: JsonSchema): string | undefined {
  if (minimum !== undefined && maximum !== undefined) return `${minimum} to ${maximum}`
  if (minimum !== undefined) return `at least ${minimum}`
  return exclusiveMinimum === undefined ? undefined : `more than ${exclusiveMinimum}`
}

const UNITS: Readonly<Record<string, string>> = { Millis: 'milliseconds', Seconds: 'seconds', Bytes: 'bytes' }

/** The unit in the name of an option. */
export function unitOf(path: string): string | undefined {
  return UNITS[/(Millis|Seconds|Bytes)$/.exec(path)?.[1] ?? '']
}
