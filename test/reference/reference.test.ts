/** The reference says what interfaces, schemas and variables say, and each option is documented where it is declared. */

import { randomBytes } from 'node:crypto'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { OptionError } from '../../src/base/option-checks.ts'
import { listOptionEntries } from '../../src/config/entries.ts'
import { optionsFromEnvironment, VARIABLE_NAMES } from '../../src/config/environment.ts'
import { parseOptions } from '../../src/config/options.ts'
import { sourceFile } from '../architecture/source.ts'
import { fileOf } from '../docs/blocks.ts'
import { column, readDocument, readTable } from '../docs/markdown.ts'
import type { DocumentedOption, JsonSchema } from './options.ts'
import {
  declarationsIn,
  declaredOptions,
  isJson,
  literalOf,
  rangeOf,
  readDeclaredOptions,
  readOptions,
  statedDefault,
  unitOf,
} from './options.ts'
import { renderReference } from './render.ts'
import { readExports, readMetrics, readReasons } from './source-facts.ts'
import { METRICS } from './telemetry.ts'

const options = readOptions()
const paths = options.map(({ path }) => path)
const files = renderReference()
const generated = (file: string): string => files.get(file) ?? ''

const EXCHANGE = { tokenEndpoint: 'https://id.example.com/token', clientId: 'a', clientSecret: 'b' }
const INTROSPECTION = { endpoint: 'https://id.example.com/introspect', clientId: 'a', clientSecret: 'b' }

/** Optional, but needed by the other options of `optionsWith`. */
const NEEDED = [
  'issuers[].exchange',
  'issuers[].exchange.clientSecret',
  'destinations[].exchange.audience',
  'sealing.keys[].secret',
  'audit.file',
  'audit.onFailure',
]

/** Options that are complete but for `path`, which is set to `value`. */
function optionsWith(path: string, value: unknown): unknown {
  const complete: Record<string, unknown> = {
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
    ingress: { protectedResource: { resource: 'https://a.example/' }, cors: { origins: ['https://a.example'] } },
    egress: {},
    sealing: { keys: [{ kid: 'a', secret: randomBytes(32).toString('base64url') }] },
    revocation: {},
    cache: {},
    audit: { file: 'audit.jsonl', onFailure: 'block' },
    telemetry: {},
  }
  const keys = path.replaceAll('[]', '.0').split('.')
  const last = keys.pop() ?? ''
  const owner = keys.reduce<Record<string, unknown>>((at, key) => at[key] as Record<string, unknown>, complete)
  owner[last] = value
  return complete
}

/** The path of what is wrong with `value`; `undefined` if it is accepted. */
function wrongPath(value: unknown): string | undefined {
  try {
    parseOptions(value)
    return undefined
  } catch (error) {
    if (error instanceof OptionError) return error.path
    throw error
  }
}

/** What a TSDoc lacks. */
function defectsOf({ path, text, entry, json, isRequired }: DocumentedOption): readonly string[] {
  if (text === '') return [`${path} has no TSDoc`]
  const stated = statedDefault(text)
  const literal = literalOf(json.default)
  const isWithDefault = isRequired || (entry.isGroup && json.default !== undefined) || stated !== undefined
  const range = rangeOf(json)
  const unit = unitOf(path)
  const values = valuesOf(json).filter((value) => !text.includes(`\`${value}\``))
  return [
    ...(isWithDefault ? [] : [`${path} states no default`]),
    ...(literal === undefined || isRequired || isStated(stated, literal) ? [] : [`${path} has the default ${literal}`]),
    ...(literal === undefined && stated?.isLiteral ? [`${path} has no default that is a value`] : []),
    ...(range === undefined || text.includes(range) ? [] : [`${path} does not say ${range}`]),
    ...(unit === undefined || text.includes(`in ${unit}`) ? [] : [`${path} does not say in ${unit}`]),
    ...values.map((value) => `${path} does not say \`${value}\``),
  ]
}

function isStated(stated: ReturnType<typeof statedDefault>, literal: string): boolean {
  if (stated === undefined || !stated.isLiteral) return false
  return stated.words === literal || stated.words.startsWith(`${literal}, `)
}

/** The values of which the option is one. */
function valuesOf({ enum: values }: JsonSchema): readonly string[] {
  return values ?? []
}

describe('each option', () => {
  it('is declared by an interface and by the schema', () => {
    expect(readDeclaredOptions().map(({ path }) => path)).toEqual(listOptionEntries().map(({ path }) => path))
  })

  it('has a TSDoc with its default, range, unit and values, which are those of the schema', () => {
    expect(options.flatMap(defectsOf)).toEqual([])
  })

  it.each(
    options.filter(({ path }) => path !== 'issuers').map(({ path, isRequired }) => [path, isRequired] as const),
  )('%s is required: %s, in the interface and in the schema', (path, isRequired) => {
    const wrong = wrongPath(optionsWith(path, undefined))
    if (NEEDED.includes(path)) expect(wrong).toBeDefined()
    else expect(wrong).toBe(isRequired ? path.replace('[]', '[0]') : undefined)
  })

  it.each(paths)('%s is refused by its path if its value is wrong', (path) => {
    const wrong = wrongPath(optionsWith(path, { not: 'valid' }))
    expect(wrong?.startsWith(path.replace('[]', '[0]'))).toBe(true)
  })
})

