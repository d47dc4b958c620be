/** Replaces a method of an object that we do not own, and puts it back. */

/** Says to a replacement whether it still counts: code that has kept it calls it after the undo, too. */
export interface Patch {
  readonly isActive: boolean
}

export type Undo = () => void

type Method = (this: never, ...args: never[]) => unknown

/**
 * Replaces `owner[name]` by what `replace` makes of it, which should do what the method did once its patch is no longer
 * active. The replacement has the name, the length and the other properties of the method (`util.promisify.custom`, for
 * one), unless it has them itself. Does nothing if there is no such method.
 *
 * Returns how to undo it. If other code has replaced the method since, the undo leaves that replacement in place, and
 * only ends the patch.
 *
 * @throws TypeError if `owner` does not let its methods be replaced.
 */
export function patchMethod<T extends Method>(
  owner: object,
  name: PropertyKey,
  replace: (previous: T, patch: Patch) => T,
): Undo {
  const own = Object.getOwnPropertyDescriptor(owner, name)
  const previous: unknown = Reflect.get(owner, name)
  if (typeof previous !== 'function') return () => undefined
  const patch = { isActive: true }
  const replacement = copyProperties(previous, replace(previous as unknown as T, patch))
  const { enumerable = false, configurable = true } = own ?? {}
  Object.defineProperty(owner, name, { enumerable, configurable, writable: true, value: replacement })
  return () => {
    patch.isActive = false
    if (Reflect.get(owner, name) !== replacement) return
    if (own === undefined) Reflect.deleteProperty(owner, name)
    else Object.defineProperty(owner, name, own)
  }
}

/** The same for a method that `owner` does not inherit; `undefined` if it has none that can be replaced. */
export function patchOwnMethod<T extends Method>(
  owner: object,
  name: PropertyKey | undefined,
  replace: (previous: T, patch: Patch) => T,
): Undo | undefined {
  const own = name === undefined ? undefined : Object.getOwnPropertyDescriptor(owner, name)
  if (name === undefined || typeof own?.value !== 'function' || own.writable !== true) return undefined
  return patchMethod(owner, name, replace)
}

/** Returns how to undo all of them, the last one first. */
export function combineUndos(undos: readonly (Undo | undefined)[]): Undo {
  return () => {
    for (const undo of undos.toReversed()) undo?.()
  }
}

const OF_FUNCTIONS: readonly PropertyKey[] = ['name', 'length']
/** With these, `shimmer` would take the replacement for its own wrapper, and other code would find a way past it. */
const OF_SHIMMER: readonly PropertyKey[] = ['__wrapped', '__unwrap', '__original']

function copyProperties<T extends object>(previous: object, replacement: T): T {
  for (const key of Reflect.ownKeys(previous)) {
    if (OF_SHIMMER.includes(key)) continue
    const descriptor = Object.getOwnPropertyDescriptor(previous, key)
    const isWanted = OF_FUNCTIONS.includes(key) || !Object.hasOwn(replacement, key)
    if (isWanted && descriptor !== undefined) Object.defineProperty(replacement, key, descriptor)
  }
  return replacement
}
