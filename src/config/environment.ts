/** Reads the options from `TOKEN_RELAY_*` variables or from the configuration file that one of them names. */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
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
 * A JSON file, or a module whose default export or exports are the options. Contradicts all variables above. Default:
 * none.
 */
const CONFIG_FILE = 'TOKEN_RELAY_CONFIG_FILE'

/**
 * `exit` ends the process if the configuration is wrong. `disable` starts the program without a relay then: requests
 * are not verified, no token is forwarded, and one line on standard error says so. Default `exit`.
 */
const ON_CONFIG_ERROR = 'TOKEN_RELAY_ON_CONFIG_ERROR'

/** The options that a variable can set, by its name. The environment can describe one issuer, and one sealing key. */
const ENTRIES: ReadonlyMap<string, { readonly path: string; readonly variable: Variable }> = new Map(
  listOptionEntries().flatMap(({ path, variable }) =>
    variable === undefined ? [] : [[variable.name, { path: path.replaceAll('[]', '[0]'), variable }]],
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
  const described = present.filter((name) => ENTRIES.has(name))
  const file = env[CONFIG_FILE]
  if (file === undefined || file === '') return fromVariables(env, described)
  if (described[0] !== undefined) {
    throw new EnvironmentError(described[0], `contradicts ${CONFIG_FILE}: use one of them`)
  }
  return fromFile(file)
}

/** Where `env` sets the option at `path`, so that a message can name what the operator has written. */
export function sourceOf(path: string, env: Environment): string {
  if (env[CONFIG_FILE]) return `${CONFIG_FILE}: ${path}`
  return variableOf(path) ?? path
}

/** The variable that sets the option at `path`, or what it is a part of. */
export function variableOf(path: string): string | undefined {
  for (const [name, entry] of ENTRIES) {
    if (path === entry.path || path.startsWith(`${entry.path}[`) || path.startsWith(`${entry.path}.`)) return name
  }
  return undefined
}

function fromVariables(env: Environment, names: readonly string[]): unknown {
  const options: Record<string, unknown> = { issuers: [{}] }
  for (const name of names) {
    const entry = ENTRIES.get(name)
    if (entry !== undefined) assign(options, entry.path, readValue(env[name] ?? '', entry.variable))
  }
  return options
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
      return readNumber(value, name)
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

function readNumber(value: string, variable: string): number {
  const number = value.trim() === '' ? Number.NaN : Number(value)
  if (!Number.isFinite(number)) throw new EnvironmentError(variable, 'expected a number')
  return number
}

function readBoolean(value: string, variable: string): boolean {
  if (value !== 'true' && value !== 'false') throw new EnvironmentError(variable, 'expected true or false')
  return value === 'true'
}

function assign(options: Record<string, unknown>, path: string, value: unknown): void {
  const keys = path.replaceAll('[0]', '.0').split('.')
  const last = keys.pop() ?? ''
  let owner = options
  for (const [index, key] of keys.entries()) {
    owner[key] ??= (keys[index + 1] ?? last) === '0' ? [] : {}
    owner = owner[key] as Record<string, unknown>
  }
  owner[last] = value
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
