/** How long files and functions of src may be. `npm run measure` prints the measures. */

import { describe, expect, it } from 'vitest'
import { functionsOf, lineKindsOf, linesOf, quantile } from './measures.ts'
import type { SourceFile } from './source.ts'
import { readSources, sourceFile } from './source.ts'

const sources = readSources()

const MAX_FUNCTION_LINES = 60
const MAX_FILE_LINES = 330

function longFunctions(files: readonly SourceFile[]): readonly string[] {
  return files
    .flatMap(functionsOf)
    .filter(({ lines }) => lines > MAX_FUNCTION_LINES)
    .map(({ file, name, lines }) => `${file}: ${name} has ${lines} lines`)
}

function longFiles(files: readonly SourceFile[]): readonly string[] {
  return files.filter((file) => linesOf(file) > MAX_FILE_LINES).map((file) => `${file.path} has ${linesOf(file)} lines`)
}

describe('in src', () => {
  it('no function has more than 60 lines', () => {
    expect(longFunctions(sources)).toEqual([])
  })

  it('no file has more than 330 lines', () => {
    expect(longFiles(sources)).toEqual([])
  })
})

describe('the checks catch', () => {
  const body = 'a()\n'.repeat(60)

  it.each([
    ['f', `function f() {\n${body}}`],
    ['f', `const f = () => {\n${body}}`],
    ['f', `const f = async function () {\n${body}}`],
    ['f', `class A { f() {\n${body}} }`],
    ['f', `const a = { f: () => {\n${body}} }`],
    ['(anonymous)', `export const a = g(() => {\n${body}})`],
    ['inner', `class A { a() { const inner = () => {\n${body}} } }`],
  ])('a long function %s', (name, text) => {
    expect(longFunctions([sourceFile('a.ts', text)])).toContainEqual(`a.ts: ${name} has 62 lines`)
  })

  it('a long file, and none of 330 lines', () => {
    const files = [330, 331].map((length) => sourceFile(`${length}.ts`, 'a()\n'.repeat(length)))
    expect(longFiles(files)).toEqual(['331.ts has 331 lines'])
  })
})

describe('the measures', () => {
  it('tell code from comments', () => {
    const text = '/** Doc. */\n\n/**\n * More\n */\nconst a = 1 // b\n// c\n/* d\n e */\nconst f = 2\n'
    expect(lineKindsOf(sourceFile('a.ts', text))).toEqual({ code: 2, doc: 4, comment: 3 })
  })

  it('have a median and other quantiles', () => {
    const values = Array.from({ length: 100 }, (_, i) => 100 - i)
    expect([0.5, 0.95, 1].map((share) => quantile(values, share))).toEqual([50, 95, 100])
    expect(quantile([], 0.5)).toBe(0)
  })
})
