/** The packed artifact: what is in it, what it exports, and how it is loaded. */

import type { SpawnSyncReturns } from 'node:child_process'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Node } from '../architecture/source.ts'
import { children, importsOf, nameOf, nodesOf, readSources, sourceFile, walk } from '../architecture/source.ts'
import { readDocument } from '../docs/markdown.ts'
import { createScratch, PACKED, quietEnvironment } from './scratch.ts'

const VALUES = [
  'ExchangeError',
  'InsufficientRoleError',
  'InsufficientScopeError',
  'RelayActiveError',
  'SealError',
  'TokenError',
  'TokenRejectedError',
  'UndecidedError',
  'bind',
  'bindEmitter',
  'createTokenRelay',
  'deleteCredential',
  'getActiveCredential',
  'getActiveRelay',
  'getCredential',
  'perCaller',
  'runAs',
  'runAsAll',
  'runAsCaller',
  'runWithToken',
  'setCredential',
  'setDestination',
  'setSource',
  'wrapExecutor',
]
const TYPES = [
  'Admission',
  'AdmissionOptions',
  'AdmissionRequest',
  'Admitted',
  'Admitter',
  'AnyOf',
  'AuditLogRecord',
  'AuditLogger',
  'AuditOptions',
  'CacheOptions',
  'ClaimRule',
  'Claims',
  'CorsOptions',
  'DestinationConsumeOptions',
  'DestinationExchangeOptions',
  'DestinationOptions',
  'EgressOptions',
  'ExchangeCode',
  'ExchangeOptions',
  'Explanation',
  'GetTokenOptions',
  'IngressOptions',
  'IntrospectionOptions',
  'IssuerOptions',
  'KeySetOptions',
  'LogLevel',
  'LogRecord',
  'LogSeverity',
  'NameOrAnyOf',
  'ObservedDestination',
  'ProtectedResourceOptions',
  'Refused',
  'RelayInstrumentation',
  'RelayLogger',
  'ReplayWindow',
  'ResolveIssuer',
  'RevocationEntry',
  'RevocationFacts',
  'RevocationList',
  'RevocationOptions',
  'SealingKeyOptions',
  'SealingOptions',
  'SharedTokenCache',
  'TelemetryOptions',
  'TokenErrorCode',
  'TokenRejectedCode',
  'TokenRelay',
  'TokenRelayOptions',
  'TokenSource',
  'TokenSourceOptions',
  'UndecidedCode',
  'VerifiedCredential',
]

const NESTJS = [
  'Authenticate',
  'CurrentCredential',
  'Public',
  'RequireRole',
  'RequireScope',
  'TokenRelayGuard',
  'TokenRelayInterceptor',
  'TokenRelayModule',
]

const files = readdirSync(PACKED, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => relative(PACKED, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
interface Files {
  readonly types: string
  readonly default: string
}
const manifest = JSON.parse(readFileSync(join(PACKED, 'package.json'), 'utf8')) as {
  readonly name: string
  readonly exports: Readonly<Record<string, string | (Files & { readonly require: Files })>>
  readonly bin: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
}

/** The modules that users name; the others are shared by these. */
const ENTRY_MODULES = [
  ...Object.values(manifest.exports).flatMap((entry) => (typeof entry === 'string' ? [] : [entry.default.slice(2)])),
  ...Object.values(manifest.bin),
]

const COMMONJS_MODULES = Object.values(manifest.exports).flatMap((entry) =>
  typeof entry === 'string' ? [] : [entry.require.default.slice(2), entry.require.types.slice(2)],
)

function readPacked(file: string): string {
  return readFileSync(join(PACKED, file), 'utf8')
}

/** The names that the declaration file `text` exports. */
function exportedNames(text: string): readonly string[] {
  const { tree } = sourceFile('index.d.ts', text)
  return nodesOf(tree, 'ExportNamedDeclaration')
    .flatMap((node) => children(node, 'specifiers').map((specifier) => nameOf(specifier['exported'] as Node)))
    .toSorted()
}

const FUNCTIONS = ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']

/** Whether the module `text` waits before it is loaded, so that `require` refuses it. */
function hasTopLevelAwait(text: string): boolean {
  const { tree } = sourceFile('module.js', text)
  const inside = new Set<Node>()
  for (const { node, parent } of walk(tree)) {
    if (FUNCTIONS.includes(node.type) || (inside.has(parent) && node !== parent)) inside.add(node)
    const waits = node.type === 'AwaitExpression' || (node.type === 'ForOfStatement' && node['await'] === true)
    if (waits && !inside.has(node)) return true
  }
  return false
}

const scratch = createScratch()
afterAll(() => scratch[Symbol.dispose]())

/** Runs `node` with `args` in the application. */
function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [...args], {
    cwd: scratch.folder,
    env: quietEnvironment(env),
    encoding: 'utf8',
    timeout: 30_000,
  })
}

