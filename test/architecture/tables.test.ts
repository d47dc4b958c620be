/** The tables of the README say what the source says, no more and no less. */

import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { ServiceErrorCode } from '../../src/client/errors.ts'
import { SERVICE_ERRORS, ServiceError, ServiceScopeError } from '../../src/client/errors.ts'
import { OptionError, parseOptions } from '../../src/options.ts'
import { RevocationStoreError } from '../../src/redis/index.ts'
import { optionsFromEnvironment, VARIABLE_NAMES, variableOf } from '../../src/register/environment.ts'
import { RelayActiveError } from '../../src/relay.ts'
import type { TokenErrorCode } from '../../src/token/errors.ts'
import { TOKEN_ERRORS } from '../../src/token/errors.ts'
import { VERSION } from '../../src/version.ts'
import type { Row } from '../readme/markdown.ts'
import { codes, column, plain, readDocument, readTable } from '../readme/markdown.ts'
import { errorFor } from '../support/relay.ts'
import type { Node, SourceFile } from './source.ts'
import { child, children, nameOf, nodesOf, readSources, sourceFile } from './source.ts'

const readme = readDocument('README.md')
const sources = readSources()
const manifest = JSON.parse(readDocument('package.json')) as {
  version: string
  dependencies: Record<string, string>
  peerDependencies: Record<string, string>
  peerDependenciesMeta: Record<string, { optional?: boolean }>
  exports: Record<string, string | { default: string }>
}

function source(path: string): SourceFile {
  const file = sources.find((candidate) => candidate.path === path)
  if (file === undefined) throw new Error(`no file src/${path}`)
  return file
}

/** What stands on one side only, or twice on one. */
function differences(left: readonly string[], right: readonly string[]): readonly string[] {
  const repeated = (names: readonly string[]) => names.filter((name, i) => names.indexOf(name) !== i)
  return [
    ...left.filter((name) => !right.includes(name)).map((name) => `only left: ${name}`),
    ...right.filter((name) => !left.includes(name)).map((name) => `only right: ${name}`),
    ...[...repeated(left), ...repeated(right)].map((name) => `twice: ${name}`),
  ]
}

/** The string literals that make up the union type `name`. */
function unionMembers(file: SourceFile, name: string): readonly string[] {
  const alias = nodesOf(file.tree, 'TSTypeAliasDeclaration').find((node) => nameOf(child(node, 'id')) === name)
  if (alias === undefined) throw new Error(`no type ${name} in ${file.path}`)
  return children(child(alias, 'typeAnnotation'), 'types').map(literalOf)
}

/** The literal types of the member `name` in the union type `union`. */
function discriminants(file: SourceFile, name: string, member: string): readonly string[] {
  const alias = nodesOf(file.tree, 'TSTypeAliasDeclaration').find((node) => nameOf(child(node, 'id')) === name)
  if (alias === undefined) throw new Error(`no type ${name} in ${file.path}`)
  return nodesOf(alias, 'TSPropertySignature')
    .filter((property) => nameOf(child(property, 'key')) === member)
    .map((property) => literalOf(child(child(property, 'typeAnnotation'), 'typeAnnotation')))
}

function literalOf(type: Node): string {
  return nameOf(child(type, 'literal'))
}

/** The paths of the options as the interface `name` declares them: `issuers[].keySet.timeoutMillis`. */
function interfacePaths(file: SourceFile, name: string): readonly string[] {
  const declarations = nodesOf(file.tree, 'TSInterfaceDeclaration')
  const declaration = declarations.find((node) => nameOf(child(node, 'id')) === name)
  if (declaration === undefined) throw new Error(`no interface ${name} in ${file.path}`)
  return children(child(declaration, 'body'), 'body').flatMap((property) => {
    const key = nameOf(child(property, 'key'))
    const type = child(child(property, 'typeAnnotation'), 'typeAnnotation')
    const nested = nodesOf(type, 'TSTypeReference')
      .map((reference) => nameOf(child(reference, 'typeName')))
      .find((reference) => declarations.some((candidate) => nameOf(child(candidate, 'id')) === reference))
    if (nested === undefined) return [key]
    const isList = nodesOf(type, 'TSArrayType').length > 0
    return interfacePaths(file, nested).map((path) => `${key}${isList ? '[]' : ''}.${path}`)
  })
}

