/** Every text that can be read from a value: spans, log records, metrics, errors, and what is in them. */

/** Deeper than anything that is exported. */
const MAX_DEPTH = 12

/** Calls `visit` with all texts in `value`: members, names of members, messages and stacks of errors, bytes. */
export function forEachText(value: unknown, visit: (text: string) => void): void {
  walk(value, visit, new Set(), 0)
}

function walk(value: unknown, visit: (text: string) => void, seen: Set<object>, depth: number): void {
  if (typeof value === 'string') return visit(value)
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH || seen.has(value)) return
  seen.add(value)
  if (value instanceof Uint8Array) return visit(Buffer.from(value).toString('latin1'))
  if (value instanceof Map) return walk([...value], visit, seen, depth + 1)
  if (value instanceof Set) return walk([...value], visit, seen, depth + 1)
  for (const name of namesOf(value)) {
    visit(name)
    walk(read(value, name), visit, seen, depth + 1)
  }
}

/** Members and accessors. What begins with an underscore is an SDK's own, and leads to all that it holds. */
function namesOf(value: object): ReadonlySet<string> {
  const names = new Set(Object.getOwnPropertyNames(value))
  for (let from = prototypeOf(value); from !== null && from !== Object.prototype; from = prototypeOf(from)) {
    for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(from))) {
      if (get !== undefined) names.add(name)
    }
  }
  return new Set([...names].filter((name) => !name.startsWith('_')))
}

function prototypeOf(value: object): object | null {
  return Object.getPrototypeOf(value) as object | null
}

function read(value: object, name: string): unknown {
  try {
    return Reflect.get(value, name)
  } catch {
    return undefined
  }
}
