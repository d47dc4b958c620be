/** Reads the options from `TOKEN_RELAY_*` variables or from the configuration file that one of them names. */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'

/** Environment in the form of `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>

/** A mistake in a variable: names it, never shows its value. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError'

  constructor(variable: string, problem: string) {
    super(`${variable}: ${problem}`)
  }
}

const PREFIX = 'TOKEN_RELAY_'
const CONFIG_FILE = `${PREFIX}CONFIG_FILE`
const ON_CONFIG_ERROR = `${PREFIX}ON_CONFIG_ERROR`

type Read = (value: string, variable: string) => unknown

const asText: Read = (value) => value
const asList: Read = (value, variable) => {
  const items = splitList(value)
  if (items.length === 0) throw new EnvironmentError(variable, 'expected a list, separated by commas')
  return items
}
const splitList = (value: string): string[] =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
const asDestinations: Read = (value, variable) => (asList(value, variable) as string[]).map((to) => ({ to }))
const asBoolean: Read = (value, variable) => {
  if (value !== 'true' && value !== 'false') throw new EnvironmentError(variable, 'expected true or false')
  return value === 'true'
}
const asNumber: Read = (value, variable) => {
  const number = value.trim() === '' ? Number.NaN : Number(value)
  if (!Number.isFinite(number)) throw new EnvironmentError(variable, 'expected a number')
  return number
}

/** One variable per option, named after its path. The environment can describe one issuer, and one sealing key. */
const VARIABLES: Readonly<Record<string, { readonly path: string; readonly read: Read }>> = {
  TOKEN_RELAY_ISSUER: { path: 'issuers[0].issuer', read: asText },
  TOKEN_RELAY_AUDIENCE: { path: 'issuers[0].audience', read: asList },
  TOKEN_RELAY_JWKS_URI: { path: 'issuers[0].jwksUri', read: asText },
  TOKEN_RELAY_ALGORITHMS: { path: 'issuers[0].algorithms', read: asList },
  TOKEN_RELAY_TYP: { path: 'issuers[0].typ', read: asText },
  TOKEN_RELAY_REQUIRED_CLAIMS: { path: 'issuers[0].requiredClaims', read: asList },
  TOKEN_RELAY_CLOCK_TOLERANCE_SECONDS: { path: 'issuers[0].clockToleranceSeconds', read: asNumber },
  TOKEN_RELAY_MAX_TOKEN_AGE_SECONDS: { path: 'issuers[0].maxTokenAgeSeconds', read: asNumber },
  TOKEN_RELAY_MAX_LIFETIME_SECONDS: { path: 'issuers[0].maxLifetimeSeconds', read: asNumber },
  TOKEN_RELAY_REQUIRED_SCOPES: { path: 'issuers[0].requiredScopes', read: asList },
  TOKEN_RELAY_SCOPE_CLAIMS: { path: 'issuers[0].scopeClaims', read: asList },
  TOKEN_RELAY_MAX_TOKEN_BYTES: { path: 'issuers[0].maxTokenBytes', read: asNumber },
  TOKEN_RELAY_KEY_SET_TIMEOUT_MILLIS: { path: 'issuers[0].keySet.timeoutMillis', read: asNumber },
  TOKEN_RELAY_KEY_SET_COOLDOWN_MILLIS: { path: 'issuers[0].keySet.cooldownMillis', read: asNumber },
  TOKEN_RELAY_KEY_SET_MAX_AGE_MILLIS: { path: 'issuers[0].keySet.maxAgeMillis', read: asNumber },
  TOKEN_RELAY_KEY_SET_STALE_MILLIS: { path: 'issuers[0].keySet.staleMillis', read: asNumber },
  TOKEN_RELAY_KEY_SET_MAX_BYTES: { path: 'issuers[0].keySet.maxBytes', read: asNumber },
  TOKEN_RELAY_INTROSPECTION_ENDPOINT: { path: 'issuers[0].introspection.endpoint', read: asText },
  TOKEN_RELAY_INTROSPECTION_CLIENT_ID: { path: 'issuers[0].introspection.clientId', read: asText },
  TOKEN_RELAY_INTROSPECTION_CLIENT_SECRET: { path: 'issuers[0].introspection.clientSecret', read: asText },
  TOKEN_RELAY_INTROSPECTION_CLIENT_AUTHENTICATION: {
    path: 'issuers[0].introspection.clientAuthentication',
    read: asText,
  },
  TOKEN_RELAY_INTROSPECTION_TIMEOUT_MILLIS: { path: 'issuers[0].introspection.timeoutMillis', read: asNumber },
  TOKEN_RELAY_INTROSPECTION_CACHE_MILLIS: { path: 'issuers[0].introspection.cacheMillis', read: asNumber },
  TOKEN_RELAY_EXCHANGE_TOKEN_ENDPOINT: { path: 'issuers[0].exchange.tokenEndpoint', read: asText },
  TOKEN_RELAY_EXCHANGE_CLIENT_ID: { path: 'issuers[0].exchange.clientId', read: asText },
  TOKEN_RELAY_EXCHANGE_CLIENT_AUTHENTICATION: { path: 'issuers[0].exchange.clientAuthentication', read: asText },
  TOKEN_RELAY_EXCHANGE_CLIENT_SECRET: { path: 'issuers[0].exchange.clientSecret', read: asText },
  TOKEN_RELAY_EXCHANGE_CLIENT_SECRET_FILE: { path: 'issuers[0].exchange.clientSecretFile', read: asText },
  TOKEN_RELAY_EXCHANGE_PRIVATE_KEY_FILE: { path: 'issuers[0].exchange.privateKeyFile', read: asText },
  TOKEN_RELAY_EXCHANGE_KEY_ID: { path: 'issuers[0].exchange.keyId', read: asText },
  TOKEN_RELAY_EXCHANGE_CERTIFICATE_FILE: { path: 'issuers[0].exchange.certificateFile', read: asText },
  TOKEN_RELAY_EXCHANGE_CERTIFICATE_KEY_FILE: { path: 'issuers[0].exchange.certificateKeyFile', read: asText },
  TOKEN_RELAY_EXCHANGE_CA_FILE: { path: 'issuers[0].exchange.caFile', read: asText },
  TOKEN_RELAY_EXCHANGE_GRANT: { path: 'issuers[0].exchange.grant', read: asText },
  TOKEN_RELAY_EXCHANGE_ACTOR: { path: 'issuers[0].exchange.actor', read: asBoolean },
  TOKEN_RELAY_EXCHANGE_SUBJECT_CLAIM: { path: 'issuers[0].exchange.subjectClaim', read: asText },
  TOKEN_RELAY_EXCHANGE_TIMEOUT_MILLIS: { path: 'issuers[0].exchange.timeoutMillis', read: asNumber },
  TOKEN_RELAY_EXCHANGE_RENEW_BEFORE_SECONDS: { path: 'issuers[0].exchange.renewBeforeSeconds', read: asNumber },
  TOKEN_RELAY_EXCHANGE_MAX_LIFETIME_SECONDS: { path: 'issuers[0].exchange.maxLifetimeSeconds', read: asNumber },
  TOKEN_RELAY_EXCHANGE_MAX_ENTRIES: { path: 'issuers[0].exchange.maxEntries', read: asNumber },
  TOKEN_RELAY_DESTINATIONS: { path: 'destinations', read: asDestinations },
  TOKEN_RELAY_INGRESS_MODE: { path: 'ingress.mode', read: asText },
  TOKEN_RELAY_INGRESS_PUBLIC_PATHS: { path: 'ingress.publicPaths', read: asList },
  TOKEN_RELAY_INGRESS_RESOURCE_METADATA: { path: 'ingress.resourceMetadata', read: asText },
  TOKEN_RELAY_INGRESS_PROTECTED_RESOURCE_RESOURCE: { path: 'ingress.protectedResource.resource', read: asText },
  TOKEN_RELAY_INGRESS_PROTECTED_RESOURCE_SCOPES_SUPPORTED: {
    path: 'ingress.protectedResource.scopesSupported',
    read: asList,
  },
  TOKEN_RELAY_INGRESS_ALLOW_PREFLIGHT: { path: 'ingress.allowPreflight', read: asBoolean },
  TOKEN_RELAY_EGRESS_MODE: { path: 'egress.mode', read: asText },
  TOKEN_RELAY_EGRESS_DETECTOR: { path: 'egress.detector', read: asText },
  TOKEN_RELAY_TELEMETRY_ACTORS: { path: 'telemetry.actors', read: asText },
  TOKEN_RELAY_SEALING_KID: { path: 'sealing.keys[0].kid', read: asText },
  TOKEN_RELAY_SEALING_SECRET_FILE: { path: 'sealing.keys[0].secretFile', read: asText },
  TOKEN_RELAY_SEALING_JWK_FILE: { path: 'sealing.keys[0].jwkFile', read: asText },
  TOKEN_RELAY_SEALING_PRODUCER: { path: 'sealing.producer', read: asText },
  TOKEN_RELAY_SEALING_MAX_AGE_SECONDS: { path: 'sealing.maxAgeSeconds', read: asNumber },
  TOKEN_RELAY_SEALING_PADDING_BYTES: { path: 'sealing.paddingBytes', read: asNumber },
  TOKEN_RELAY_SEALING_MAX_OPENINGS: { path: 'sealing.maxOpenings', read: asNumber },
  TOKEN_RELAY_AUDIT_FILE: { path: 'audit.file', read: asText },
  TOKEN_RELAY_AUDIT_KEY_FILE: { path: 'audit.keyFile', read: asText },
  TOKEN_RELAY_AUDIT_MAX_FILE_BYTES: { path: 'audit.maxFileBytes', read: asNumber },
  TOKEN_RELAY_AUDIT_ON_FAILURE: { path: 'audit.onFailure', read: asText },
  TOKEN_RELAY_AUDIT_SUBJECTS: { path: 'audit.subjects', read: asText },
  TOKEN_RELAY_CACHE_MAX_ENTRIES: { path: 'cache.maxEntries', read: asNumber },
  TOKEN_RELAY_FINGERPRINT_KEY: { path: 'fingerprintKey', read: asText },
}