/** The members of every object that the schema in `file` describes. */
function schemaKeys(file: SourceFile): readonly string[] {
  return nodesOf(file.tree, 'CallExpression').flatMap((call) => {
    const callee = child(call, 'callee')
    const name = nameOf(callee.type === 'MemberExpression' ? child(callee, 'property') : callee)
    // `group` of options-schema.ts is a strictObject with a message.
    if (name !== 'strictObject' && name !== 'group') return []
    const [shape] = children(call, 'arguments')
    return shape?.type !== 'ObjectExpression'
      ? []
      : children(shape, 'properties').map((property) => nameOf(child(property, 'key')))
  })
}

/** The last words of `paths`, and the names of what holds them. */
function words(paths: readonly string[]): readonly string[] {
  const prefixes = paths.flatMap((path) => path.split('.').map((_, i, keys) => keys.slice(0, i + 1).join('.')))
  return [...new Set(prefixes)].map((path) => path.slice(path.lastIndexOf('.') + 1).replace('[]', ''))
}

const EXCHANGE = { tokenEndpoint: 'https://id.example.com/token', clientId: 'a', clientSecret: 'b' }
const INTROSPECTION = { endpoint: 'https://id.example.com/introspect', clientId: 'a', clientSecret: 'b' }

/** Options that are complete but for `path`, which is set to `value`. */
function optionsWith(path: string, value: unknown): unknown {
  const options: Record<string, unknown> = {
    issuers: [
      {
        issuer: 'https://id.example.com',
        audience: 'a',
        keySet: {},
        introspection: { ...INTROSPECTION },
        exchange: { ...EXCHANGE },
      },
    ],
    destinations: [{ to: 'kafka:orders', exchange: { audience: 'b' }, consume: {} }],
    ingress: { protectedResource: { resource: 'https://a.example/' } },
    egress: {},
    sealing: { keys: [{ kid: 'a', secret: randomBytes(32).toString('base64url') }] },
    revocation: {},
    cache: {},
    audit: { file: 'audit.jsonl', onFailure: 'block' },
    telemetry: {},
  }
  const keys = path.replaceAll('[]', '.0').split('.')
  const last = keys.pop() ?? ''
  const owner = keys.reduce<Record<string, unknown>>((at, key) => at[key] as Record<string, unknown>, options)
  owner[last] = value
  return options
}

/** What is wrong with `options`, as `path: problem`; nothing where they are accepted. */
function problemOf(options: unknown): { readonly path: string; readonly problem: string } | undefined {
  try {
    parseOptions(options)
    return undefined
  } catch (error) {
    if (error instanceof OptionError) return error
    throw error
  }
}

/** Paths that the schema does not know, or accepts whatever their value. */
function unknownToSchema(paths: readonly string[]): readonly string[] {
  return paths.filter((path) => {
    const found = problemOf(optionsWith(path, { not: 'valid' }))
    return (
      found === undefined || found.problem === 'is not an option' || !found.path.startsWith(path.replace('[]', '[0]'))
    )
  })
}

/** Rows whose default is not what the schema fills in. */
function wrongDefaults(rows: readonly Row[]): readonly string[] {
  const introspection = INTROSPECTION
  const issuer = { issuer: 'https://id.example.com', audience: 'a', introspection, exchange: EXCHANGE }
  const { exchanges, rules, ...settings } = parseOptions({
    issuers: [issuer],
    // One member has to be there; two rules have the defaults of all.
    destinations: [
      { to: 'https://a.example', exchange: { audience: 'b' } },
      { to: 'https://b.example', exchange: { scope: 'b' } },
    ],
  })
  const { renewBeforeMillis = 0, maxLifetimeMillis = 0, ...client } = exchanges.get(issuer.issuer) ?? {}
  const { request, ...rule } = rules[0]?.exchange ?? {}
  const audience = rules[1]?.exchange?.request.audience
  const seconds = { renewBeforeSeconds: renewBeforeMillis / 1000, maxLifetimeSeconds: maxLifetimeMillis / 1000 }
  const exchangeDefaults = {
    'issuers[].exchange': { ...client, ...seconds },
    'destinations[].exchange': { ...request, audience, ...rule },
  }
  return rows.flatMap((row) => {
    const path = plain(row['Option'] ?? '')
    const claimed = row['Default'] ?? ''
    if (!claimed.startsWith('`')) return []
    const [, owner = '', member = ''] = /^(.*)\.(\w+)$/.exec(path) ?? []
    const exchange = Object.entries(exchangeDefaults).find(([name]) => name === owner)?.[1]
    if (exchange !== undefined) {
      const actual = Reflect.get(exchange, member) as unknown
      return JSON.stringify(actual) === plain(claimed) ? [] : [`${path}: ${JSON.stringify(actual)}`]
    }
    // A destination has no defaults of its own among these settings: its rule is compiled. See the test of seal below.
    if (path.startsWith('destinations[]')) return []
    const keys = path.replaceAll('[]', '.0').split('.')
    const actual = keys.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], settings)
    return JSON.stringify(actual) === plain(claimed) ? [] : [`${path}: ${JSON.stringify(actual)}`]
  })
}

