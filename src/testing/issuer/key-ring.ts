/** The keys of a test issuer: the one that signs, and those that are published. */

import type { RotateKeysOptions } from './options.ts'
import type { SigningKey, TestAlgorithm } from './signing-key.ts'
import { createSigningKey } from './signing-key.ts'

export interface KeyRing {
  /** The key that signs. */
  readonly current: SigningKey
  /** Newest first. */
  readonly published: readonly SigningKey[]
  rotate(options: RotateKeysOptions): void
  removeOld(): void
}

export function createKeyRing(algorithm: TestAlgorithm): KeyRing {
  let count = 0
  let current = create(algorithm)
  let published = [current]

  function create(alg: TestAlgorithm, kid?: string): SigningKey {
    count += 1
    return createSigningKey(alg, kid ?? `${alg}-${count}`)
  }

  return {
    get current() {
      return current
    },
    get published() {
      return published
    },
    rotate({ algorithm: alg = current.algorithm, kid, keepOld = true }) {
      current = create(alg, kid)
      published = [current, ...(keepOld ? published : [])]
    },
    removeOld() {
      published = [current]
    },
  }
}
