/** Looks into values of unknown type. */

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

/** The value of `name` if `object` has it itself: `Object.prototype` may have been polluted (CWE-1321). */
export function ownProperty(object: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

/** The own symbol of `owner` with this description. Node and undici do not export theirs. */
export function symbolOf(owner: object, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(owner).find((symbol) => symbol.description === description)
}

/** The value that `owner` keeps under that symbol. */
export function valueUnderSymbol(owner: object, description: string): unknown {
  const symbol = symbolOf(owner, description)
  return symbol === undefined ? undefined : Reflect.get(owner, symbol)
}