/** Rows of the errors table as one line each. */
function errorLines(rows: readonly Row[]): readonly string[] {
  return rows.map((row) => ['Code', 'Class', 'Status', 'Message'].map((name) => plain(row[name] ?? '')).join(' | '))
}

function errorsOfSource(): readonly string[] {
  const tokens = (Object.keys(TOKEN_ERRORS) as TokenErrorCode[]).map((code) => {
    const { status, message } = TOKEN_ERRORS[code]
    return [code, errorFor(code).name, status, message].join(' | ')
  })
  const option = new OptionError('<path>', '<problem>')
  const active = new RelayActiveError()
  const store = new RevocationStoreError()
  const services = (Object.keys(SERVICE_ERRORS) as ServiceErrorCode[]).map((code) => {
    const error =
      code === 'ERR_SERVICE_SCOPE' ? new ServiceScopeError('a', []) : new ServiceError(code, { endpoint: 'a' })
    return [code, error.name, '', error.message].join(' | ')
  })
  return [
    ...tokens,
    ...services,
    [option.code, option.name, '', option.message].join(' | '),
    [store.code, store.name, '', store.message].join(' | '),
    [active.code, active.name, '', active.message].join(' | '),
  ]
}

/** The strings in `files` that read like attributes: words with dots between them. */
function attributeNames(files: readonly SourceFile[]): readonly string[] {
  const texts = files.flatMap((file) => nodesOf(file.tree, 'Literal').map(nameOf))
  return [...new Set(texts)].filter((text) => /^[a-z_]+(\.[a-z_]+)+$/.test(text))
}

const OPTIONS = readTable(readme, 'Option')
const optionPaths = column(OPTIONS, 'Option')
const DECLARED = interfacePaths(source('options.ts'), 'TokenRelayOptions')
const EVENTS = readTable(readme, 'Event')
const REASONS = unionMembers(source('telemetry/auth-event.ts'), 'WithholdReason')

describe('errors', () => {
  it('are those of the source, with class, status and message', () => {
    expect(differences(errorLines(readTable(readme, 'Code')), errorsOfSource())).toEqual([])
  })

  it('stand in TOKEN_ERRORS wherever the source names one', () => {
    const named = sources.flatMap((file) => nodesOf(file.tree, 'Literal').map(nameOf))
    const used = named.filter((text) => /^ERR_[A-Z_]+$/.test(text))
    expect(used.filter((code) => !column(readTable(readme, 'Code'), 'Code').includes(code))).toEqual([])
  })
})

describe('options', () => {
  it('are those of the interfaces', () => {
    expect(differences(optionPaths, DECLARED)).toEqual([])
  })

  it('are those of the schema', () => {
    expect(unknownToSchema(optionPaths)).toEqual([])
    // `keys` is the one member of a key set document.
    const keys = ['options-schema.ts', 'options-exchange.ts', 'options-audit.ts'].flatMap((file) =>
      schemaKeys(source(file)),
    )
    expect(keys.toSorted()).toEqual([...words(DECLARED), 'keys'].toSorted())
  })

  it('have the defaults of the schema', () => {
    expect(wrongDefaults(OPTIONS)).toEqual([])
    const issuers = [{ issuer: 'https://id.example.com', audience: 'a' }]
    const { rules } = parseOptions({ issuers, destinations: [{ to: 'kafka:a' }] })
    expect(OPTIONS.find((row) => plain(row['Option'] ?? '') === 'destinations[].seal')?.['Default']).toBe(
      `\`${rules[0]?.seal}\``,
    )
    expect(problemOf({ issuers, destinations: [{ to: 'http://a.example' }] })?.path).toBe('destinations[0].to')
  })

  it.each(
    OPTIONS.filter((row) => row['Default'] === 'required').map((row) => plain(row['Option'] ?? '')),
  )('%s is required', (path) => {
    expect(problemOf(optionsWith(path, undefined))?.path).toBe(path.replace('[]', '[0]'))
  })

  it('have the variables of register', () => {
    const others = column(readTable(readme, 'Variable'), 'Variable')
    const own = column(OPTIONS, 'Variable').filter((name) => name !== '')
    expect(differences([...own, ...others], VARIABLE_NAMES)).toEqual([])
    for (const row of OPTIONS) {
      const variable = plain(row['Variable'] ?? '')
      // One variable holds all destinations, and nothing but where they are.
      if (variable === '' && row['Option']?.startsWith('`destinations[].')) continue
      expect(variableOf(plain(row['Option'] ?? '').replace('[]', '[0]')) ?? '', row['Option']).toBe(variable)
    }
  })

  it.each(VARIABLE_NAMES)('%s is read', (name) => {
    const values: Record<string, string> = {
      TOKEN_RELAY_ON_CONFIG_ERROR: 'exit',
      TOKEN_RELAY_CONFIG_FILE: 'package.json',
      TOKEN_RELAY_INGRESS_ALLOW_PREFLIGHT: 'true',
      TOKEN_RELAY_EXCHANGE_ACTOR: 'true',
    }
    expect(() => optionsFromEnvironment({ [name]: values[name] ?? '300' })).not.toThrow()
    expect(() => optionsFromEnvironment({ [`${name}X`]: '300' })).toThrow(`${name}X: is not a variable`)
  })
})

