/** Private metadata on objects of all kinds. */

import { inspect } from 'node:util'
import { expect, it } from 'vitest'
import { createObjectMetadata } from '../../src/base/object-metadata.ts'

const OBJECTS: Readonly<Record<string, () => object>> = {
  'an object': () => ({ a: 1 }),
  'one without a prototype': () => Object.assign(Object.create(null) as object, { a: 1 }),
  'a frozen one': () => Object.freeze({ a: 1 }),
  'a map': () => new Map([['a', 1]]),
  headers: () => new Headers({ a: '1' }),
  'a proxy': () => new Proxy({ a: 1 }, {}),
  'an array': () => [1],
}

it.each(Object.entries(OBJECTS))('%s has metadata that can be replaced', (_, create) => {
  const [metadata, others, object] = [createObjectMetadata<string>(), createObjectMetadata<string>(), create()]
  expect(metadata.get(object)).toBeUndefined()
  metadata.set(object, 'first')
  expect([metadata.get(object), others.get(object)]).toEqual(['first', undefined])
  metadata.set(object, 'second')
  others.set(object, 'other')
  expect([metadata.get(object), others.get(object)]).toEqual(['second', 'other'])
})

it.each(Object.entries(OBJECTS))('%s does not show its metadata, and its copies have none', (_, create) => {
  const [metadata, object, untouched] = [createObjectMetadata<string>(), create(), create()]
  metadata.set(object, 'secret')
  expect(Reflect.ownKeys(object)).toEqual(Reflect.ownKeys(untouched))
  expect(inspect(object, { showHidden: true })).toBe(inspect(untouched, { showHidden: true }))
  expect(metadata.get({ ...object })).toBeUndefined()
  expect(metadata.get(Object.create(object) as object)).toBeUndefined()
  expect(metadata.get(new Proxy(object, {}))).toBeUndefined()
})
