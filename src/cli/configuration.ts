/** Reads the configuration that `register` would read, and says what is wrong with it. */

import process from 'node:process'
import type { Environment } from '../config/environment.ts'
import { describeConfigurationError, optionsFromEnvironment } from '../config/environment.ts'
import type { Settings } from '../config/options.ts'
import { parseOptions } from '../config/options.ts'
import { UsageError } from './report.ts'

export interface Configuration {
  /** The environment that a program with this configuration needs. */
  readonly env: Environment
  /** Where it comes from, in words. */
  readonly source: string
  /** `undefined` if there is none, or it is wrong. */
  readonly settings: Settings | undefined
  /** What is wrong with it; never a value. */
  readonly problem: string | undefined
}

const CONFIG_FILE = 'TOKEN_RELAY_CONFIG_FILE'

/** Whether nothing describes a relay. */
export function isAbsent({ settings, problem }: Configuration): boolean {
  return settings === undefined && problem === undefined
}

export function readConfiguration(file: string | undefined): Configuration {
  const env = file === undefined ? process.env : { ...process.env, [CONFIG_FILE]: file }
  const names = Object.keys(env).filter((name) => name.startsWith('TOKEN_RELAY_') && env[name])
  const source = env[CONFIG_FILE]
    ? `the file of ${file === undefined ? CONFIG_FILE : '--config'}`
    : 'TOKEN_RELAY_* variables'
  if (names.length === 0) return { env, source: 'nothing', settings: undefined, problem: undefined }
  try {
    return { env, source, settings: parseOptions(optionsFromEnvironment(env)), problem: undefined }
  } catch (error) {
    return { env, source, settings: undefined, problem: describeConfigurationError(error, env) }
  }
}

/** The settings, for commands that can do nothing without them. Throws a {@link UsageError}. */
export function requireSettings(file: string | undefined): Settings {
  const { settings, problem } = readConfiguration(file)
  if (settings !== undefined) return settings
  throw new UsageError(problem ?? 'there is no configuration: set TOKEN_RELAY_* variables, or give --config')
}