describe('variables', () => {
  const names = options.flatMap(({ entry }) => entry.variable?.name ?? [])

  it('are those of the options, each once, and those of register', () => {
    const others = column(
      readTable(generated('docs/reference/variables.md'), 'Variable of register'),
      'Variable of register',
    )
    expect([...new Set(names)]).toEqual(names)
    expect([...names, ...others]).toEqual(VARIABLE_NAMES)
  })

  it('are called after the path of their option', () => {
    const words = (text: string): string => text.replaceAll(/[^a-zA-Z]/g, '').toUpperCase()
    const odd = options.filter(({ path, entry: { variable } }) => {
      const expected = words(
        path
          .replace(/^issuers\[\]\./, '')
          .replace(/^sealing\.keys\[\]/, 'sealing')
          .replace(/^telemetry\.log/, 'log'),
      )
      return variable !== undefined && words(variable.name.replace('TOKEN_RELAY_', '')) !== expected
    })
    expect(odd.map(({ path }) => path)).toEqual([])
  })

  it.each(VARIABLE_NAMES)('%s is read, and a longer name is refused', (name) => {
    const values: Record<string, string> = {
      TOKEN_RELAY_ON_CONFIG_ERROR: 'exit',
      TOKEN_RELAY_CONFIG_FILE: 'package.json',
      TOKEN_RELAY_INGRESS_ALLOW_PREFLIGHT: 'true',
      TOKEN_RELAY_EXCHANGE_ACTOR: 'true',
      TOKEN_RELAY_ALLOW_CLEARTEXT: 'true',
      TOKEN_RELAY_INGRESS_CORS_ALLOW_CREDENTIALS: 'true',
      TOKEN_RELAY_DESTINATIONS_ALLOW_CLEARTEXT: 'true',
    }
    expect(() => optionsFromEnvironment({ [name]: values[name] ?? '300' })).not.toThrow()
    expect(() => optionsFromEnvironment({ [`${name}X`]: '300' })).toThrow(`${name}X: is not a variable`)
  })
})

describe('the generated files', () => {
  it.each([...files.keys()])('%s is what npm run reference writes', (file) => {
    expect(readDocument(file)).toBe(generated(file))
  })

  it('have every option and every variable', () => {
    const rows = generated('docs/reference/options.md').match(/^\| `[^`]+`/gm) ?? []
    const leaves = options.filter(({ entry }) => !entry.isGroup).map(({ path }) => `| \`${path}\``)
    expect(rows.toSorted()).toEqual(leaves.toSorted())
    const variables = generated('docs/reference/variables.md').match(/(?<=^\| `)TOKEN_RELAY_\w+/gm) ?? []
    expect(variables.toSorted()).toEqual(VARIABLE_NAMES.toSorted())
  })
})

describe('the pages about telemetry and exports', () => {
  it('know every metric of the source, and no other', () => {
    expect(Object.keys(METRICS).toSorted()).toEqual([...readMetrics().keys()].toSorted())
  })

  it('say why a token stays, for each reason', () => {
    expect([...readReasons()].filter(([, text]) => !/^[A-Z`].*\.$/.test(text))).toEqual([])
    expect(readReasons().size).toBeGreaterThan(15)
  })

  it('have a sentence for every export of every entry', () => {
    const all = [...readExports().values()].flat()
    expect(all.length).toBeGreaterThan(50)
    expect(all.filter(({ text }) => text === '')).toEqual([])
  })
})

