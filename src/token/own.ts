/** Reads members that an object has itself: `Object.prototype` may have been polluted (CWE-1321). */

/** The value of `name` where `object` has it itself; inherited ones do not count. */
export function own(object: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}
