/** Puts redaction before whatever exports spans and log records. */

import type { Redact } from './redaction.ts'

/** What a span or a log record says in words, of its own or of others. */
const MEMBERS = ['name', 'attributes', 'events', 'links', 'status', 'body', 'severityText', 'eventName'] as const

/** The methods that hand a finished span or a log record to a processor, in both lines of the SDK. */
const HANDOVERS: readonly PropertyKey[] = ['onEnd', 'onEmit']

/** Deeper than attributes and bodies are; what is deeper still is left out. */
const MAX_DEPTH = 16

/** A processor that gives `processor` spans and log records without tokens. Never throws. */
export function redactingProcessor<T extends object>(processor: T, redact: Redact): T {
  const resources = new WeakMap<object, object>()
  return new Proxy(processor, {
    get(target, name) {
      const member = read(target, name)
      if (typeof member !== 'function' || !HANDOVERS.includes(name)) return member
      return (item: object, ...others: unknown[]): unknown => {
        return Reflect.apply(member, target, [redacted(item, redact, resources), ...others])
      }
    },
  })
}

/** The same `item` where it holds no token. */
function redacted(item: object, redact: Redact, resources: WeakMap<object, object>): object {
  const changes = new Map<PropertyKey, unknown>()
  for (const name of MEMBERS) {
    const value: unknown = Reflect.get(item, name)
    const clean = cleanValue(value, redact)
    if (clean !== value) changes.set(name, clean)
  }
  const resource: unknown = Reflect.get(item, 'resource')
  if (isObject(resource)) {
    const clean = cleanResource(resource, redact, resources)
    if (clean !== resource) changes.set('resource', clean)
  }
  return changes.size === 0 ? item : veiled(item, changes)
}

/** One for one: exporters group by the identity of resources. */
function cleanResource(resource: object, redact: Redact, known: WeakMap<object, object>): object {
  const before = known.get(resource)
  if (before !== undefined) return before
  const attributes: unknown = Reflect.get(resource, 'attributes')
  const clean = cleanValue(attributes, redact)
  const cleaned = clean === attributes ? resource : veiled(resource, new Map([['attributes', clean]]))
  known.set(resource, cleaned)
  return cleaned
}

/**
 * `item` with other values for some members. Whoever prints it, as SDKs do that are told to say what they do, sees those:
 * what is printed of a proxy is its target.
 */
function veiled(item: object, changes: ReadonlyMap<PropertyKey, unknown>): object {
  return new Proxy(shownOf(item, changes), {
    get: (_, name) => (changes.has(name) ? changes.get(name) : read(item, name)),
    has: (_, name) => Reflect.has(item, name),
  })
}

/** What begins with an underscore is an SDK's own, and holds what was recorded. */
function shownOf(item: object, changes: ReadonlyMap<PropertyKey, unknown>): object {
  const own = Object.entries(item).filter(([name]) => !name.startsWith('_'))
  const members = [...own, ...changes].map(([name, value]) => {
    return [name, { value, configurable: true, enumerable: true, writable: true }] as const
  })
  return Object.create(Object.getPrototypeOf(item) as object | null, Object.fromEntries(members)) as object
}

/** Methods are called on the object itself: it may have private members. */
function read(from: object, name: PropertyKey): unknown {
  const value: unknown = Reflect.get(from, name, from)
  return typeof value === 'function' ? (value.bind(from) as unknown) : value
}

/** The same value where it holds no token. */
function cleanValue(value: unknown, redact: Redact, depth = 0): unknown {
  if (typeof value === 'string') return redact(value)
  if (!isObject(value)) return value
  if (value instanceof Uint8Array) return cleanBytes(value, redact)
  if (depth === MAX_DEPTH) return undefined
  if (Array.isArray(value)) return cleanList(value, redact, depth)
  return isPlain(value) ? cleanRecord(value, redact, depth) : value
}

function cleanBytes(bytes: Uint8Array, redact: Redact): Uint8Array {
  const text = Buffer.from(bytes).toString('latin1')
  const clean = redact(text)
  return clean === text ? bytes : Buffer.from(clean, 'latin1')
}

function cleanList(list: readonly unknown[], redact: Redact, depth: number): readonly unknown[] {
  const clean = list.map((member) => cleanValue(member, redact, depth + 1))
  return clean.every((member, index) => member === list[index]) ? list : clean
}

function cleanRecord(record: object, redact: Redact, depth: number): object {
  const entries = Object.entries(record)
  const clean = entries.map(([name, value]) => [redact(name), cleanValue(value, redact, depth + 1)] as const)
  const isSame = clean.every(([name, value], index) => name === entries[index]?.[0] && value === entries[index]?.[1])
  return isSame ? record : Object.fromEntries(clean)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** Instances of classes have a life of their own: times, trace states. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
