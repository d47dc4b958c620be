/** The options that `TOKEN_RELAY_*` variables, or the file that one of them names, describe. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OptionError } from '../../src/base/option-checks.ts'
import { listOptionEntries } from '../../src/config/entries.ts'
import type { Environment } from '../../src/config/environment.ts'
import {
  disablesOnConfigError,
  EnvironmentError,
  optionsFromEnvironment,
  sourceOf,
  VARIABLE_NAMES,
  variableOf,
} from '../../src/config/environment.ts'
import { parseOptions } from '../../src/config/options.ts'
import { readOptions } from '../reference/options.ts'
import { randomSecret } from '../support/sealing.ts'

const MARKER = 'm4rk3r'
const FILE_ERROR = 'TOKEN_RELAY_CONFIG_FILE: the file cannot be read as JSON, or as a module without top-level await'

const SECRET_FILE = join(mkdtempSync(join(tmpdir(), 'sealing-')), 'secret')
writeFileSync(SECRET_FILE, `${randomSecret()}\n`)
afterAll(() => rmSync(dirname(SECRET_FILE), { recursive: true }))

type Row = readonly [variable: string, path: string, text: string, value: unknown]
const TABLE: readonly Row[] = [
  ['TOKEN_RELAY_ISSUER', 'issuers[0].issuer', 'https://id.example', 'https://id.example'],
  ['TOKEN_RELAY_AUDIENCE', 'issuers[0].audience', 'a, b', ['a', 'b']],
  ['TOKEN_RELAY_JWKS_URI', 'issuers[0].jwksUri', 'https://id.example/jwks', 'https://id.example/jwks'],
  ['TOKEN_RELAY_ALLOW_CLEARTEXT', 'issuers[0].allowCleartext', 'true', true],
  ['TOKEN_RELAY_ALGORITHMS', 'issuers[0].algorithms', 'ES256,RS256', ['ES256', 'RS256']],
  ['TOKEN_RELAY_TYP', 'issuers[0].typ', 'at+jwt, JWT', ['at+jwt', 'JWT']],
  ['TOKEN_RELAY_REQUIRED_CLAIMS', 'issuers[0].requiredClaims', 'exp,sub', ['exp', 'sub']],
  ['TOKEN_RELAY_CLOCK_TOLERANCE_SECONDS', 'issuers[0].clockToleranceSeconds', '7', 7],
  ['TOKEN_RELAY_MAX_TOKEN_AGE_SECONDS', 'issuers[0].maxTokenAgeSeconds', '60', 60],
  ['TOKEN_RELAY_MAX_LIFETIME_SECONDS', 'issuers[0].maxLifetimeSeconds', '3600', 3_600],
  ['TOKEN_RELAY_REQUIRED_SCOPES', 'issuers[0].requiredScopes', 'a:b, c', ['a:b', 'c']],
  ['TOKEN_RELAY_SCOPE_CLAIMS', 'issuers[0].scopeClaims', 'scp', ['scp']],
  ['TOKEN_RELAY_ROLE_CLAIMS', 'issuers[0].roleClaims', 'roles,realm_access.roles', ['roles', 'realm_access.roles']],
  [
    'TOKEN_RELAY_INTROSPECTION_ENDPOINT',
    'issuers[0].introspection.endpoint',
    'https://id.example/introspect',
    'https://id.example/introspect',
  ],
  ['TOKEN_RELAY_INTROSPECTION_CLIENT_ID', 'issuers[0].introspection.clientId', 'a', 'a'],
  ['TOKEN_RELAY_INTROSPECTION_CLIENT_SECRET', 'issuers[0].introspection.clientSecret', 'b', 'b'],
  [
    'TOKEN_RELAY_INTROSPECTION_CLIENT_AUTHENTICATION',
    'issuers[0].introspection.clientAuthentication',
    'client_secret_post',
    'client_secret_post',
  ],
  ['TOKEN_RELAY_INTROSPECTION_TIMEOUT_MILLIS', 'issuers[0].introspection.timeoutMillis', '100', 100],
  ['TOKEN_RELAY_INTROSPECTION_CACHE_MILLIS', 'issuers[0].introspection.cacheMillis', '0', 0],
  [
    'TOKEN_RELAY_INGRESS_RESOURCE_METADATA',
    'ingress.resourceMetadata',
    'https://a.example/metadata',
    'https://a.example/metadata',
  ],
  ['TOKEN_RELAY_SEALING_KID', 'sealing.keys[0].kid', 'orders-1', 'orders-1'],
  ['TOKEN_RELAY_SEALING_SECRET_FILE', 'sealing.keys[0].secretFile', SECRET_FILE, SECRET_FILE],
  ['TOKEN_RELAY_SEALING_JWK_FILE', 'sealing.keys[0].jwkFile', 'key.json', 'key.json'],
  ['TOKEN_RELAY_SEALING_PRODUCER', 'sealing.producer', 'a', 'a'],
  ['TOKEN_RELAY_SEALING_MAX_AGE_SECONDS', 'sealing.maxAgeSeconds', '60', 60],
  ['TOKEN_RELAY_SEALING_PADDING_BYTES', 'sealing.paddingBytes', '1', 1],
  ['TOKEN_RELAY_SEALING_MAX_OPENINGS', 'sealing.maxOpenings', '3', 3],
  ['TOKEN_RELAY_CACHE_MAX_ENTRIES', 'cache.maxEntries', '100', 100],
  ['TOKEN_RELAY_MAX_TOKEN_BYTES', 'issuers[0].maxTokenBytes', '4096', 4_096],
  ['TOKEN_RELAY_KEY_SET_TIMEOUT_MILLIS', 'issuers[0].keySet.timeoutMillis', '1000', 1_000],
  ['TOKEN_RELAY_KEY_SET_COOLDOWN_MILLIS', 'issuers[0].keySet.cooldownMillis', '0', 0],
  ['TOKEN_RELAY_KEY_SET_MAX_AGE_MILLIS', 'issuers[0].keySet.maxAgeMillis', '2000', 2_000],
  ['TOKEN_RELAY_KEY_SET_STALE_MILLIS', 'issuers[0].keySet.staleMillis', '0', 0],
  ['TOKEN_RELAY_KEY_SET_MAX_BYTES', 'issuers[0].keySet.maxBytes', '1e6', 1_000_000],
  [
    'TOKEN_RELAY_DESTINATIONS',
    'destinations',
    'https://a.example, kafka:orders',
    [{ to: 'https://a.example' }, { to: 'kafka:orders' }],
  ],
  ['TOKEN_RELAY_DESTINATIONS_ALLOW_CLEARTEXT', 'destinations[0].allowCleartext', 'true', true],
  ['TOKEN_RELAY_INGRESS_MODE', 'ingress.mode', 'optional', 'optional'],
  ['TOKEN_RELAY_INGRESS_FOREIGN_TOKENS', 'ingress.foreignTokens', 'ignore', 'ignore'],
  ['TOKEN_RELAY_INGRESS_HEADER', 'ingress.header', 'x-goog-iap-jwt-assertion', 'x-goog-iap-jwt-assertion'],
  ['TOKEN_RELAY_INGRESS_READY_PATH', 'ingress.readyPath', '/ready', '/ready'],
  ['TOKEN_RELAY_INGRESS_CORS_ORIGINS', 'ingress.cors.origins', 'https://a.example', ['https://a.example']],
  ['TOKEN_RELAY_INGRESS_CORS_ALLOW_CREDENTIALS', 'ingress.cors.allowCredentials', 'true', true],
  ['TOKEN_RELAY_INGRESS_ALLOW_PREFLIGHT', 'ingress.allowPreflight', 'true', true],
  [
    'TOKEN_RELAY_INGRESS_PROTECTED_RESOURCE_RESOURCE',
    'ingress.protectedResource.resource',
    'https://a.example/',
    'https://a.example/',
  ],
  [
    'TOKEN_RELAY_INGRESS_PROTECTED_RESOURCE_SCOPES_SUPPORTED',
    'ingress.protectedResource.scopesSupported',
    'a:b, c',
    ['a:b', 'c'],
  ],
  [
    'TOKEN_RELAY_EXCHANGE_TOKEN_ENDPOINT',
    'issuers[0].exchange.tokenEndpoint',
    'https://id.example/token',
    'https://id.example/token',
  ],
  ['TOKEN_RELAY_EXCHANGE_CLIENT_ID', 'issuers[0].exchange.clientId', 'a', 'a'],
  [
    'TOKEN_RELAY_EXCHANGE_CLIENT_AUTHENTICATION',
    'issuers[0].exchange.clientAuthentication',
    'client_secret_post',
    'client_secret_post',
  ],
  ['TOKEN_RELAY_EXCHANGE_CLIENT_SECRET', 'issuers[0].exchange.clientSecret', 'b', 'b'],
  ['TOKEN_RELAY_EXCHANGE_CLIENT_SECRET_FILE', 'issuers[0].exchange.clientSecretFile', '/run/a', '/run/a'],
  ['TOKEN_RELAY_EXCHANGE_PRIVATE_KEY_FILE', 'issuers[0].exchange.privateKeyFile', '/run/b', '/run/b'],
  ['TOKEN_RELAY_EXCHANGE_KEY_ID', 'issuers[0].exchange.keyId', 'c', 'c'],
  ['TOKEN_RELAY_EXCHANGE_CERTIFICATE_FILE', 'issuers[0].exchange.certificateFile', '/run/c', '/run/c'],
  ['TOKEN_RELAY_EXCHANGE_CERTIFICATE_KEY_FILE', 'issuers[0].exchange.certificateKeyFile', '/run/d', '/run/d'],
  ['TOKEN_RELAY_EXCHANGE_CA_FILE', 'issuers[0].exchange.caFile', '/run/e', '/run/e'],
  ['TOKEN_RELAY_EXCHANGE_GRANT', 'issuers[0].exchange.grant', 'token_exchange', 'token_exchange'],
  ['TOKEN_RELAY_EXCHANGE_ACTOR', 'issuers[0].exchange.actor', 'true', true],
  ['TOKEN_RELAY_EXCHANGE_SUBJECT_CLAIM', 'issuers[0].exchange.subjectClaim', 'oid', 'oid'],
  ['TOKEN_RELAY_EXCHANGE_TIMEOUT_MILLIS', 'issuers[0].exchange.timeoutMillis', '100', 100],
  ['TOKEN_RELAY_EXCHANGE_RENEW_BEFORE_SECONDS', 'issuers[0].exchange.renewBeforeSeconds', '7', 7],
  ['TOKEN_RELAY_EXCHANGE_MAX_LIFETIME_SECONDS', 'issuers[0].exchange.maxLifetimeSeconds', '600', 600],
  ['TOKEN_RELAY_EXCHANGE_MAX_ENTRIES', 'issuers[0].exchange.maxEntries', '9', 9],
  ['TOKEN_RELAY_TELEMETRY_ACTORS', 'telemetry.actors', 'plain', 'plain'],
  ['TOKEN_RELAY_LOG', 'telemetry.log', 'decisions', 'decisions'],
  ['TOKEN_RELAY_TELEMETRY_PSEUDONYM_KEY', 'telemetry.pseudonymKey', 'sixteen-letters!', 'sixteen-letters!'],
  ['TOKEN_RELAY_LOG_FORMAT', 'telemetry.logFormat', 'json', 'json'],
  ['TOKEN_RELAY_AUDIT_FILE', 'audit.file', 'audit.jsonl', 'audit.jsonl'],
  ['TOKEN_RELAY_AUDIT_KEY_FILE', 'audit.keyFile', '/run/secrets/audit', '/run/secrets/audit'],
  ['TOKEN_RELAY_AUDIT_MAX_FILE_BYTES', 'audit.maxFileBytes', '4096', 4096],
  ['TOKEN_RELAY_AUDIT_ON_FAILURE', 'audit.onFailure', 'continue', 'continue'],
  ['TOKEN_RELAY_AUDIT_SUBJECTS', 'audit.subjects', 'omit', 'omit'],
  ['TOKEN_RELAY_EGRESS_MODE', 'egress.mode', 'report', 'report'],
  ['TOKEN_RELAY_EGRESS_DETECTOR', 'egress.detector', 'warn', 'warn'],
  ['TOKEN_RELAY_INGRESS_PUBLIC_PATHS', 'ingress.publicPaths', '/health,/public/*', ['/health', '/public/*']],
  ['TOKEN_RELAY_FINGERPRINT_KEY', 'fingerprintKey', 'k'.repeat(16), 'k'.repeat(16)],
]
/** Files are looked at with the options, and here there are none. */
const isFile = ([variable]: Row): boolean => variable.endsWith('_FILE')
const GOOD: Environment = { TOKEN_RELAY_ISSUER: 'https://id.example', TOKEN_RELAY_AUDIENCE: 'a' }
const ALL: Environment = {
  ...Object.fromEntries(TABLE.filter((row) => !isFile(row)).map(([variable, , text]) => [variable, text])),
  TOKEN_RELAY_SEALING_SECRET_FILE: SECRET_FILE,
  TOKEN_RELAY_AUDIT_FILE: 'audit.jsonl',
}