describe('the tarball', () => {
  it('holds only the build, the manifest, the JSON Schema and the documents', () => {
    const documents = ['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md', 'config.schema.json', 'package.json']
    const declarations = readSources().map(({ path }) => `dist/${path.replace(/\.ts$/, '.d.ts')}`)
    const shared = files.filter((file) => /^dist\/(commonjs\/)?shared\/[\w-]+\.c?js$/.test(file))
    const commonjs = [...COMMONJS_MODULES, 'dist/commonjs/LICENSES.txt']
    const licences = 'dist/LICENSES.txt'
    // `doctor` preloads it into the command that it examines.
    const probe = 'dist/cli/probe.js'
    const expected = [...documents, ...declarations, ...ENTRY_MODULES, probe, licences, ...commonjs, ...shared]
    expect(files.toSorted()).toEqual(expected.toSorted())
  })

  it('names its functions, so that its stack traces can be read', () => {
    const modules = files.filter((file) => file.endsWith('.js')).map(readPacked)
    expect(modules.join('\n')).toMatch(/^async function findVerifyingKey\(text, alg, keys\) \{$/m)
  })

  it.each(['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md'])('holds %s as it is in the repository', (name) => {
    expect(readPacked(name)).toBe(readDocument(name))
  })

  it('imports only its dependencies, its peers and Node.js', () => {
    const known = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.peerDependencies)]
    const imported = files
      .filter((file) => /\.(js|d\.ts)$/.test(file))
      .flatMap((file) => importsOf(sourceFile(file, readPacked(file))))
    expect(imported).toContain('@opentelemetry/api')
    const others = imported
      .filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:'))
      .map((specifier) => /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier)
    expect([...new Set(others)].filter((specifier) => !known.includes(specifier))).toEqual([])
    expect(manifest).not.toHaveProperty('bundleDependencies')
  })

  it('has no top-level await, except for the command, which is never required', () => {
    const commands = Object.values(manifest.bin)
    const modules = files.filter((file) => file.endsWith('.js') && !commands.includes(file))
    expect(modules.filter((file) => hasTopLevelAwait(readPacked(file)))).toEqual([])
  })

  it('declares exactly these names', () => {
    expect(exportedNames(readPacked('dist/index.d.ts'))).toEqual([...VALUES, ...TYPES].toSorted())
    expect(exportedNames(readPacked('dist/register/index.d.ts'))).toEqual([])
  })

  it('has exactly these entries', () => {
    const parts = ['.', './register', './client', './revocation', './redis']
    const servers = ['./express', './fastify', './koa', './hono', './grpc', './nestjs']
    const clients = ['amqplib', 'aws-sqs', 'bullmq', 'kafkajs', 'mqtt', 'nats', 'platformatic-kafka']
    const brokers = ['./messaging', ...clients.map((client) => `./${client}`)]
    const entries = [...parts, ...servers, ...brokers, './testing', './worker-threads', './package.json']
    expect(Object.keys(manifest.exports)).toEqual(entries)
  })
})

it.each([
  [
    'client',
    ['ServiceError', 'ServiceScopeError', 'createServiceClient', 'del', 'get', 'head', 'patch', 'post', 'put'],
  ],
  ['revocation', ['createMemoryRevocationList']],
  ['redis', ['RevocationStoreError', 'createRedisReplayWindow', 'createRedisRevocationList', 'createRedisTokenCache']],
  ['express', ['authenticate', 'requireRole', 'requireScope']],
  ['fastify', ['authenticate', 'fastifyTokenRelay', 'requireRole', 'requireScope']],
  ['koa', ['authenticate', 'requireRole', 'requireScope']],
  ['hono', ['authenticate', 'requireRole', 'requireScope']],
  ['grpc', ['authenticate', 'requireRole', 'requireScope']],
  ['nestjs', NESTJS],
  ['messaging', ['consume', 'produce']],
  ['amqplib', ['asCaller', 'withoutToken']],
  ['aws-sqs', ['eachAsCaller', 'sendAsCaller']],
  ['bullmq', ['addAsCaller', 'asCaller']],
  ['kafkajs', ['asCaller', 'eachAsCaller', 'withoutToken']],
  ['mqtt', ['asCaller', 'publishAsCaller', 'withoutToken']],
  ['nats', ['asCaller', 'publishAsCaller', 'withoutToken']],
  ['platformatic-kafka', ['asCaller', 'withoutToken']],
  [
    'testing',
    [
      'BAD_TOKENS',
      'CanaryError',
      'OUTAGES',
      'asCaller',
      'createCanary',
      'createTestDestination',
      'createTestIssuer',
      'createTestRelay',
      'expectNoToken',
      'expectTokenAt',
      'refusalCodeOf',
      'tokenMatchers',
      'watchTokens',
    ],
  ],
  ['worker-threads', ['answerAsCaller', 'asCaller', 'handOver', 'runInWorker', 'takeOver']],
])('otel-token-relay/%s can be required and imported', (entry, names) => {
  using scratch = createScratch()
  const print = 'console.log(JSON.stringify(Object.keys(entry).sort()))'
  scratch.write({
    'main.cjs': `const entry = require('otel-token-relay/${entry}')\n${print}`,
    'main.mjs': `import * as entry from 'otel-token-relay/${entry}'\n${print}`,
  })
  for (const file of ['main.cjs', 'main.mjs']) {
    const { stdout } = spawnSync(process.execPath, [file], {
      cwd: scratch.folder,
      env: quietEnvironment(),
      encoding: 'utf8',
    })
    expect(JSON.parse(stdout)).toEqual(names)
  }
})

