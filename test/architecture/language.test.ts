/** Plain English: words that do not occur in the source, the documents and the titles of tests, and lines that can be read. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { PAGES, ROOT, readDocument } from '../docs/markdown.ts'
import { readSources } from './source.ts'
import { readTestFiles, titlesOf } from './titles.ts'

/** A piece of writing: a file, or the titles of the tests in one. */
interface Text {
  readonly path: string
  readonly text: string
}

/** What stands there in its place is shorter: a caller, an attacker, nothing, no caller, recorded, its own, "if". */
const WORDS = ['whoever', 'whomever', 'nobody', 'somebody', 'told', 'of its own', 'in front of whom']

/** Words that are names or quotations: where, which, and why they stay. */
const NAMES: readonly (readonly [path: string, text: string, reason: string])[] = [
  ['src/config/destinations.ts', "input === 'nobody'", 'The former value of the option, which is refused.'],
  ['CHANGELOG.md', "onMissing: 'nobody'", 'The former value of the option.'],
  ['CHANGELOG.md', '`nobody` and `all`', 'The former names of the network policies.'],
  ['CHANGELOG.md', 'networkpolicy nobody all', 'The former names of the network policies.'],
]

const MAX_WIDTH = 120

const sources: readonly Text[] = readSources().map(({ path, text }) => ({ path: `src/${path}`, text }))

const titles: readonly Text[] = titlesOf(readTestFiles()).map(({ file, text }) => ({ path: file, text }))

const documents: readonly Text[] = [
  ...PAGES,
  'SECURITY.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'benchmarks/README.md',
  'src/egress/undici/README.md',
].flatMap((path) => (exists(path) ? [{ path, text: readDocument(path) }] : []))

/** `path: word` for each word that may not occur, in any case and over the end of a line. */
function wordsIn(texts: readonly Text[]): readonly string[] {
  return texts.flatMap(({ path, text }) =>
    WORDS.flatMap((word) => {
      const pattern = new RegExp(`(?<![\\w-])${word.replaceAll(' ', '\\s+(?:\\*\\s+|//\\s+)?')}(?![\\w-])`, 'gi')
      return [...withoutNames(path, text).matchAll(pattern)].map(
        ({ index }) => `${path}:${text.slice(0, index).split('\n').length}: ${word}`,
      )
    }),
  )
}

/** `text` with spaces in place of the names in it, so that what follows them keeps its line. */
function withoutNames(path: string, text: string): string {
  return NAMES.filter(([place]) => path.startsWith(place)).reduce(
    (rest, [, name]) => rest.replaceAll(name, ' '.repeat(name.length)),
    text,
  )
}

/** `path: line` for each line of a comment that is wider than the code may be. */
function wideComments(texts: readonly Text[]): readonly string[] {
  return texts.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, i) => (isComment(line) && line.length > MAX_WIDTH ? [`${path}:${i + 1}`] : [])),
  )
}

function isComment(line: string): boolean {
  return /^\s*(\/\*|\*|\/\/)/.test(line)
}

function exists(path: string): boolean {
  return existsSync(join(ROOT, path))
}

describe('the words of the list do not occur', () => {
  it('in the source: code, comments, errors and descriptions', () => {
    expect(wordsIn(sources)).toEqual([])
  })

  it('in the documents', () => {
    expect(documents.length).toBeGreaterThan(6)
    expect(wordsIn(documents)).toEqual([])
  })

  it('in the titles of the tests', () => {
    expect(titles.length).toBeGreaterThan(1_000)
    expect(wordsIn(titles)).toEqual([])
  })
})

it('no comment of the source is wider than 120 characters', () => {
  expect(wideComments(sources)).toEqual([])
})

it('names that are excepted occur, and have a reason', () => {
  const texts = [...sources, ...documents, ...titles]
  const unused = NAMES.filter(
    ([path, name]) => !texts.some((each) => each.path.startsWith(path) && each.text.includes(name)),
  )
  expect(unused).toEqual([])
  expect(NAMES.filter(([, , reason]) => !/^[A-Z].*\.$/.test(reason))).toEqual([])
})

describe('the checks catch', () => {
  it.each([
    ['whoever', '/** As whoever calls. */'],
    ['nobody', "throw new Error('Nobody is there')"],
    ['told', 'it("is told", f)'],
    ['of its own', 'a queue\n * of its\n * own'],
    ['in front of whom', 'in front of whom'],
  ])('%s in %j', (word, text) => {
    expect(wordsIn([{ path: 'a', text }])).toEqual([expect.stringContaining(`: ${word}`)])
  })

  it.each(['runAsNobody()', 'itsown', "'nobody-else'", 'stolds'])('nothing in %j', (text) => {
    expect(wordsIn([{ path: 'a', text }])).toEqual([])
  })

  it('a wide comment, and no wide code', () => {
    const text = `// ${'a'.repeat(118)}\n   * ${'a'.repeat(115)}\nconst a = '${'a'.repeat(118)}'`
    expect(wideComments([{ path: 'a', text }])).toEqual(['a:1'])
  })
})