/** The names of all variables, for the README's table. */
export const VARIABLE_NAMES: readonly string[] = [...Object.keys(VARIABLES), CONFIG_FILE, ON_CONFIG_ERROR]

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
  const described = present.filter((name) => name in VARIABLES)
  const file = env[CONFIG_FILE]
  if (file === undefined || file === '') return fromVariables(env, described)
  if (described[0] !== undefined)
    throw new EnvironmentError(described[0], `contradicts ${CONFIG_FILE}: use one of them`)
  return fromFile(file)
}

/** Where `env` sets the option at `path`, so that a message can name what the operator wrote. */
export function sourceOf(path: string, env: Environment): string {
  if (env[CONFIG_FILE]) return `${CONFIG_FILE}: ${path}`
  return variableOf(path) ?? path
}

export function variableOf(path: string): string | undefined {
  return Object.keys(VARIABLES).find((name) => {
    const own = VARIABLES[name]?.path ?? ''
    return path === own || path.startsWith(`${own}[`) || path.startsWith(`${own}.`)
  })
}

function fromVariables(env: Environment, names: readonly string[]): unknown {
  const options: Record<string, unknown> = { issuers: [{}] }
  for (const name of names) {
    const variable = VARIABLES[name]
    if (variable !== undefined) assign(options, variable.path, variable.read(env[name] ?? '', name))
  }
  return options
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

/** JSON, or a module whose default export (or whose exports) are the options. Errors do not repeat what is in the file. */
function fromFile(file: string): unknown {
  const path = resolve(file)
  try {
    if (path.endsWith('.json')) return JSON.parse(readFileSync(path, 'utf8')) as unknown
    const loaded = createRequire(import.meta.url)(path) as { readonly default?: unknown }
    return loaded.default ?? loaded
  } catch {
    throw new EnvironmentError(CONFIG_FILE, 'the file cannot be read as JSON, or as a module without top-level await')
  }
}