function at(options: unknown, path: string): unknown {
  return path
    .replaceAll('[0]', '.0')
    .split('.')
    .reduce<unknown>((owner, key) => (owner as Record<string, unknown> | undefined)?.[key], options)
}

function put(options: unknown, path: string, value: unknown): void {
  const keys = path.replaceAll(/\[(\d)\]/g, '.$1').split('.')
  const last = keys.pop() ?? ''
  let owner = options as Record<string, unknown>
  for (const [index, key] of keys.entries()) {
    owner[key] ??= (keys[index + 1] ?? last) === '0' ? [] : {}
    owner = owner[key] as Record<string, unknown>
  }
  owner[last] = value
}

/** What is set for each destination needs one. */
function withOwner(variable: string, text: string): Environment {
  const isPart = variable.startsWith('TOKEN_RELAY_DESTINATIONS_')
  return { [variable]: text, ...(isPart ? { TOKEN_RELAY_DESTINATIONS: 'http://a.example' } : {}) }
}

/** What is wrong with the options that `env` describes. */
function mistake(env: Environment): string {
  try {
    parseOptions(optionsFromEnvironment(env))
  } catch (error) {
    if (error instanceof OptionError) return error.problem
    throw error
  }
  throw new Error('was accepted')
}

function problem(env: Environment): string {
  try {
    optionsFromEnvironment(env)
  } catch (error) {
    expect(error).toBeInstanceOf(EnvironmentError)
    expect('cause' in (error as object)).toBe(false)
    return (error as Error).message
  }
  throw new Error('was accepted')
}

