/** Private metadata on objects we do not own: invisible to other code, not copied, collected with the object. */

export interface ObjectMetadata<T> {
  get(object: object): T | undefined
  set(object: object, value: T): void
}

/** Makes a private field of a subclass one of `target`: fields are added to what the constructor returns. */
class Returned {
  constructor(target: object) {
    // biome-ignore lint/correctness/noConstructorReturn: that is what this class is for
    return target
  }
}

/**
 * Does what a WeakMap does, in a fifth of the time if every request has another object: entries of a WeakMap cost the
 * garbage collector. Objects that take no more fields are kept in a WeakMap.
 */
export function createObjectMetadata<T>(): ObjectMetadata<T> {
  /** Made when the first of them comes. */
  let ofFrozen: WeakMap<object, T> | undefined

  class Marked extends Returned {
    #value: T

    constructor(target: object, value: T) {
      super(target)
      this.#value = value
    }

    static get(object: object): T | undefined {
      return #value in object ? object.#value : ofFrozen?.get(object)
    }

    static set(object: object, value: T): void {
      if (#value in object) object.#value = value
      else if (Object.isExtensible(object)) new Marked(object, value)
      else {
        ofFrozen ??= new WeakMap()
        ofFrozen.set(object, value)
      }
    }
  }
  return Marked
}
