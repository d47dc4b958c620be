/** Where a token may be read and made, and what may write on spans: each place is listed here, and there are no others. */

import { describe, expect, it } from 'vitest'
import type { Node, SourceFile } from './source.ts'
import { child, nameOf, readSources, sourceFile, walk } from './source.ts'

const sources = readSources()

/** How often each file mentions `name` in code, declarations of a method or function of that name aside. */
function uses(files: readonly SourceFile[], name: string): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const file of files) {
    for (const { node, parent } of walk(file.tree)) {
      const mentioned = (node.type === 'Identifier' || node.type === 'Literal') && nameOf(node) === name
      if (mentioned && !declares(parent, node)) counts[file.path] = (counts[file.path] ?? 0) + 1
    }
  }
  return counts
}

function declares(parent: Node, node: Node): boolean {
  const isMember = parent.type === 'MethodDefinition' || parent.type === 'TSMethodSignature'
  if (isMember) return parent['key'] === node
  // `imported` and `local` of an import are one mention, and not yet a use.
  return parent.type === 'FunctionDeclaration' ? parent['id'] === node : parent.type === 'ImportSpecifier'
}

/** How often each file constructs `name`. */
function constructions(files: readonly SourceFile[], name: string): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const file of files) {
    for (const { node } of walk(file.tree)) {
      if (node.type !== 'NewExpression') continue
      const callee = child(node, 'callee')
      if (callee.type === 'Identifier' && nameOf(callee) === name) counts[file.path] = (counts[file.path] ?? 0) + 1
    }
  }
  return counts
}

const HOUSE_RULES: Readonly<Record<string, (node: Node) => boolean>> = {
  'no any': ({ type }) => type === 'TSAnyKeyword',
  'no enum': ({ type }) => type === 'TSEnumDeclaration',
  'no default export': (node) =>
    node.type === 'ExportDefaultDeclaration' ||
    (node.type === 'ExportSpecifier' && nameOf(child(node, 'exported')) === 'default'),
  'no console': (node) => node.type === 'Identifier' && nameOf(node) === 'console',
}

/** `file: rule` for each rule that is broken. */
function brokenRules(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap((file) => {
    const nodes = [...walk(file.tree)].map(({ node }) => node)
    return Object.entries(HOUSE_RULES).flatMap(([rule, breaks]) =>
      nodes.some(breaks) ? [`${file.path}: ${rule}`] : [],
    )
  })
}

/** The files that do not begin with one line that is a sentence. */
function withoutSentence(files: readonly SourceFile[]): readonly string[] {
  return files.filter(({ text }) => !/^(?:#!\S+ node\n)?\/\*\* \S.*[.?!] \*\/\n/.test(text)).map(({ path }) => path)
}

describe('a token', () => {
  it('is revealed in these places only', () => {
    expect(uses(sources, 'reveal')).toEqual({
      'token/verified-credential.ts': 4,
      'token/bearer.ts': 1,
      'verification/verification-cache.ts': 1,
      'verification/verifier.ts': 4,
      'exchange/exchanger.ts': 6,
      'exchange/shared-source.ts': 1,
      'propagation/propagator.ts': 1,
    })
  })

  it('becomes a verified credential in verification/ only', () => {
    expect(uses(sources, 'createVerifiedCredential')).toEqual({
      'verification/verify.ts': 2,
      'verification/issued-token.ts': 1,
    })
    expect(constructions(sources, 'VerifiedCredentialImpl')).toEqual({ 'token/verified-credential.ts': 1 })
  })

  it.each([
    ['replaceMonotonicClock', ['testing/fake-time.ts']],
    ['setGated', ['ingress/http/relay-gate.ts', 'testing/test-relay.ts']],
  ])('is exempt from its rules by %s in these places only', (name, places) => {
    const files = Object.keys(uses(sources, name))
    expect(files.filter((file) => !places.includes(file))).toEqual([])
    expect(files.length).toBeGreaterThan(0)
  })

  it('is recorded by one file, the only one that adds events to spans', () => {
    expect(Object.keys(uses(sources, 'addEvent'))).toEqual(['telemetry/record.ts'])
  })

  it.each([
    'setStatus',
    'addLinks',
    'setAttribute',
    'setAttributes',
  ])('reaches no span by %s outside of telemetry/', (method) => {
    const files = Object.keys(uses(sources, method))
    expect(files.length).toBeGreaterThan(0)
    expect(files.filter((file) => !file.startsWith('telemetry/'))).toEqual([])
  })

  it.each(['recordException', 'addLink', 'updateName'])('reaches no span by %s, which is not used', (method) => {
    expect(uses(sources, method)).toEqual({})
  })
})

describe('the source', () => {
  it('has no any, enum, default export or console', () => {
    expect(brokenRules(sources)).toEqual([])
  })

  it('says in the first line of each file what it is', () => {
    expect(withoutSentence(sources)).toEqual([])
  })
})

describe('the checks catch', () => {
  it.each([
    'credential.reveal()',
    'credential?.reveal()',
    "credential['reveal']()",
    'const { reveal } = credential',
    'const { reveal: text } = credential',
    'const read = credential.reveal',
  ])('%s', (text) => {
    expect(Object.keys(uses([sourceFile('a.ts', text)], 'reveal'))).toEqual(['a.ts'])
  })

  it('every call, and neither declarations nor comments', () => {
    const text = `
      import { reveal } from './b.ts'
      /** reveal */
      interface A { reveal(): string }
      class B { reveal(): string { return '' } }
      function reveal() {}
      a.reveal(b.reveal())`
    expect(uses([sourceFile('a.ts', text)], 'reveal')).toEqual({ 'a.ts': 2 })
  })

  it('a second construction', () => {
    const text = 'new VerifiedCredentialImpl(a)\nnew VerifiedCredentialImpl(b)\nnew Other()'
    expect(constructions([sourceFile('a.ts', text)], 'VerifiedCredentialImpl')).toEqual({ 'a.ts': 2 })
  })

  it.each([
    ['no any', 'export const a = b as any'],
    ['no any', 'export function f(a: Map<string, any>) {}'],
    ['no enum', 'export enum A { B }'],
    ['no enum', 'export const enum A { B }'],
    ['no default export', 'export default function f() {}'],
    ['no default export', 'const a = 1\nexport { a as default }'],
    ['no console', 'console.log(1)'],
    ['no console', 'globalThis.console.log(1)'],
  ])('%s: %s', (rule, text) => {
    expect(brokenRules([sourceFile('a.ts', text)])).toEqual([`a.ts: ${rule}`])
  })

  it.each([
    "import 'node:http'\n",
    '// A sentence.\n',
    '/** no full stop */\n',
    '/**\n * On the second line.\n */\n',
    '\n/** After an empty line. */\n',
  ])('a file that begins with %j', (text) => {
    expect(withoutSentence([sourceFile('a.ts', text)])).toEqual(['a.ts'])
  })
})
