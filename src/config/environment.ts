/** Reads the options from `TOKEN_RELAY_*` variables or from the configuration file that one of them names. */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { OptionError } from '../base/option-checks.ts'
import { isObject, ownProperty } from '../base/own-property.ts'
import { packageUrl } from '../base/package-url.ts'
import { listOptionEntries } from './entries.ts'
import type { Variable } from './parts.ts'

/** An environment in the form of `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>

/** A mistake in a variable: names it, never shows its value. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError'

  constructor(variable: string, problem: string) {
    super(`${variable}: ${problem}`)
  }
}

const PREFIX = 'TOKEN_RELAY_'

/**
 * A JSON file, or a module whose default export or exports are the options. A variable above that is set replaces its
 * option of the file: of the first issuer, of the first sealing key, or the whole list of destinations. Default: none.
 */
const CONFIG_FILE = 'TOKEN_RELAY_CONFIG_FILE'

/**
 * `exit` ends the process if the configuration is wrong. `disable` starts the program without a relay then: requests
 * are not verified, no token is forwarded, and one line on standard error says so. Default `exit`.
 */
const ON_CONFIG_ERROR = 'TOKEN_RELAY_ON_CONFIG_ERROR'

/**
 * The options that a variable can set, by its name, lists before what is set in them. The environment can describe one
 * issuer and one sealing key; what it says of `destinations[]` is meant for each of them.
 */
const ENTRIES: ReadonlyMap<string, { readonly path: string; readonly variable: Variable }> = new Map(
  listOptionEntries().flatMap(({ path, variable }) =>
    variable === undefined
      ? []
      : [[variable.name, { path: path.replace(/^(issuers|sealing\.keys)\[\]/, '$1[0]'), variable }]],
  ),
)

/** The names of all variables. */
export const VARIABLE_NAMES: readonly string[] = [...ENTRIES.keys(), CONFIG_FILE, ON_CONFIG_ERROR]

/** Whether a wrong configuration leaves the program running without a relay instead of ending it. */
export function disablesOnConfigError(env: Environment): boolean {
  return env[ON_CONFIG_ERROR] === 'disable'
}

/** The unchecked options that `env` describes. Throws an {@link EnvironmentError}. */
export function optionsFromEnvironment(env: Environment): unknown {
  const present = Object.keys(env).filter(
    (name) => name.startsWith(PREFIX) && env[name] !== undefined && env[name] !== '',
  )
  const unknown = present.find((name) => !VARIABLE_NAMES.includes(name))
  if (unknown !== undefined) throw new EnvironmentError(unknown, 'is not a variable of otel-token-relay')
  if (!['', 'exit', 'disable'].includes(env[ON_CONFIG_ERROR] ?? '')) {
    throw new EnvironmentError(ON_CONFIG_ERROR, 'expected exit or disable')
  }
  const file = env[CONFIG_FILE]
  const options = file === undefined || file === '' ? { issuers: [{}] } : fromFile(file)
  return withVariables(options, env, new Set(present))
}

/** What is wrong with the configuration that `env` describes; `undefined` if `error` is about something else. */
export function describeConfigurationError(error: unknown, env: Environment): string | undefined {
  if (error instanceof EnvironmentError) return error.message
  return error instanceof OptionError ? `${sourceOf(error.path, env)}: ${error.problem}` : undefined
}

/** Where `env` sets the option at `path`, so that a message can name what the operator has written. */
export function sourceOf(path: string, env: Environment): string {
  const name = variableOf(path)
  if (!env[CONFIG_FILE]) return name ?? path
  return name !== undefined && env[name] ? name : `${CONFIG_FILE}: ${path}`
}

