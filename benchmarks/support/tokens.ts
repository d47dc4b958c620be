/** Tokens of about 900 bytes, as issuers make them, and what is wrong with others. */

import type { Signer, SigningAlgorithm } from './signer.ts'
import { createSigner } from './signer.ts'

export const ISSUER = 'https://id.example'
export const AUDIENCE = 'user-service'
const BYTES = 900

export type { Signer, SigningAlgorithm }
export { createSigner }

const now = Math.floor(Date.now() / 1000)
let serial = 0

/** No two are the same. `changes` are made to good claims. */
export function createToken(signer: Signer, changes: Readonly<Record<string, unknown>> = {}, bytes = BYTES): string {
  serial += 1
  const claims = {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: `user-${serial}`,
    jti: `00000000-0000-4000-8000-${String(serial).padStart(12, '0')}`,
    client_id: 'gateway',
    iat: now,
    exp: now + 36_000,
    ...changes,
  }
  const bare = signer.token({ ...claims, scope: '' })
  const room = Math.max(0, Math.floor(((bytes - bare.length) * 3) / 4))
  return signer.token({
    ...claims,
    scope: 'profiles:read '
      .repeat(Math.ceil(room / 14))
      .slice(0, room)
      .trim(),
  })
}

/** A token as it comes off the wire: a new text, in a field value. */
export function freshField(token: string): () => string {
  const bytes = Buffer.from(`Bearer ${token}`, 'latin1')
  return () => bytes.toString('latin1')
}

/** Hands out `items` one after the other, and from the beginning again. */
export function rotate<T>(items: readonly T[]): () => T {
  let next = 0
  return () => {
    next = next + 1 === items.length ? 0 : next + 1
    return items[next] as T
  }
}
