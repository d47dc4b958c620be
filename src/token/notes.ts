/** Notes on objects of others: nobody else sees them, copies of an object do not have them, and they end with it. */

export interface Notes<T> {
  get(of: object): T | undefined
  set(of: object, note: T): void
}

/** Makes a private field of a class one of `target`: what a constructor returns is what the fields are added to. */
class Returned {
  constructor(target: object) {
    // biome-ignore lint/correctness/noConstructorReturn: that is what this class is for
    return target
  }
}

/** What a WeakMap does, for a fifth of the price where every request has an object of its own: those cost the collector. */
export function createNotes<T>(): Notes<T> {
  /** For objects that take nothing more; made when there is the first of them. */
  let ofOthers: WeakMap<object, T> | undefined

  class Noted extends Returned {
    #note: T

    constructor(target: object, note: T) {
      super(target)
      this.#note = note
    }

    static get(of: object): T | undefined {
      return #note in of ? of.#note : ofOthers?.get(of)
    }

    static set(of: object, note: T): void {
      if (#note in of) of.#note = note
      else if (Object.isExtensible(of)) new Noted(of, note)
      else {
        ofOthers ??= new WeakMap()
        ofOthers.set(of, note)
      }
    }
  }
  return Noted
}
