/** The walks of `docs/contribute/map.md` lead through functions that exist, and that call each other. */

import { describe, expect, it } from 'vitest'
import type { Walk } from './map.ts'
import { callsOf, MEND, problemsOf, readMap, walksIn, withLines } from './map.ts'
import { sourceFile } from './source.ts'

const map = readMap()
const walks = walksIn(map)

/** Most files that a walk may open. */
const MOST_FILES: Readonly<Record<string, number>> = {
  'A warm token through `http`': 8,
  'A warm token through `undici` and `fetch`': 11,
  'A cold token through `http`': 12,
}

describe('the map', () => {
  it('has the three walks of a token', () => {
    expect(walks.map(({ title }) => title)).toEqual(Object.keys(MOST_FILES))
  })

  it.each(walks)('says how many files are opened, and they are few: $title', ({ title, files, steps }) => {
    expect(new Set(steps.map(({ file }) => file)).size).toBe(files)
    expect(files).toBeLessThanOrEqual(MOST_FILES[title] ?? 0)
  })

  it.each(walks)('leads through functions that exist and call each other: $title', (walk) => {
    expect(problemsOf(walk)).toEqual([])
  })

  it(`has the line numbers of the source: ${MEND}`, () => {
    expect(map, `run: ${MEND}`).toBe(withLines(map))
  })
})

describe('the checks catch', () => {
  const files = {
    'a.ts': sourceFile('a.ts', 'export function a() {\n  inner()\n}\nconst inner = () => options.decide(new B())\n'),
    'b.ts': sourceFile('b.ts', '/** b */\nclass B {\n  #c() {}\n  b() {\n    this.#c()\n  }\n}\n'),
  }
  const read = (path: string) => files[path as keyof typeof files]
  const walkOf = (...lines: readonly string[]): Walk => {
    const [walk] = walksIn(['## T: 2 files', ...lines].join('\n'))
    if (walk === undefined) throw new Error('there is no walk')
    return walk
  }
  const FIRST = '1. `a.ts:1` `a`: Begins.'

  it('a function that does not exist', () => {
    expect(problemsOf(walkOf('1. `a.ts:1` `gone`: Begins.'), read)).toEqual(['T: gone of a.ts does not exist'])
  })

  it('a function that no earlier one calls', () => {
    expect(problemsOf(walkOf(FIRST, '2. `b.ts:4` `b`, called by `a`: Ends.'), read)).toEqual([
      'T: b of b.ts is not called by a as b',
    ])
    expect(problemsOf(walkOf('1. `b.ts:4` `b`, called by `a` as `decide`: Ends.', FIRST), read)).toHaveLength(1)
  })

  it('nothing if it is called through a name, or by another function of the file', () => {
    expect(problemsOf(walkOf(FIRST, '2. `b.ts:4` `b`, called by `a` as `decide`: Ends.'), read)).toEqual([])
    expect(callsOf(files['b.ts'], 'b')).toEqual(new Set(['#c']))
  })

  it('a line number that is not that of the function', () => {
    expect(withLines('1. `b.ts:1` `#c`: Ends.', read)).toBe('1. `b.ts:3` `#c`: Ends.')
  })

  it('a step that is not written as one', () => {
    expect(() => walkOf('1. `a.ts` `a`: Begins.')).toThrow('not a step of a walk')
  })
})