describe('loading it', () => {
  const print = 'console.log(JSON.stringify(Object.keys(relay).sort()))'

  it.each([
    ['require', 'main.cjs', `const relay = require('otel-token-relay')\n${print}`],
    ['import', 'main.mjs', `import * as relay from 'otel-token-relay'\n${print}`],
    ['import()', 'main.cjs', `import('otel-token-relay').then((relay) => ${print})`],
  ])('%s gives exactly these names, without a warning', (_, file, text) => {
    scratch.write({ [file]: text })
    const { stdout, stderr, status } = run([file])
    expect([status, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toEqual(VALUES)
  })

  it('gives the same functions to require and import', () => {
    const text = `
      import { createRequire } from 'node:module'
      import * as imported from 'otel-token-relay'
      const required = createRequire(import.meta.url)('otel-token-relay')
      console.log(Object.keys(imported).every((name) => imported[name] === required[name]))`
    scratch.write({ 'same.mjs': text })
    expect(run(['same.mjs']).stdout).toBe('true\n')
  })

  it('changes nothing in the process', () => {
    const text = `
      const http = require('node:http')
      const before = [http.Agent.prototype.addRequest, http.Server.prototype.emit, require('node:tls').connect]
      require('otel-token-relay')
      const after = [http.Agent.prototype.addRequest, http.Server.prototype.emit, require('node:tls').connect]
      console.log(before.every((value, i) => value === after[i]))`
    scratch.write({ 'pure.cjs': text })
    expect(run(['pure.cjs']).stdout).toBe('true\n')
  })

  it('exposes the manifest, and no file that is not exported', () => {
    const text = `
      console.log(require('otel-token-relay/package.json').name)
      try { require('otel-token-relay/dist/relay/relay.js') } catch (error) { console.log(error.code) }`
    scratch.write({ 'paths.cjs': text })
    expect(run(['paths.cjs']).stdout).toBe('otel-token-relay\nERR_PACKAGE_PATH_NOT_EXPORTED\n')
  })
})

describe('preloading otel-token-relay/register', () => {
  const program = `
    const active = Reflect.get(globalThis, Symbol.for('otel-token-relay.active'))
    console.log(active === undefined ? 'no relay' : 'relay')`
  const right = { TOKEN_RELAY_ISSUER: 'https://id.example.com', TOKEN_RELAY_AUDIENCE: 'user-service' }
  const START_LINE = expect.stringMatching(/^otel-token-relay: version \d[^\n]*\n$/) as string

  for (const option of ['--require', '--import']) {
    it.each(['main.cjs', 'main.mjs'])(`with ${option} creates the relay before %s begins`, (file) => {
      scratch.write({ [file]: program })
      const { stdout, stderr, status } = run([option, 'otel-token-relay/register', file], right)
      expect({ stdout, stderr, status }).toEqual({ stdout: 'relay\n', stderr: START_LINE, status: 0 })
    })

    it.each(['main.cjs', 'main.mjs'])(`with ${option} does not start %s when a variable is missing`, (file) => {
      scratch.write({ [file]: program })
      const { stdout, stderr, status } = run([option, 'otel-token-relay/register', file], {
        TOKEN_RELAY_ISSUER: 'https://id.example.com',
      })
      expect({ stdout, status }).toEqual({ stdout: '', status: 1 })
      expect(stderr).toMatch(/^otel-token-relay: TOKEN_RELAY_AUDIENCE: required: [^\n]*\n$/)
    })
  }

  it('finds a configuration file from the working directory', () => {
    scratch.write({
      'main.cjs': program,
      'options.cjs': "module.exports = { issuers: [{ issuer: 'https://id.example.com', audience: null }] }",
    })
    const { stdout, status } = run(['--require', 'otel-token-relay/register', 'main.cjs'], {
      TOKEN_RELAY_CONFIG_FILE: 'options.cjs',
    })
    expect({ stdout, status }).toEqual({ stdout: 'relay\n', status: 0 })
  })
})

describe('the checks catch', () => {
  it.each([
    ['await import("a")', true],
    ['const a = await b()', true],
    ['export {}; for await (const a of b) {}', true],
    ['if (a) { await b() }', true],
    ['const a = async () => { await b() }', false],
    ['async function a() { for await (const c of b) await c }', false],
    ['class A { async b() { return await c } }', false],
  ])('top-level await: %s', (text, expected) => {
    expect(hasTopLevelAwait(text)).toBe(expected)
  })

  it('exported names, types included', () => {
    expect(exportedNames("export { b, x as a } from './b.ts'\nexport type { C } from './c.ts'\nexport {}")).toEqual([
      'C',
      'a',
      'b',
    ])
  })
})
