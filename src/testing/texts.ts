/** Visits every text in a value: in spans, log records, metrics, errors and their members. */

import { isObject } from '../base/own-property.ts'

/** Most objects that are visited; no batch of an exporter has as many. */
const MAX_OBJECTS = 1_000_000

/** Calls `visit` with all texts in `value`: members, their names, messages and stacks of errors, bytes. */
export function forEachText(value: unknown, visit: (text: string) => void): void {
  const pending = [value]
  const seen = new Set<object>()
  while (pending.length > 0 && seen.size < MAX_OBJECTS) {
    const next = pending.pop()
    if (typeof next === 'string') visit(next)
    else if (typeof next === 'symbol') visit(next.description ?? '')
    else if (isObject(next) && !seen.has(next)) {
      seen.add(next)
      for (const part of readOrDefault(() => partsOf(next, visit), [])) pending.push(part)
    }
  }
}

/** Returns the members of an object. */
function partsOf(value: object, visit: (text: string) => void): readonly unknown[] {
  if (ArrayBuffer.isView(value)) return textsOfView(value)
  if (value instanceof ArrayBuffer) return [Buffer.from(value).toString('latin1')]
  if (value instanceof Map) return [...value].flat()
  if (value instanceof Set) return [...value]
  const names = namesOf(value)
  const members = names.map((name) => read(value, name))
  for (const name of names) visit(String(typeof name === 'symbol' ? name.description : name))
  return names[0] === '0' ? [...members, ...joinedTexts(members)] : members
}

function textsOfView(view: ArrayBufferView): readonly string[] {
  const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('latin1')
  const isBytes = view instanceof DataView || view instanceof Uint8Array
  return isBytes ? [bytes] : [bytes, Array.from(view as unknown as ArrayLike<number>).join(',')]
}

/** Joins numbers, which may be bytes, and strings, which may be the characters of a text. */
function joinedTexts(members: readonly unknown[]): readonly string[] {
  const [numbers, texts] = (['number', 'string'] as const).map((type) =>
    members.filter((member) => typeof member === type),
  )
  return [numbers?.join(',') ?? '', texts?.join('') ?? ''].filter((text) => text !== '')
}

/**
 * Returns members and accessors. Skips private members of SDK instances (`_…`), which lead to everything that the SDK
 * holds.
 */
function namesOf(value: object): readonly PropertyKey[] {
  const names = new Set<PropertyKey>(Reflect.ownKeys(value))
  let isInstance = false
  for (let from = prototypeOf(value); from !== null && from !== Object.prototype; from = prototypeOf(from)) {
    isInstance = true
    for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(from))) {
      if (get !== undefined) names.add(name)
    }
  }
  return [...names].filter((name) => !(isInstance && String(name).startsWith('_')))
}

function prototypeOf(value: object): object | null {
  return Object.getPrototypeOf(value) as object | null
}

function read(value: object, name: PropertyKey): unknown {
  return readOrDefault(() => Reflect.get(value, name) as unknown, undefined)
}

function readOrDefault<T>(look: () => T, otherwise: T): T {
  try {
    return look()
  } catch {
    return otherwise
  }
}