describe('variables', () => {
  it('are exactly the ones that this test lists, and two about the configuration itself', () => {
    const names = TABLE.map(([variable]) => variable)
    expect(VARIABLE_NAMES.toSorted()).toEqual(
      [...names, 'TOKEN_RELAY_CONFIG_FILE', 'TOKEN_RELAY_ON_CONFIG_ERROR'].toSorted(),
    )
  })

  it.each(TABLE)('%s sets %s', (variable, path, text, value) => {
    expect(at(optionsFromEnvironment(withOwner(variable, text)), path)).toEqual(value)
  })

  it.each(TABLE.filter(([, path]) => !path.startsWith('destinations[')))('%s sets only %s', (variable, path, text) => {
    const options = optionsFromEnvironment({ [variable]: text })
    for (const [, other] of TABLE) if (other !== path) expect(at(options, other)).toBeUndefined()
  })

  it.each(TABLE)('%s is named by the error about a mistake in %s', (variable, path) => {
    expect(variableOf(path)).toBe(variable)
    expect(variableOf(`${path}[1]`)).toBe(variable)
    expect(variableOf(`${path}[1].to`)).toBe(variable)
  })

  it('describe good options all together', () => {
    const settings = parseOptions(optionsFromEnvironment(ALL))
    expect(settings.issuers).toMatchObject([
      { issuer: 'https://id.example', audience: ['a', 'b'], typ: ['at+jwt', 'JWT'], keySet: { maxBytes: 1_000_000 } },
    ])
    expect(settings.rules.map(({ to }) => to)).toEqual(['https://a.example', 'kafka:orders'])
    expect(settings.ingress).toEqual({
      mode: 'optional',
      foreignTokens: 'ignore',
      header: 'x-goog-iap-jwt-assertion',
      publicPaths: ['/health', '/public/*'],
      resourceMetadata: 'https://a.example/metadata',
      protectedResource: { resource: 'https://a.example/', scopesSupported: ['a:b', 'c'] },
      allowPreflight: true,
      readyPath: '/ready',
      cors: { origins: ['https://a.example'], allowCredentials: true },
    })
    expect(settings.egress).toEqual({ mode: 'report', detector: 'warn' })
    expect(settings.sealing).toMatchObject({ keys: [{ kid: 'orders-1', alg: 'A256KW' }], maxAgeSeconds: 60 })
    expect(settings.audit).toMatchObject({ file: 'audit.jsonl', onFailure: 'continue', maxFileBytes: 4_096 })
    expect(settings.telemetry).toEqual({
      actors: 'plain',
      log: 'decisions',
      logFormat: 'json',
      pseudonymKey: 'sixteen-letters!',
    })
    expect(settings.exchanges.get('https://id.example')).toMatchObject({
      clientId: 'a',
      clientSecret: 'b',
      subjectClaim: 'oid',
      renewBeforeMillis: 7_000,
    })
  })

  it('set every option but those that no text can hold, secrets that belong into a file, and the rules of a destination', () => {
    const others = listOptionEntries().filter(({ variable, isGroup }) => variable === undefined && !isGroup)
    const paths = others.map(({ path }) => path).filter((path) => !path.startsWith('destinations[].'))
    expect(paths.toSorted()).toEqual([
      'audit.key',
      'audit.logger',
      'issuers[].claimRules',
      'issuers[].exchange.sharedCache',
      'issuers[].jwks',
      'resolveIssuer',
      'revocation.list',
      'revocation.onUnavailable',
      'sealing.keys[].jwk',
      'sealing.keys[].secret',
      'sealing.replayWindow',
    ])
  })

  it('are not read from names without the prefix', () => {
    expect(optionsFromEnvironment({ ...ALL, PATH: '/bin', OTEL_SDK_DISABLED: 'true', token_relay_x: '1' })).toEqual(
      optionsFromEnvironment(ALL),
    )
  })

  it('count as not set if they are empty', () => {
    const empty = Object.fromEntries(VARIABLE_NAMES.map((name) => [name, '']))
    expect(optionsFromEnvironment(empty)).toEqual(optionsFromEnvironment({}))
  })

  it.each([
    ['a,b', ['a', 'b']],
    [' a , b ', ['a', 'b']],
    ['a,,b,', ['a', 'b']],
    ['a b', ['a b']],
  ])('a list is parted at commas: %j', (text, expected) => {
    expect(at(optionsFromEnvironment({ TOKEN_RELAY_AUDIENCE: text }), 'issuers[0].audience')).toEqual(expected)
  })

  it.each([',', ' , ', ' '])('that hold a list without items are refused, not read as an empty list: %j', (text) => {
    expect(() => optionsFromEnvironment({ TOKEN_RELAY_REQUIRED_CLAIMS: text })).toThrow(
      'TOKEN_RELAY_REQUIRED_CLAIMS: expected a list, separated by commas',
    )
  })

  it.each([
    ['TOKEN_RELAY_TYP', 'issuers[0].typ'],
    ['TOKEN_RELAY_AUDIENCE', 'issuers[0].audience'],
  ])('%s understands the one word null', (variable, path) => {
    for (const text of ['null', ' null ']) expect(at(optionsFromEnvironment({ [variable]: text }), path)).toBe(null)
    for (const text of ['NULL', 'null,a', 'a, Null']) {
      expect(problem({ [variable]: text })).toBe(`${variable}: expected null alone, or a list, separated by commas`)
    }
  })

  it('a type that no token can have is refused at start, with those that are possible', () => {
    for (const text of ['any', 'at-jwt', 'at+jwt,none']) {
      const env = { ...ALL, TOKEN_RELAY_TYP: text }
      expect(() => parseOptions(optionsFromEnvironment(env))).toThrow(/expected at\+jwt, JWT, another type .* or null/)
    }
  })

  it.each([
    MARKER,
    ' ',
    '0x',
    '1,5',
    '10s',
    'NaN',
    'Infinity',
    '-Infinity',
    '1e999',
  ])('a number is a number: %j is refused with the range', (text) => {
    expect(mistake({ ...GOOD, TOKEN_RELAY_MAX_TOKEN_BYTES: text })).toBe('expected 256 to 65536 bytes')
  })

  it('for clear text are for the issuer, and for every destination', () => {
    const env = {
      ...GOOD,
      TOKEN_RELAY_ISSUER: 'http://keycloak:8080',
      TOKEN_RELAY_DESTINATIONS: 'http://a.example, grpc://b.example:50051, https://c.example',
    }
    expect(mistake(env)).toMatch(/^discovery needs an issuer that is an https URL/)
    expect(mistake({ ...env, TOKEN_RELAY_ALLOW_CLEARTEXT: 'true' })).toMatch(/^clear text is accepted only/)
    const both = { TOKEN_RELAY_ALLOW_CLEARTEXT: 'true', TOKEN_RELAY_DESTINATIONS_ALLOW_CLEARTEXT: 'true' }
    const { issuers, rules } = parseOptions(optionsFromEnvironment({ ...env, ...both }))
    expect(issuers[0]?.issuer).toBe('http://keycloak:8080')
    expect(rules.map(({ to }) => to)).toEqual(['http://a.example', 'grpc://b.example:50051', 'https://c.example'])
    expect(mistake({ ...env, ...both, TOKEN_RELAY_DESTINATIONS_ALLOW_CLEARTEXT: 'false' })).toMatch(/^clear text/)
  })

  const withValues = readOptions().flatMap(({ entry, json }) => {
    const values = json.enum ?? json.items?.enum
    return entry.variable === undefined || values === undefined ? [] : [[entry.variable.name, values] as const]
  })
  it.each(withValues)('%s refuses a value that it does not have, and names those that it has', (name, values) => {
    const context = name.startsWith('TOKEN_RELAY_AUDIT') ? { TOKEN_RELAY_AUDIT_FILE: 'audit.jsonl' } : {}
    for (const value of [MARKER, (values[0] ?? '').toUpperCase() + MARKER, `${values[0]} `.repeat(2)]) {
      const problem = mistake({ ...ALL, ...context, [name]: value })
      for (const possible of values) expect(problem).toContain(possible)
      expect(problem).not.toContain(MARKER)
    }
  })

  it('that hold true or false refuse anything else', () => {
    const booleans = listOptionEntries().flatMap(({ variable }) =>
      variable?.holds === 'boolean' ? [variable.name] : [],
    )
    expect(booleans.length).toBeGreaterThan(3)
    for (const name of booleans) {
      for (const text of ['TRUE', '1', 'yes', 'on', ' true']) {
        expect(problem({ [name]: text })).toBe(`${name}: expected true or false`)
      }
    }
  })
})