describe('destinations', () => {
  const issuers = [{ issuer: 'https://id.example.com', audience: 'a' }]

  it.each(column(readTable(readme, 'Accepted'), 'Accepted'))('%s is accepted', (to) => {
    expect(problemOf({ issuers, destinations: [{ to }] })).toBeUndefined()
  })

  it.each(
    readTable(readme, 'Refused').map((row) => [plain(row['Refused'] ?? ''), row['Reason given at start']]),
  )('%s is refused: %s', (to, reason) => {
    expect(problemOf({ issuers, destinations: [{ to }] })).toMatchObject({
      path: 'destinations[0].to',
      problem: reason,
    })
  })
})

describe('events', () => {
  it('are those of the source', () => {
    expect(
      differences(column(EVENTS, 'Event'), discriminants(source('telemetry/auth-event.ts'), 'AuthEvent', 'name')),
    ).toEqual([])
  })

  it('have the attributes of the source', () => {
    const attributes = column(readTable(readme, 'Attribute'), 'Attribute')
    const telemetry = sources.filter(({ path }) => path.startsWith('telemetry/'))
    const others = [...column(EVENTS, 'Event'), ...column(readTable(readme, 'Metric'), 'Metric')]
    const named = attributeNames(telemetry).filter((name) => !others.includes(name))
    expect(differences(attributes, named)).toEqual([])
    expect(
      EVENTS.flatMap((row) => codes(row['Attributes'] ?? '')).filter((name) => !attributes.includes(name)),
    ).toEqual([])
  })

  it('have more attributes in the audit trail, which are those of the source', () => {
    const shared = column(readTable(readme, 'Attribute'), 'Attribute')
    const named = attributeNames([source('audit/audit.ts')]).filter((name) => !shared.includes(name))
    const others = [...column(EVENTS, 'Event'), 'auth.audit.resumed']
    expect(
      differences(
        column(readTable(readme, 'Attribute of records'), 'Attribute of records'),
        named.filter((name) => !others.includes(name)),
      ),
    ).toEqual([])
  })

  it('give the reasons of the source', () => {
    expect(differences(column(readTable(readme, 'Reason'), 'Reason'), REASONS)).toEqual([])
  })

  it.each(REASONS)('%s is given somewhere', (reason) => {
    const givers = sources.filter((file) => file.path !== 'telemetry/auth-event.ts')
    expect(givers.flatMap((file) => nodesOf(file.tree, 'Literal').map(nameOf))).toContain(reason)
  })
})

