/** The tables of the README and of the pages say what the source says, no more and no less. */

import { describe, expect, it } from 'vitest'
import { OptionError } from '../../src/base/option-checks.ts'
import { parseOptions } from '../../src/config/options.ts'
import { VERSION } from '../../src/version.ts'
import type { Row } from '../docs/markdown.ts'
import { codes, column, findTable, plain, readDocument, readTable } from '../docs/markdown.ts'
import { readErrors } from '../reference/source-facts.ts'
import type { Node, SourceFile } from './source.ts'
import { child, children, nameOf, nodesOf, readSources, sourceFile } from './source.ts'

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

/** Rows of the errors table as one line each. */
function errorLines(rows: readonly Row[]): readonly string[] {
  return rows.map((row) => ['Code', 'Class', 'Status', 'Message'].map((name) => plain(row[name] ?? '')).join(' | '))
}

function errorsOfSource(): readonly string[] {
  return readErrors().map(({ code, name, status, message }) => [code, name, status ?? '', message].join(' | '))
}

/** The strings in `files` that read like attributes: words with dots between them. */
function attributeNames(files: readonly SourceFile[]): readonly string[] {
  const texts = files.flatMap((file) => nodesOf(file.tree, 'Literal').map(nameOf))
  return [...new Set(texts)].filter((text) => /^[a-z_]+(\.[a-z_]+)+$/.test(text))
}

const EVENTS = findTable('Event', 'Span', 'Attributes')
const REASONS = unionMembers(source('telemetry/events.ts'), 'WithholdReason')

describe('errors', () => {
  it('are those of the source, with class, status and message', () => {
    expect(differences(errorLines(findTable('Code', 'Class', 'Status', 'Message')), errorsOfSource())).toEqual([])
  })

  it('stand in TOKEN_ERRORS wherever the source names one', () => {
    const named = sources.flatMap((file) => nodesOf(file.tree, 'Literal').map(nameOf))
    const used = named.filter((text) => /^ERR_[A-Z_]+$/.test(text))
    expect(
      used.filter((code) => !column(findTable('Code', 'Class', 'Status', 'Message'), 'Code').includes(code)),
    ).toEqual([])
  })
})

describe('destinations', () => {
  const issuers = [{ issuer: 'https://id.example.com', audience: 'a' }]

  it.each(column(findTable('Accepted', 'Means'), 'Accepted'))('%s is accepted', (to) => {
    expect(problemOf({ issuers, destinations: [{ to }] })).toBeUndefined()
  })

  it.each(
    findTable('Refused', 'Reason given at start').map((row) => [
      plain(row['Refused'] ?? ''),
      row['Reason given at start'],
    ]),
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
      differences(column(EVENTS, 'Event'), discriminants(source('telemetry/events.ts'), 'AuthEvent', 'name')),
    ).toEqual([])
  })

  it('have the attributes of the source', () => {
    const attributes = column(findTable('Attribute', 'Type'), 'Attribute')
    const telemetry = sources.filter(({ path }) => path.startsWith('telemetry/'))
    const others = [...column(EVENTS, 'Event'), ...column(findTable('Metric', 'Kind'), 'Metric')]
    const named = attributeNames(telemetry).filter((name) => !others.includes(name))
    expect(differences(attributes, named)).toEqual([])
    expect(
      EVENTS.flatMap((row) => codes(row['Attributes'] ?? '')).filter((name) => !attributes.includes(name)),
    ).toEqual([])
  })

  it('have more attributes in the audit trail, which are those of the source', () => {
    const shared = column(findTable('Attribute', 'Type'), 'Attribute')
    const named = attributeNames(sources.filter(({ path }) => path.startsWith('audit/'))).filter(
      (name) => !shared.includes(name),
    )
    const others = [...column(EVENTS, 'Event'), 'auth.audit.resumed', 'audit.file']
    expect(
      differences(
        column(findTable('Attribute of records'), 'Attribute of records'),
        named.filter((name) => !others.includes(name)),
      ),
    ).toEqual([])
  })

  it('give the reasons of the source', () => {
    expect(differences(column(findTable('Reason'), 'Reason'), REASONS)).toEqual([])
  })

  const givers = sources.filter((file) => file.path !== 'telemetry/events.ts')
  const given = givers.flatMap((file) => nodesOf(file.tree, 'Literal').map(nameOf))

  it.each(REASONS)('%s is given somewhere', (reason) => {
    expect(given).toContain(reason)
  })
})

describe('exports', () => {
  it('are those of index.ts, types aside', () => {
    const named = column(findTable('Export'), 'Export').map((text) => text.replace(/\(.*/, ''))
    expect(differences(named, exportedValues(source('index.ts')))).toEqual([])
  })
})

describe('adapters', () => {
  it('are the exports of package.json that lie in ingress/', () => {
    const imports = column(findTable('Framework', 'Import', 'Authenticate'), 'Import')
    const exported = Object.entries(manifest.exports)
      .filter(([, entry]) => typeof entry !== 'string' && entry.default.startsWith('./dist/ingress/adapters/'))
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
    const rows = findTable('Package', 'Kind')
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
    const rows = findTable('Code', 'Class', 'Status', 'Message')
    const changed = (column: string, from: string, to: string): readonly Row[] => {
      const at = rows.findIndex((row) => row[column] === from)
      return rows.map((row, i) => (i === at ? { ...row, [column]: to } : row))
    }
    expect(differences(errorLines(rows), errorsOfSource())).toEqual([])
    for (const wrong of [
      changed('Message', 'the token has expired', 'the token expired'),
      changed('Status', '400', '401'),
      changed('Class', '`TokenRejectedError`', '`UndecidedError`'),
    ]) {
      expect(differences(errorLines(wrong), errorsOfSource())).toHaveLength(2)
    }
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