describe('refuses a variable that it does not know', () => {
  it.each([
    'TOKEN_RELAY_X',
    'TOKEN_RELAY_ISSUERS',
    'TOKEN_RELAY_',
    'TOKEN_RELAY_issuer',
    'TOKEN_RELAY_constructor',
  ])('%s', (name) => {
    expect(problem({ ...ALL, [name]: MARKER })).toBe(`${name}: is not a variable of otel-token-relay`)
  })
})

describe('TOKEN_RELAY_ON_CONFIG_ERROR', () => {
  it.each([
    [undefined, false],
    ['', false],
    ['exit', false],
    ['disable', true],
  ])('%s', (value, disables) => {
    const env = { ...ALL, TOKEN_RELAY_ON_CONFIG_ERROR: value }
    expect(disablesOnConfigError(env)).toBe(disables)
    expect(optionsFromEnvironment(env)).toEqual(optionsFromEnvironment(ALL))
  })

  it.each(['DISABLE', 'true', 'disabled', ' disable', MARKER])('refuses %s, which disables nothing', (value) => {
    const env = { ...ALL, TOKEN_RELAY_ON_CONFIG_ERROR: value }
    expect(problem(env)).toBe('TOKEN_RELAY_ON_CONFIG_ERROR: expected exit or disable')
    expect(disablesOnConfigError(env)).toBe(false)
  })
})

