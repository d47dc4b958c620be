/** docs/contribute/attacks.md and the titles of the tests name the same rows. */

import { describe, expect, it } from 'vitest'
import { sourceFile } from '../architecture/source.ts'
import type { Title } from '../architecture/titles.ts'
import { readTestFiles, titlesOf } from '../architecture/titles.ts'
import { readDocument } from '../docs/markdown.ts'
import type { AttackRow } from './list.ts'
import { readAttacks, writeAttacks } from './list.ts'

const document = readDocument('docs/contribute/attacks.md')
const attacks = readAttacks(document)
const titles = titlesOf(readTestFiles())

/** Rows that no test names, and rows that a test names and that do not exist. */
function differences(rows: readonly AttackRow[], named: readonly Title[]): readonly string[] {
  const ids = rows.map(({ id }) => id)
  const tested = new Set(named.flatMap((title) => title.rows))
  return [
    ...ids.filter((id, i) => ids.indexOf(id) !== i).map((id) => `${id} is there twice`),
    ...ids.filter((id) => !tested.has(id)).map((id) => `no test names ${id}`),
    ...named.flatMap(({ file, text, rows: of }) =>
      of.filter((id) => !ids.includes(id)).map((id) => `${file}: "${text}" names ${id}, which is no row`),
    ),
  ]
}

/** Titles that name a row elsewhere than in brackets at their end. */
function misplaced(named: readonly Title[]): readonly string[] {
  return named.filter(({ text }) => /(^|[\s([])[A-J]\d{1,2}([\s:,)\]]|$)/.test(text)).map(({ text }) => text)
}

describe('each row of docs/contribute/attacks.md', () => {
  it('is held by a test, and each row that a test names is there', () => {
    expect(attacks.length).toBeGreaterThan(120)
    expect(differences(attacks, titles)).toEqual([])
  })

  it('says the attack and the outcome in one sentence each', () => {
    const unfinished = attacks.filter(
      ({ attack, outcome }) => ![attack, outcome].every((text) => /^\S.*\.$/.test(text)),
    )
    expect(unfinished).toEqual([])
  })

  it('stands last in the titles that name it', () => {
    expect(misplaced(titles)).toEqual([])
  })

  it('shows its tests as they are called now: `npm run attacks` writes that', () => {
    expect(document).toBe(writeAttacks(document, titles))
  })
})

describe('the checks catch', () => {
  const read = (text: string) => titlesOf([sourceFile('test/a.test.ts', text)])
  const row = (id: string) => ({ id, attack: 'An attack.', outcome: 'Nothing.', heldBy: '' })

  it.each([
    "it('refuses x [A1]', () => undefined)",
    'it(`refuses x [A1]`, () => undefined)',
    "describe.skipIf(false)('refuses x [A1]', () => undefined)",
    "it.each<readonly [string]>([['x [A1]']] as const)('refuses %s', () => undefined)",
    "const cases = [['x [B2, A1]', 1]]\nit.each(cases)('refuses %s', () => undefined)",
  ])('a row that is gone, named by %j', (text) => {
    expect(differences([row('B2')], read(text))).toContainEqual(expect.stringContaining('names A1, which is no row'))
  })

  it('a row without a test, and one that is there twice', () => {
    const named = read("it('refuses x [A1]', () => undefined)\nlog('refuses y A2')")
    expect(differences(['A1', 'A1', 'A2'].map(row), named)).toEqual(['A1 is there twice', 'no test names A2'])
  })

  it.each(['A1 refuses x', 'refuses x (A1)', 'refuses x [A1] and y'])('a row elsewhere in a title: %s', (text) => {
    expect(misplaced(read(`it('${text}', () => undefined)`))).toEqual([text])
  })

  it('the titles of groups around a title', () => {
    const [, title] = read("describe('a token', () => { it('is refused [A1]', () => undefined) })")
    expect(title).toEqual({
      file: 'test/a.test.ts',
      groups: ['a token'],
      text: 'is refused',
      isCase: false,
      rows: ['A1'],
    })
  })
})
