/** Notes on the objects of others, whatever these are. */

import { inspect } from 'node:util'
import { expect, it } from 'vitest'
import { createNotes } from '../../src/token/notes.ts'

const OBJECTS: Readonly<Record<string, () => object>> = {
  'an object': () => ({ a: 1 }),
  'one without a prototype': () => Object.assign(Object.create(null) as object, { a: 1 }),
  'a frozen one': () => Object.freeze({ a: 1 }),
  'a map': () => new Map([['a', 1]]),
  headers: () => new Headers({ a: '1' }),
  'a proxy': () => new Proxy({ a: 1 }, {}),
  'an array': () => [1],
}

it.each(Object.entries(OBJECTS))('%s has one, and another one later', (_, create) => {
  const [notes, others, object] = [createNotes<string>(), createNotes<string>(), create()]
  expect(notes.get(object)).toBeUndefined()
  notes.set(object, 'first')
  expect([notes.get(object), others.get(object)]).toEqual(['first', undefined])
  notes.set(object, 'second')
  others.set(object, 'other')
  expect([notes.get(object), others.get(object)]).toEqual(['second', 'other'])
})

it.each(Object.entries(OBJECTS))('%s shows nothing of it, and copies do not have it', (_, create) => {
  const [notes, object, untouched] = [createNotes<string>(), create(), create()]
  notes.set(object, 'secret')
  expect(Reflect.ownKeys(object)).toEqual(Reflect.ownKeys(untouched))
  expect(inspect(object, { showHidden: true })).toBe(inspect(untouched, { showHidden: true }))
  expect(notes.get({ ...object })).toBeUndefined()
  expect(notes.get(Object.create(object) as object)).toBeUndefined()
  expect(notes.get(new Proxy(object, {}))).toBeUndefined()
})