describe('TOKEN_RELAY_CONFIG_FILE', () => {
  const OPTIONS = { issuers: [{ issuer: 'https://id.example', audience: null }], destinations: [] }
  const TEXT = JSON.stringify(OPTIONS)
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'otel-token-relay-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  function write(name: string, text: string): Environment {
    const file = join(folder, name)
    writeFileSync(file, text)
    return { TOKEN_RELAY_CONFIG_FILE: file }
  }

  it.each([
    ['options.json', TEXT],
    ['options.cjs', `module.exports = ${TEXT}`],
    ['default.cjs', `exports.default = ${TEXT}`],
    ['exports.cjs', `exports.issuers = ${JSON.stringify(OPTIONS.issuers)}; exports.destinations = []`],
    ['options.mjs', `export default ${TEXT}`],
    ['names.mjs', `export const issuers = ${JSON.stringify(OPTIONS.issuers)}; export const destinations = []`],
    ['computed.mjs', `import { env } from 'node:process'\nexport default env ? ${TEXT} : {}`],
  ])('%s', (name, text) => {
    const settings = parseOptions(optionsFromEnvironment(write(name, text)))
    expect(settings).toEqual(parseOptions(OPTIONS))
  })

  it('is resolved from the working directory', () => {
    const { TOKEN_RELAY_CONFIG_FILE: file = '' } = write('relative.json', TEXT)
    expect(optionsFromEnvironment({ TOKEN_RELAY_CONFIG_FILE: relative(process.cwd(), file) })).toEqual(OPTIONS)
  })

  it.each([
    ['broken.json', `{"issuers": ${MARKER}`],
    ['comment.json', `// ${MARKER}\n${TEXT}`],
    ['empty.json', ''],
    ['broken.cjs', `module.exports = { ${MARKER}`],
    ['throws.cjs', `throw new Error('${MARKER}')`],
    ['broken.mjs', `export default { ${MARKER}`],
    ['throws.mjs', `throw new Error('${MARKER}')`],
    ['imports.mjs', `import '${MARKER}'`],
    ['await.mjs', `await null; export default ${TEXT}`],
    ['null.cjs', 'module.exports = null'],
    ['undefined.cjs', 'module.exports = undefined'],
  ])('%s cannot be read, and nothing of it is repeated', (name, text) => {
    expect(problem(write(name, text))).toBe(FILE_ERROR)
  })

  it.each(
    ['missing.json', 'missing.cjs', '.', ''].map((name) => `/m4rk3r/${name}`),
  )('is refused if %s does not exist', (file) => {
    expect(problem({ TOKEN_RELAY_CONFIG_FILE: file })).toBe(FILE_ERROR)
  })

  const BASE = {
    issuers: [
      { issuer: 'https://id.example', audience: 'base', requiredScopes: ['a'], keySet: { timeoutMillis: 7 } },
      { issuer: 'https://other.example', audience: 'base' },
    ],
    destinations: [{ to: 'https://a.example', detached: 'allow' }, { to: 'http://b.example' }],
    ingress: { publicPaths: ['/health'] },
    sealing: { maxOpenings: 2 },
  }

  it.each(TABLE)('is overlaid by %s, which sets %s and nothing else', (variable, path, text, value) => {
    const env = { ...write('base.json', JSON.stringify(BASE)), [variable]: text }
    const expected = structuredClone(BASE)
    const isEach = path.startsWith('destinations[0]')
    const paths = isEach ? [path, path.replace('[0]', '[1]')] : [path]
    for (const each of paths) put(expected, each, value)
    expect(optionsFromEnvironment(env)).toEqual(expected)
    expect(sourceOf(path, env)).toBe(variable)
    expect(sourceOf('issuers[1].audience', env)).toBe('TOKEN_RELAY_CONFIG_FILE: issuers[1].audience')
  })

  it('keeps what it was given: functions, objects with methods, and the file itself', () => {
    const env = write(
      'methods.cjs',
      `exports.issuers = [{ issuer: 'https://id.example', audience: 'a', claimRules: [() => true] }]
      exports.revocation = { list: new (class { revoke() {} find() {} })() }`,
    )
    const plain = optionsFromEnvironment(env) as Record<string, Record<string, unknown>>
    const overlaid = optionsFromEnvironment({ ...env, TOKEN_RELAY_AUDIENCE: 'b' }) as typeof plain
    expect(at(overlaid, 'issuers[0].audience')).toEqual(['b'])
    expect(at(plain, 'issuers[0].audience')).toBe('a')
    expect(overlaid['revocation']?.['list']).toBe(plain['revocation']?.['list'])
    expect(at(overlaid, 'issuers[0].claimRules')).toBe(at(plain, 'issuers[0].claimRules'))
  })

  it.each([
    ['issuers', 'TOKEN_RELAY_AUDIENCE', 'a'],
    ['ingress', 'TOKEN_RELAY_INGRESS_MODE', 'off'],
    ['destinations', 'TOKEN_RELAY_DESTINATIONS_ALLOW_CLEARTEXT', 'true'],
  ])('that has something else for %s is refused in spite of %s', (name, variable, text) => {
    for (const wrong of [MARKER, 7, [[]], { 0: {} }]) {
      const env = { ...write('odd.json', JSON.stringify({ ...BASE, [name]: wrong })), [variable]: text }
      expect(() => parseOptions(optionsFromEnvironment(env))).toThrow(OptionError)
    }
  })

  it('is not overlaid through a polluted prototype', () => {
    const env = { ...write('own.json', JSON.stringify(OPTIONS)), TOKEN_RELAY_INGRESS_MODE: 'off' }
    Object.assign(Object.prototype, { ingress: { publicPaths: ['/m4rk3r'] } })
    try {
      expect(at(optionsFromEnvironment(env), 'ingress.publicPaths')).toBeUndefined()
    } finally {
      Reflect.deleteProperty(Object.prototype, 'ingress')
    }
  })

  it('is accepted beside TOKEN_RELAY_ON_CONFIG_ERROR and empty variables', () => {
    const env = { ...write('options.json', TEXT), TOKEN_RELAY_ON_CONFIG_ERROR: 'disable', TOKEN_RELAY_ISSUER: '' }
    expect(optionsFromEnvironment(env)).toEqual(OPTIONS)
  })

  it('does not make an unknown variable acceptable', () => {
    expect(problem({ ...write('options.json', TEXT), TOKEN_RELAY_X: MARKER })).toBe(
      'TOKEN_RELAY_X: is not a variable of otel-token-relay',
    )
  })
})