describe('exports', () => {
  it('are those of index.ts, types aside', () => {
    const named = column(readTable(readme, 'Export'), 'Export').map((text) => text.replace(/\(.*/, ''))
    expect(differences(named, exportedValues(source('index.ts')))).toEqual([])
  })
})

describe('adapters', () => {
  it('are the exports of package.json that lie in ingress/', () => {
    const imports = column(readTable(readme, 'Framework'), 'Import')
    const exported = Object.entries(manifest.exports)
      .filter(([, entry]) => typeof entry !== 'string' && entry.default.startsWith('./dist/ingress/'))
      .map(([path]) => path.replace('.', 'otel-token-relay'))
    expect(differences(imports, exported)).toEqual([])
  })
})

describe('dependencies', () => {
  it('are those of package.json', () => {
    const { dependencies, peerDependencies, peerDependenciesMeta } = manifest
    const expected = [
      ...Object.keys(dependencies).map((name) => `${name}: dependency`),
      ...Object.keys(peerDependencies).map(
        (name) => `${name}: ${peerDependenciesMeta[name]?.optional === true ? 'optional peer' : 'peer'}`,
      ),
    ]
    const rows = readTable(readme, 'Package')
    expect(
      differences(
        rows.map((row) => `${plain(row['Package'] ?? '')}: ${row['Kind']}`),
        expected,
      ),
    ).toEqual([])
  })
})

describe('the version', () => {
  it('is that of package.json, and SECURITY.md supports it', () => {
    expect(VERSION).toBe(manifest.version)
    const minor = `${VERSION.split('.').slice(0, 2).join('.')}.x`
    expect(column(readTable(readDocument('SECURITY.md'), 'Version'), 'Version')).toEqual([minor])
  })
})

function exportedValues(file: SourceFile): readonly string[] {
  return nodesOf(file.tree, 'ExportNamedDeclaration')
    .filter((node) => node['exportKind'] !== 'type')
    .flatMap((node) => children(node, 'specifiers').map((specifier) => nameOf(child(specifier, 'exported'))))
}

describe('the checks catch', () => {
  it('a name that stands on one side only, or twice', () => {
    expect(differences(['a', 'b'], ['a', 'b'])).toEqual([])
    expect(differences(['a', 'b'], ['a'])).toEqual(['only left: b'])
    expect(differences(['a'], ['a', 'b'])).toEqual(['only right: b'])
    expect(differences(['a', 'a'], ['a'])).toEqual(['twice: a'])
  })

  it('an error with another message, status or class', () => {
    const markdown = readme.replace('the token has expired', 'the token expired')
    expect(differences(errorLines(readTable(markdown, 'Code')), errorsOfSource())).toHaveLength(2)
    expect(
      differences(errorLines(readTable(readme.replace('| 400 |', '| 401 |'), 'Code')), errorsOfSource()),
    ).toHaveLength(2)
    const renamed = readme.replace('`ERR_TOKEN_KEY` | `TokenRejectedError`', '`ERR_TOKEN_KEY` | `UndecidedError`')
    expect(differences(errorLines(readTable(renamed, 'Code')), errorsOfSource())).toHaveLength(2)
  })

  it('an option that only one of interface, schema and README has', () => {
    const file = sourceFile(
      'options.ts',
      `interface A { readonly list: readonly B[]; readonly one?: B; readonly plain?: string | null }
       interface B { readonly c: { readonly keys: readonly object[] } }
       const schema = z.strictObject({ list: z.array(z.strictObject({ c: x })), 'one': y }).superRefine({ d: 1 })`,
    )
    expect(interfacePaths(file, 'A')).toEqual(['list[].c', 'one.c', 'plain'])
    expect(words(['list[].c', 'one.c', 'plain'])).toEqual(['list', 'c', 'one', 'c', 'plain'])
    expect(schemaKeys(file)).toEqual(['list', 'one', 'c'])
    expect(unknownToSchema(['issuers[].realm', 'ingress.mode', 'metrics'])).toEqual(['issuers[].realm', 'metrics'])
  })

  it('a wrong default', () => {
    const markdown = readme.replace('| `30000` |', '| `3000` |')
    expect(wrongDefaults(readTable(markdown, 'Option'))).toEqual(['issuers[].keySet.cooldownMillis: 30000'])
  })

  it('unions and attributes as they are written', () => {
    const file = sourceFile(
      'a.ts',
      `type R = 'a' | 'b'
       type E = { readonly name: 'x.one'; other: 'no' } | { readonly name: 'x.two' }
       const attributes = { 'x.y.z_a': 1, 'not one': 2, plain: 3 }`,
    )
    expect(unionMembers(file, 'R')).toEqual(['a', 'b'])
    expect(discriminants(file, 'E', 'name')).toEqual(['x.one', 'x.two'])
    expect(attributeNames([file])).toEqual(['x.one', 'x.two', 'x.y.z_a'])
    expect(() => unionMembers(file, 'S')).toThrow('no type S')
  })

  it('a table that is missing, is there twice, or lacks a cell', () => {
    expect(() => readTable('| A |\n|---|\n| 1 |\n', 'B')).toThrow('found 0')
    expect(() => readTable('| A |\n|---|\n\n| A |\n|---|\n', 'A')).toThrow('found 2')
    expect(() => readTable('| A | B |\n|---|---|\n| 1 |\n', 'A')).toThrow('expected 2 cells')
  })

  it('values among exports, not types', () => {
    expect(
      exportedValues(sourceFile('a.ts', "export { a, b as c } from './b.ts'\nexport type { D } from './d.ts'")),
    ).toEqual(['a', 'c'])
  })
})