describe('config.schema.json', () => {
  const schema = JSON.parse(generated('config.schema.json')) as JsonSchema
  const accepts = new Ajv2020({ allErrors: true, strict: true, strictTypes: false }).compile(schema as object)
  const example = fileOf('relay.json').text

  it('accepts the configuration file of the pages, with $schema too', () => {
    expect(accepts(JSON.parse(example))).toBe(true)
    expect(accepts({ $schema: 'config.schema.json', ...(JSON.parse(example) as object) })).toBe(true)
  })

  it.each<[string, unknown]>([
    ['ingress.publicPath', ['/a']],
    ['ingress.mode', 'strict'],
    ['issuers[].audience', 7],
    ['issuers[].clockToleranceSeconds', 301],
    ['issuers[].maxTokenAgeSeconds', 0],
    ['destinations[].consume.onMissing', 'nobody'],
    ['cache.maxEntries', 1.5],
    ['sealing.keys[].kid', 'a b'],
  ])('refuses a wrong %s, as the relay does', (path, value) => {
    expect(accepts(optionsWith(path, value))).toBe(false)
    expect(wrongPath(optionsWith(path, value))).toBeDefined()
  })

  it('refuses a file without issuers', () => {
    expect(accepts({})).toBe(false)
  })

  it('accepts a file that says every option that JSON can hold, as the relay does', () => {
    const keySet = { maxAgeMillis: 600_000, cooldownMillis: 30_000, staleMillis: 3_600_000, timeoutMillis: 3000 }
    const issuer = {
      ...{ issuer: 'https://id.example.com', audience: ['a', 'b'], jwksUri: 'https://id.example.com/keys', keySet },
      ...{ algorithms: ['ES256'], typ: 'at+jwt', clockToleranceSeconds: 5, maxTokenAgeSeconds: 3600 },
      ...{ requiredScopes: ['a'], exchange: EXCHANGE, introspection: INTROSPECTION },
    }
    const file = {
      issuers: [issuer, { issuer: 'https://other.example.com', audience: null }],
      destinations: [
        {
          to: 'http://profile.internal.example:8080',
          allowCleartext: true,
          detached: 'withhold',
          maxHeaderBytes: 8000,
        },
        { to: 'https://ledger.internal.example', exchange: { audience: 'ledger', scope: 'read' } },
        { to: 'kafka:orders', consume: { onMissing: 'no-caller' } },
      ],
      ingress: { mode: 'optional', publicPaths: ['/health'], allowPreflight: true },
      egress: { mode: 'report', detector: 'warn' },
      sealing: {
        keys: [{ kid: 'a', secret: randomBytes(32).toString('base64url') }],
        producer: 'a',
        paddingBytes: 512,
      },
      revocation: { onUnavailable: 'reject' },
      cache: { maxEntries: 100 },
      audit: { file: 'audit.jsonl', onFailure: 'block' },
      telemetry: {},
    }
    expect([accepts(file), accepts.errors]).toEqual([true, null])
    expect(wrongPath(file)).toBeUndefined()
  })

  it.each(options.filter(isJson).map(({ path }) => path))('refuses another type of %s', (path) => {
    // A JWK has whatever members its kind of key has.
    const wrong = path.endsWith('.jwk') ? 7 : { not: 'valid' }
    expect(accepts(optionsWith(path, wrong))).toBe(false)
  })

  it('leaves out options that JSON cannot hold', () => {
    const others = options.filter((option) => !isJson(option)).map(({ path }) => path)
    expect(others).toEqual([
      'issuers[].claimRules',
      'issuers[].exchange.sharedCache',
      'resolveIssuer',
      'sealing.replayWindow',
      'revocation.list',
      'audit.logger',
    ])
    for (const path of others)
      expect(JSON.stringify(schema)).not.toContain(`"${path.slice(path.lastIndexOf('.') + 1)}"`)
  })
})

describe('the checks catch', () => {
  const [first] = options.filter(({ path }) => path === 'sealing.paddingBytes')
  const padding = first as DocumentedOption
  const withText = (text: string): readonly string[] => defectsOf({ ...padding, text })

  it('an option without TSDoc, default, range or unit', () => {
    expect(withText('')).toEqual(['sealing.paddingBytes has no TSDoc'])
    expect(withText('Padding, in bytes, 1 to 4096.')).toEqual([
      'sealing.paddingBytes states no default',
      'sealing.paddingBytes has the default 256',
    ])
    expect(withText('Padding, 1 to 4096. Default 256.')).toEqual(['sealing.paddingBytes does not say in bytes'])
    expect(withText('Padding, in bytes. Default 256.')).toEqual(['sealing.paddingBytes does not say 1 to 4096'])
  })

  it('a wrong default, and words in place of a value', () => {
    expect(withText('Padding, in bytes, 1 to 4096. Default 255.')).toEqual(['sealing.paddingBytes has the default 256'])
    expect(withText('Padding, in bytes, 1 to 4096. Default: 256.')).toEqual([
      'sealing.paddingBytes has the default 256',
    ])
  })

  it('a value that the text does not name', () => {
    const mode = options.find(({ path }) => path === 'egress.mode') as DocumentedOption
    const text = '`report` sends nothing. Default `report`.'
    expect(defectsOf({ ...mode, text })).toEqual([
      'egress.mode has the default `enforce`',
      'egress.mode does not say `enforce`',
    ])
  })

  it('the options of an interface as they are written', () => {
    const file = sourceFile(
      'a.ts',
      `/** All. */
       export interface AOptions { readonly list: readonly BOptions[]
         /** One. */
         readonly one?: BOptions; readonly plain?: string | null }
       export interface BOptions {
         /**
          * Some text,
          * in two lines.
          */
         readonly c: { readonly keys: readonly object[] } }`,
    )
    expect(declaredOptions(declarationsIn([file]), 'AOptions')).toEqual([
      { path: 'list', type: 'BOptions[]', isRequired: true, text: '', groupText: '' },
      { path: 'list[].c', type: '{ keys: object[] }', isRequired: true, text: 'Some text, in two lines.' },
      { path: 'one', type: 'BOptions', isRequired: false, text: 'One.', groupText: '' },
      { path: 'one.c', type: '{ keys: object[] }', isRequired: true, text: 'Some text, in two lines.' },
      { path: 'plain', type: 'string | null', isRequired: false, text: '' },
    ])
  })
})