/** The variable that sets the option at `path`, or what it is a part of. */
export function variableOf(path: string): string | undefined {
  const named = path.replace(/^destinations\[\d+\]/, 'destinations[]')
  let found: { readonly name: string; readonly length: number } | undefined
  for (const [name, { path: own }] of ENTRIES) {
    const isPart = named === own || named.startsWith(`${own}[`) || named.startsWith(`${own}.`)
    if (isPart && own.length > (found?.length ?? 0)) found = { name, length: own.length }
  }
  return found?.name
}

/** `options` with what variables set in place of what was there. The given objects stay as they are. */
function withVariables(options: unknown, env: Environment, present: ReadonlySet<string>): unknown {
  let result = options
  for (const [name, { path, variable }] of ENTRIES) {
    if (present.has(name)) result = withValue(result, keysOf(path), readValue(env[name] ?? '', variable))
  }
  return result
}

/** Each item of a list. */
const EACH = Symbol('each')
type Key = string | number | typeof EACH

function keysOf(path: string): readonly Key[] {
  return path
    .replaceAll(/\[(\d*)\]/g, '.$1')
    .split('.')
    .map((key) => (key === '' ? EACH : /^\d+$/.test(key) ? Number(key) : key))
}

/** Where `owner` is not what the path says it must be, it stays: the check of the options names it. */
function withValue(owner: unknown, [key, ...rest]: readonly Key[], value: unknown): unknown {
  if (key === undefined) return value
  if (typeof key === 'string') {
    const object = owner ?? {}
    if (!isObject(object) || Array.isArray(object)) return owner
    return { ...object, [key]: withValue(ownProperty(object, key), rest, value) }
  }
  const list: unknown = owner ?? []
  if (!Array.isArray(list)) return owner
  if (key === EACH) return list.map((item: unknown) => withValue(item, rest, value))
  return Object.assign([...(list as unknown[])], { [key]: withValue(list[key], rest, value) })
}

function readValue(value: string, { name, holds }: Variable): unknown {
  switch (holds) {
    case 'text':
      return value
    case 'list':
      return readList(value, name)
    case 'list or null':
      return readListOrNull(value, name)
    case 'destinations':
      return readList(value, name).map((to) => ({ to }))
    case 'number':
      return readNumber(value)
    case 'boolean':
      return readBoolean(value, name)
  }
}

function readList(value: string, variable: string): readonly string[] {
  const items = value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
  if (items.length === 0) throw new EnvironmentError(variable, 'expected a list, separated by commas')
  return items
}

/** Refuses `null` in any other form: a service or type of that name is less likely than a mistake. */
function readListOrNull(value: string, variable: string): readonly string[] | null {
  const items = readList(value, variable)
  if (items.length === 1 && items[0] === 'null') return null
  if (!items.some((item) => item.toLowerCase() === 'null')) return items
  throw new EnvironmentError(variable, 'expected null alone, or a list, separated by commas')
}

/** What is no number stays a text, which the check of the options refuses with the range. */
function readNumber(value: string): number | string {
  const number = value.trim() === '' ? Number.NaN : Number(value)
  return Number.isFinite(number) ? number : value
}

function readBoolean(value: string, variable: string): boolean {
  if (value !== 'true' && value !== 'false') throw new EnvironmentError(variable, 'expected true or false')
  return value === 'true'
}

/**
 * Reads JSON, or a module whose default export (or exports) are the options. Errors do not repeat the content of the
 * file.
 */
function fromFile(file: string): unknown {
  const path = resolve(file)
  try {
    if (path.endsWith('.json')) return withoutSchema(JSON.parse(readFileSync(path, 'utf8')) as unknown)
    const loaded = createRequire(packageUrl)(path) as { readonly default?: unknown }
    return loaded.default ?? loaded
  } catch {
    throw new EnvironmentError(CONFIG_FILE, 'the file cannot be read as JSON, or as a module without top-level await')
  }
}

/** Without `$schema`, which names the JSON Schema of the file for editors and is not an option. */
function withoutSchema(options: unknown): unknown {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) return options
  const { $schema: _, ...rest } = options as Readonly<Record<string, unknown>>
  return rest
}
