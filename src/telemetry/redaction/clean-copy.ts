/** Copies values without tokens, so that exporters read what was redacted, and nothing that changes later. */

import { types } from 'node:util'
import { toBytes } from './byte-list.ts'
import { MIN_FRAGMENT } from './characters.ts'
import type { Redact } from './redaction.ts'
import { REDACTED } from './redaction.ts'

/** Levels of nested values; exporters go into each of them. */
const MAX_DEPTH = 64
/** Values in all. A value in several places counts in each of them, since exporters write it that often. */
const MAX_VALUES = 100_000
/** Characters and bytes in all: more than any back end accepts. */
const MAX_CHARACTERS = 4 * 2 ** 20

/** Copies the values of one span or log record. */
export interface CleanCopy {
  /**
   * Returns `value` without tokens; the same value if it is a primitive, or a list of primitives, and has none. Never
   * throws.
   */
  of(value: unknown): unknown
  /** Does the same for the attributes of an item, and returns the same object if none of them has a token. */
  ofAttributes(value: unknown): unknown
}

interface Copied {
  readonly value: unknown
  /** Number of values in it. */
  readonly size: number
}

/**
 * Creates a copy of one item. What is too deep, too large, circular or cannot be read is `[REDACTED]` or left out.
 * Takes time in proportion to what is read.
 */
export function createCleanCopy(redact: Redact): CleanCopy {
  return new Copier(redact)
}

class Copier implements CleanCopy {
  readonly #redact: Redact
  /** Finished copies; `undefined` while a value is being copied. Many items have no object to copy. */
  #known: Map<object, Copied | undefined> | undefined
  #depth = 0
  #values = 0
  #characters = 0

  constructor(redact: Redact) {
    this.#redact = redact
  }

  of(value: unknown): unknown {
    switch (typeof value) {
      case 'string':
        return this.#text(value)
      case 'object':
        return value === null ? value : this.#object(value)
      case 'function':
      case 'symbol':
        return undefined
      default:
        return value
    }
  }

  ofAttributes(value: unknown): unknown {
    return typeof value === 'object' && value !== null && this.#isClean(value) ? value : this.of(value)
  }

  #isClean(attributes: object): boolean {
    try {
      for (const name of Object.keys(attributes)) {
        const value: unknown = Reflect.get(attributes, name)
        if (this.#name(name) !== name || this.of(value) !== value) return false
      }
      return true
    } catch {
      return false
    }
  }

