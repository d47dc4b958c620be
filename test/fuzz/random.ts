/** Repeatable chance: the same seed makes the same changes on every machine. Keys and signatures are new each time. */

export interface Random {
  /** An integer from 0 to `below` - 1. */
  integer(below: number): number
  pick<T>(values: readonly T[]): T
}

/** mulberry32, by Tommy Ettinger (public domain): 32 bits of state are enough to choose mutations with. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const integer = (below: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
  return {
    integer,
    pick: (values) => {
      if (values.length === 0) throw new Error('nothing to pick from')
      return values[integer(values.length)] as (typeof values)[number]
    },
  }
}
