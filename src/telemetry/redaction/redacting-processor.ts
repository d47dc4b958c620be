/** Redacts what processors and exporters read of spans and log records. */

import { inspect, types } from 'node:util'
import { isObject } from '../../base/own-property.ts'
import type { CleanCopy } from './clean-copy.ts'
import { copyOfTime, createCleanCopy } from './clean-copy.ts'
import type { Redact } from './redaction.ts'

/** The methods that receive a finished span or a log record, in both majors of the SDK. */
const RECEIVERS: readonly PropertyKey[] = ['onEnd', 'onEmit']

/**
 * Wraps a processor or an exporter so that it receives spans and log records without tokens. They are redacted when
 * they are read, at export, so that what was added until then is redacted, too. Never throws.
 */
export function createRedactingProcessor<T extends object>(target: T, redact: Redact): T {
  const viewOf = createViews(redact)
  return new Proxy(target, {
    get(_, name) {
      const read = readMember(target, name)
      if (typeof read !== 'function') return read
      const member = read.bind(target) as (...args: unknown[]) => unknown
      if (RECEIVERS.includes(name)) return (item: unknown, ...others: unknown[]) => member(viewOf(item), ...others)
      if (name !== 'export') return member
      // Spans and log records come as a list. Metrics do not, and are not searched.
      return (items: unknown, ...others: unknown[]) =>
        member(Array.isArray(items) ? items.map(viewOf) : items, ...others)
    },
  })
}

type View = (item: unknown) => unknown

/** Members that many items share: exporters group items by their identity. */
const SHARED: readonly PropertyKey[] = ['resource', 'instrumentationScope', 'instrumentationLibrary']

function createViews(redact: Redact): View {
  const shared = new WeakMap<object, object>()
  const viewOfShared: View = (value) => {
    if (!isObject(value)) return value
    const known = shared.get(value) ?? createView(value, redact, viewOfShared)
    shared.set(value, known)
    return known
  }
  return (item) => (isObject(item) ? createView(item, redact, viewOfShared) : item)
}

/** The target of all views. Printers look at the target of a proxy, so this one prints the view. */
const TARGET = Object.defineProperty({}, inspect.custom, {
  configurable: true,
  value(this: object) {
    return Object.fromEntries(Object.entries(this))
  },
})

function createView(item: object, redact: Redact, viewOfShared: View): object {
  return new Proxy(TARGET, new RedactedView(item, redact, viewOfShared))
}

/** Gives every member of an item, and every result of its methods, without tokens. */
class RedactedView implements ProxyHandler<object> {
  readonly #item: object
  readonly #redact: Redact
  readonly #viewOfShared: View
  #copy: CleanCopy | undefined
  /** Kept, since exporters that look for single attributes read all of them often. */
  readonly #known = new Map<PropertyKey, unknown>()

  constructor(item: object, redact: Redact, viewOfShared: View) {
    this.#item = item
    this.#redact = redact
    this.#viewOfShared = viewOfShared
  }

  get(_: object, name: PropertyKey, view: object): unknown {
    if (name === inspect.custom) return Reflect.get(TARGET, name)
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const member = readMember(this.#item, name)
    switch (typeof member) {
      case 'function':
        return (...args: unknown[]) => this.#redactResult(Reflect.apply(member, this.#item, args), view)
      case 'string':
      case 'object':
        return this.#keep(name, SHARED.includes(name) ? this.#viewOfShared(member) : this.#clean(member, name))
      default:
        return typeof member === 'symbol' ? undefined : member
    }
  }

  set(_: object, name: PropertyKey, value: unknown): boolean {
    this.#forget()
    return Reflect.set(this.#item, name, value)
  }

  has(_: object, name: PropertyKey): boolean {
    return Reflect.has(this.#item, name)
  }

  getPrototypeOf(): object | null {
    return Reflect.getPrototypeOf(this.#item)
  }

  ownKeys(): string[] {
    return namesOf(this.#item)
  }

  getOwnPropertyDescriptor(_: object, name: PropertyKey): PropertyDescriptor | undefined {
    if (!namesOf(this.#item).includes(String(name))) return undefined
    return { value: this.get(_, name, _), configurable: true, enumerable: true, writable: true }
  }

  defineProperty(_: object, name: PropertyKey, descriptor: PropertyDescriptor): boolean {
    this.#forget()
    return Reflect.defineProperty(this.#item, name, descriptor)
  }

  deleteProperty(_: object, name: PropertyKey): boolean {
    this.#forget()
    return Reflect.deleteProperty(this.#item, name)
  }

  #keep(name: PropertyKey, clean: unknown): unknown {
    this.#known.set(name, clean)
    return clean
  }

  #clean(value: unknown, name?: PropertyKey): unknown {
    const time = copyOfTime(value)
    if (time !== undefined) return time
    this.#copy ??= createCleanCopy(this.#redact)
    return name === 'attributes' ? this.#copy.ofAttributes(value) : this.#copy.of(value)
  }

  /** Redacts the result of a method, which may have changed the item, or returned it. */
  #redactResult(result: unknown, view: object): unknown {
    this.#forget()
    if (result === this.#item) return view
    return types.isPromise(result) ? result : this.#clean(result)
  }

  #forget(): void {
    this.#copy = undefined
    if (this.#known.size > 0) this.#known.clear()
  }
}

/** Names of the members that can be read. An underscore marks what is private to an SDK. */
function namesOf(item: object): string[] {
  const names = new Set(Object.keys(item))
  for (let from = prototypeOf(item); from !== null && from !== Object.prototype; from = prototypeOf(from)) {
    for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(from))) {
      if (get !== undefined) names.add(name)
    }
  }
  return [...names].filter((name) => !name.startsWith('_'))
}

function prototypeOf(item: object): object | null {
  return Object.getPrototypeOf(item) as object | null
}

/** Reads a member of the object itself, which may have private members. One that cannot be read counts as missing. */
function readMember(from: object, name: PropertyKey): unknown {
  try {
    return Reflect.get(from, name, from)
  } catch {
    return undefined
  }
}