  #text(text: string): string {
    this.#characters += text.length
    return this.#characters > MAX_CHARACTERS ? REDACTED : this.#redact.text(text)
  }

  #name(name: string): string {
    this.#characters += name.length
    return this.#characters > MAX_CHARACTERS ? REDACTED : this.#redact.name(name)
  }

  #object(value: object): unknown {
    if (this.#isPlainList(value)) return value
    this.#known ??= new Map()
    const copies = this.#known
    const known = copies.get(value)
    if (known !== undefined) {
      this.#values += known.size
      return this.#values > MAX_VALUES ? REDACTED : known.value
    }
    this.#values += 1
    if (copies.has(value) || this.#depth === MAX_DEPTH || this.#values > MAX_VALUES) return REDACTED
    copies.set(value, undefined)
    const before = this.#values
    this.#depth += 1
    const copy = valueOr(() => this.#copy(value), REDACTED)
    this.#depth -= 1
    copies.set(value, { value: copy, size: this.#values - before + 1 })
    return copy
  }

  /** Whether the value is a list of few numbers, as times are: it is passed on, and needs no note. */
  #isPlainList(value: object): boolean {
    const length = lengthOfPlain(value)
    if (length === NONE || this.#depth === MAX_DEPTH || this.#values + length >= MAX_VALUES) return false
    this.#values += length + 1
    return true
  }

  #copy(value: object): unknown {
    if (Array.isArray(value)) return this.#list(value)
    if (isTraceState(value)) return this.#traceState(value)
    return Object.getPrototypeOf(value) === Object.prototype ? this.#record(value) : this.#instance(value)
  }

  #instance(value: object): unknown {
    if (ArrayBuffer.isView(value)) return this.#view(value)
    if (types.isAnyArrayBuffer(value)) return this.#bytes(Buffer.from(value))
    if (types.isDate(value)) return new Date(Date.prototype.getTime.call(value))
    if (types.isBoxedPrimitive(value)) return this.of(value.valueOf())
    if (types.isMap(value)) return new Map(this.#list([...value]) as readonly (readonly [unknown, unknown])[])
    if (types.isSet(value)) return new Set(this.#list([...value]))
    return types.isNativeError(value) ? this.#error(value) : this.#record(value)
  }

  /** Returns the same list if it has only primitives without tokens: most do, and programs may compare them. */
  #list(list: readonly unknown[]): readonly unknown[] {
    if (list.length > MAX_VALUES - this.#values) return [REDACTED]
    if (this.#isTextInPieces(list)) return [REDACTED]
    let isSame = true
    const copy: unknown[] = []
    for (let i = 0; i < list.length; i += 1) {
      const member = valueOr(() => list[i], undefined)
      this.#values += 1
      const clean = this.of(member)
      isSame &&= clean === member && (typeof member !== 'object' || member === null)
      copy.push(clean)
    }
    return isSame && !types.isProxy(list) && !hasNames(list) ? list : copy
  }

  /** Whether the members, as bytes, character codes or short strings, add up to text with a token. */
  #isTextInPieces(list: readonly unknown[]): boolean {
    if (list.length < MIN_FRAGMENT) return false
    return valueOr(() => {
      if (list.every((member) => typeof member === 'number')) return this.#hasToken(textOf(toBytes(list)))
      if (list.every((member) => typeof member === 'string' && member.length < MIN_FRAGMENT))
        return this.#hasToken(list.join(''))
      return false
    }, true)
  }

  #hasToken(text: string): boolean {
    return this.#text(text) !== text
  }

  #view(view: ArrayBufferView): unknown {
    const isBytes = !types.isTypedArray(view) || view.BYTES_PER_ELEMENT === 1
    const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength)
    if (isBytes) return this.#bytes(types.isUint8Array(view) ? view : bytes)
    const isToken = this.#hasToken(textOf(toBytes(view as unknown as ArrayLike<unknown>)))
    return isToken || this.#hasToken(textOf(bytes)) ? [REDACTED] : view
  }

  #bytes(bytes: Uint8Array): Uint8Array {
    const text = textOf(bytes)
    const clean = this.#text(text)
    if (clean === text && bytes.byteLength === bytes.buffer.byteLength) return bytes
    // In its own memory: printers show the whole buffer that a view is of.
    return Uint8Array.from(Buffer.from(clean, 'latin1'))
  }

  /** Drops a trace state that holds a token: no other part of it is of use elsewhere. */
  #traceState(state: TraceState): unknown {
    return this.#hasToken(state.serialize()) ? undefined : state
  }

  /** Adds the members of errors that programs print although they are not enumerable. */
  #error(error: Error): object {
    const shown = ['name', 'message', 'stack', 'cause'].filter((name) => name in error)
    const members = shown.map((name) => [name, valueOr(() => this.of(Reflect.get(error, name)), undefined)])
    return Object.assign(this.#record(error), Object.fromEntries(members))
  }

  /** Copies the own enumerable members, as exporters read them. */
  #record(record: object): object {
    const copy: Record<string, unknown> = {}
    const names = Object.keys(record)
    if (this.#isIndexedText(record, names)) return { [REDACTED]: REDACTED }
    for (const name of names) {
      this.#values += 1
      if (this.#values > MAX_VALUES) break
      const value = this.#member(record, name)
      if (name === '__proto__') Object.defineProperty(copy, name, { value, configurable: true, enumerable: true })
      else copy[this.#name(name)] = value
    }
    return this.#withJson(copy, record)
  }

  #member(record: object, name: string): unknown {
    try {
      return this.of(Reflect.get(record, name))
    } catch {
      return undefined
    }
  }

  /** Whether the object is a list that was turned into one: `{"0":101,"1":121}`. */
  #isIndexedText(record: object, names: readonly string[]): boolean {
    if (names.length < MIN_FRAGMENT || names[0] !== '0' || names.length > MAX_VALUES) return false
    const members = names.map((name) => valueOr(() => Reflect.get(record, name) as unknown, undefined))
    return this.#isTextInPieces(members)
  }

  /** Adds the `toJSON` of the original, with its result redacted. */
  #withJson(copy: object, original: object): object {
    const toJSON = valueOr(() => Reflect.get(original, 'toJSON') as unknown, undefined)
    if (typeof toJSON !== 'function') return copy
    const redact = this.#redact
    const value = (): unknown =>
      valueOr(() => createCleanCopy(redact).of(Reflect.apply(toJSON, original, [])), REDACTED)
    return Object.defineProperty(copy, 'toJSON', { value, configurable: true, enumerable: false, writable: true })
  }
}

interface TraceState {
  serialize(): string
}

/** A trace state is passed on as it is, since exporters call its methods. */
function isTraceState(value: object): value is TraceState {
  try {
    return isMethod(value, 'serialize') && ['get', 'set', 'unset'].every((name) => isMethod(value, name))
  } catch {
    return false
  }
}

function isMethod(value: object, name: string): boolean {
  return typeof Reflect.get(value, name) === 'function'
}

const NONE = -1

/** Returns the length of a list of numbers that is too short for a fragment, or {@link NONE}. */
function lengthOfPlain(value: object): number {
  try {
    if (!Array.isArray(value) || value.length >= MIN_FRAGMENT || types.isProxy(value)) return NONE
    for (let i = 0; i < value.length; i += 1) if (typeof value[i] !== 'number') return NONE
    return hasNames(value) ? NONE : value.length
  } catch {
    return NONE
  }
}

/** Copies a time, which is two numbers, and most of what a span has; returns `undefined` if `value` is none. */
export function copyOfTime(value: unknown): readonly [number, number] | undefined {
  try {
    if (!Array.isArray(value) || value.length !== 2) return undefined
    const seconds: unknown = value[0]
    const nanos: unknown = value[1]
    return typeof seconds === 'number' && typeof nanos === 'number' ? [seconds, nanos] : undefined
  } catch {
    return undefined
  }
}

/** Whether a list has named members, which printers show: the one of a match has the whole text. Indices come first. */
function hasNames(list: readonly unknown[]): boolean {
  const last = Object.keys(list).at(-1)
  return last !== undefined && !/^\d+$/.test(last)
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

function valueOr<T>(read: () => T, otherwise: T): T {
  try {
    return read()
  } catch {
    return otherwise
  }
}
