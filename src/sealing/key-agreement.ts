/** ECDH-ES (RFC 7518 §4.6, RFC 8037 §3.2): a key-encryption key out of the consumer's key and one made for the message. */

import type { KeyObject } from 'node:crypto'
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
} from 'node:crypto'
import { own } from '../token/own.ts'

/** The public part of the key that was made for one message. */
export interface EphemeralKey {
  readonly kty: string
  readonly crv: string
  readonly x: string
  readonly y?: string
}

/** Both sides of the agreement, as far as the parts of the key that are known allow. */
export interface Agreement {
  initiate(): { readonly kek: KeyObject; readonly epk: EphemeralKey }
  respond(epk: unknown): KeyObject | undefined
}

type Jwk = Readonly<Record<string, unknown>>

interface Curve {
  readonly kty: string
  readonly crv: string
  /** The members of its public keys beside `kty` and `crv`, 32 bytes each. */
  readonly coordinates: readonly ('x' | 'y')[]
  generate(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject }
}

const CURVES: readonly Curve[] = [
  {
    kty: 'EC',
    crv: 'P-256',
    coordinates: ['x', 'y'],
    generate: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  },
  { kty: 'OKP', crv: 'X25519', coordinates: ['x'], generate: () => generateKeyPairSync('x25519') },
]

/** Returns `undefined` for a key that is of another kind, malformed, or whose parts do not belong together. */
export function createAgreement(jwk: Jwk): Agreement | undefined {
  const curve = CURVES.find(({ kty, crv }) => own(jwk, 'kty') === kty && own(jwk, 'crv') === crv)
  if (curve === undefined) return undefined
  const publicKey = publicKeyOf(jwk, curve)
  const privateKey = Object.hasOwn(jwk, 'd') ? privateKeyOf(jwk, curve) : undefined
  if (publicKey === undefined || (Object.hasOwn(jwk, 'd') && privateKey === undefined)) return undefined
  const agreement = agreementOf(curve, publicKey, privateKey)
  return works(agreement, privateKey !== undefined) ? agreement : undefined
}

function agreementOf(curve: Curve, publicKey: KeyObject, privateKey: KeyObject | undefined): Agreement {
  return {
    initiate() {
      const ephemeral = curve.generate()
      const { kty, crv, x, y } = ephemeral.publicKey.export({ format: 'jwk' }) as unknown as EphemeralKey
      const epk = { kty, crv, x, ...(y === undefined ? {} : { y }) }
      return { kek: derive(ephemeral.privateKey, publicKey), epk }
    },
    respond(epk) {
      if (privateKey === undefined || !isExactly(epk, curve)) return undefined
      const theirs = publicKeyOf(epk, curve)
      return theirs === undefined ? undefined : attempt(() => derive(privateKey, theirs))
    },
  }
}

/** A point of small order, or a private part that belongs to another public one, shows itself when it is used. */
function works({ initiate, respond }: Agreement, opens: boolean): boolean {
  const started = attempt(initiate)
  if (started === undefined || !opens) return started !== undefined
  return respond(started.epk)?.equals(started.kek) === true
}

/** Exactly the members of a public key: another one would be a second spelling of the message, or a private key. */
function isExactly(epk: unknown, { coordinates }: Curve): epk is Jwk {
  if (typeof epk !== 'object' || epk === null) return false
  const names = Object.keys(epk).toSorted()
  return names.join() === ['crv', 'kty', ...coordinates].join()
}

/** OpenSSL refuses points that are not on their curve. */
function publicKeyOf(jwk: Jwk, { kty, crv, coordinates }: Curve): KeyObject | undefined {
  if (own(jwk, 'kty') !== kty || own(jwk, 'crv') !== crv) return undefined
  if (!coordinates.every((name) => is32Bytes(own(jwk, name)))) return undefined
  const members = Object.fromEntries(coordinates.map((name) => [name, own(jwk, name)]))
  return attempt(() => createPublicKey({ key: { kty, crv, ...members }, format: 'jwk' }))
}

function privateKeyOf(jwk: Jwk, { kty, crv }: Curve): KeyObject | undefined {
  if (!is32Bytes(own(jwk, 'd'))) return undefined
  const members = Object.fromEntries(
    ['x', 'y', 'd'].flatMap((name) => (own(jwk, name) ? [[name, own(jwk, name)]] : [])),
  )
  return attempt(() => createPrivateKey({ key: { kty, crv, ...members }, format: 'jwk' }))
}

function is32Bytes(text: unknown): boolean {
  if (typeof text !== 'string' || text.length !== 43) return false
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length === 32 && bytes.toString('base64url') === text
}

function attempt<T>(fn: () => T): T | undefined {
  try {
    return fn()
  } catch {
    return undefined
  }
}

const ALGORITHM_ID = Buffer.from('ECDH-ES+A256KW')
const KEY_BITS = 256

/** Concat KDF (RFC 7518 §4.6.2) in its one round for 256 bits, without PartyUInfo and PartyVInfo. */
function derive(privateKey: KeyObject, publicKey: KeyObject): KeyObject {
  const secret = diffieHellman({ privateKey, publicKey })
  const input = [uint32(1), secret, uint32(ALGORITHM_ID.length), ALGORITHM_ID, uint32(0), uint32(0), uint32(KEY_BITS)]
  const hash = createHash('sha256')
  for (const part of input) hash.update(part)
  return createSecretKey(hash.digest())
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
