/** A folder imports only from itself and from folders above it in the table of the folders. */

import { builtinModules } from 'node:module'
import { posix } from 'node:path'
import { describe, expect, it } from 'vitest'
import { column, findTable, readDocument } from '../docs/markdown.ts'
import { findCycles, targetsOf } from './measures.ts'
import type { SourceFile } from './source.ts'
import { importsOf, readFolders, readSources, sourceFile } from './source.ts'

const sources = readSources()
const steps = column(findTable('Folder of `src`'), 'Folder of `src`')
const folders = steps.filter((step) => step.endsWith('/')).map((step) => step.slice(0, -1))
const manifest = JSON.parse(readDocument('package.json')) as Record<string, Record<string, unknown>>
const packages = [manifest['dependencies'], manifest['peerDependencies']].flatMap((entries) =>
  Object.keys(entries ?? {}),
)

/** The folder of a path below `src`; the file itself where it stands at the top. */
function placeOf(path: string): string {
  const slash = path.indexOf('/')
  return slash === -1 ? path : path.slice(0, slash)
}

/** Whether a file in `place` may import one in `other`, which is elsewhere. */
function mayImport(place: string, other: string, order: readonly string[]): boolean {
  if (place === 'register' || other === 'version.ts') return true
  if (other === 'register') return false
  if (place.endsWith('.ts')) return true
  const [from, to] = [order.indexOf(place), order.indexOf(other)]
  return to !== -1 && to < from
}

/** The imports that go down or across, as `file -> file`. */
function wrongImports(files: readonly SourceFile[], order: readonly string[]): readonly string[] {
  return files.flatMap((file) =>
    targetsOf(file)
      .filter((target) => placeOf(target) !== placeOf(file.path))
      .filter((target) => !mayImport(placeOf(file.path), placeOf(target), order))
      .map((target) => `${file.path} -> ${target}`),
  )
}

/** Imports that lead to no file of `src`, no `node:` module, and no package that users of this one have. */
function strangeImports(files: readonly SourceFile[]): readonly string[] {
  const paths = new Set(files.map(({ path }) => path))
  const known = (file: SourceFile, specifier: string): boolean =>
    specifier.startsWith('.')
      ? paths.has(posix.join(posix.dirname(file.path), specifier))
      : specifier.startsWith('node:')
        ? builtinModules.includes(specifier.slice('node:'.length))
        : packages.some((name) => specifier === name || specifier.startsWith(`${name}/`))
  return files.flatMap((file) =>
    importsOf(file)
      .filter((specifier) => !known(file, specifier))
      .map((specifier) => `${file.path} -> ${specifier}`),
  )
}

describe('the folders of src', () => {
  it('are those of the table', () => {
    expect(folders.toSorted()).toEqual(readFolders().toSorted())
  })

  it('import from themselves and from folders above them only', () => {
    expect(wrongImports(sources, folders)).toEqual([])
  })

  it('have no import cycles, types included', () => {
    expect(findCycles(sources)).toEqual([])
  })

  it('import what is there: files of src, Node.js, dependencies and peers', () => {
    expect(sources.flatMap(importsOf).length).toBeGreaterThan(100)
    expect(strangeImports(sources)).toEqual([])
  })
})

describe('the checks catch', () => {
  const order = ['token', 'egress', 'register']

  it.each([
    ['token/a.ts', '../egress/b.ts'],
    ['token/a.ts', '../nowhere/b.ts'],
    ['token/a.ts', '../relay.ts'],
    ['egress/a.ts', '../options.ts'],
    ['egress/a.ts', '../index.ts'],
    ['egress/a.ts', '../register/b.ts'],
    ['relay.ts', './register/b.ts'],
    ['index.ts', './register/b.ts'],
  ])('%s importing %s', (path, specifier) => {
    const expected = [`${path} -> ${posix.join(posix.dirname(path), specifier)}`]
    expect(wrongImports([sourceFile(path, `import type { X } from '${specifier}'`)], order)).toEqual(expected)
    expect(wrongImports([sourceFile(path, `export { x } from '${specifier}'`)], order)).toEqual(expected)
    expect(wrongImports([sourceFile(path, `export * from '${specifier}'`)], order)).toEqual(expected)
    expect(wrongImports([sourceFile(path, `import '${specifier}'`)], order)).toEqual(expected)
    expect(wrongImports([sourceFile(path, `void import('${specifier}')`)], order)).toEqual(expected)
    expect(wrongImports([sourceFile(path, `require('${specifier}')`)], order)).toEqual(expected)
    expect(wrongImports([sourceFile(path, `let x: import('${specifier}').X`)], order)).toEqual(expected)
  })

  it('nothing where the direction is right', () => {
    const right = [
      sourceFile('egress/a.ts', "import '../token/b.ts'\nimport './c.ts'\nimport '../version.ts'\nimport 'jose'"),
      sourceFile('relay.ts', "import './options.ts'\nimport './egress/a.ts'"),
      sourceFile('register/a.ts', "import '../relay.ts'\nimport '../options.ts'\nimport '../index.ts'"),
    ]
    expect(wrongImports(right, order)).toEqual([])
  })

  it('a cycle of three files, and no other file', () => {
    const files = [
      sourceFile('a.ts', "import './b.ts'"),
      sourceFile('b.ts', "import type { C } from './token/c.ts'"),
      sourceFile('token/c.ts', "import '../a.ts'"),
      sourceFile('d.ts', "import './a.ts'"),
    ]
    expect(findCycles(files)).toEqual(['a.ts', 'b.ts', 'token/c.ts'])
  })

  it('imports of development dependencies, of missing files, and of built-in modules without node:', () => {
    const file = sourceFile(
      'a.ts',
      "import 'vitest'\nimport './b.ts'\nimport 'http'\nimport 'node:nothing'\nimport 'jose'",
    )
    expect(strangeImports([file])).toEqual(['a.ts -> vitest', 'a.ts -> ./b.ts', 'a.ts -> http', 'a.ts -> node:nothing'])
  })
})
