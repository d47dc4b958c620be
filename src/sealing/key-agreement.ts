/** ECDH-ES (RFC 7518 §4.6, RFC 8037 §3.2): derives a key from the consumer's key and one made for the message. */

import type { KeyObject } from 'node:crypto'
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
} from 'node:crypto'
import { ignoreErrors } from '../base/ignore-errors.ts'
import { ownProperty } from '../base/own-property.ts'

/** Public part of the key that was created for one message. */
export interface EphemeralKey {
  readonly kty: string
  readonly crv: string
  readonly x: string
  readonly y?: string
}

/** Both sides of the agreement. Without the private part of the key only one side works. */
export interface Agreement {
  initiate(): { readonly kek: KeyObject; readonly epk: EphemeralKey }
  respond(epk: unknown): KeyObject | undefined
}

type Jwk = Readonly<Record<string, unknown>>

interface Curve {
  readonly kty: string
  readonly crv: string
  /** Members of its public keys apart from `kty` and `crv`, 32 bytes each. */
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

/** Returns `undefined` for a key of another kind, a malformed one, and one whose parts do not belong together. */
export function createAgreement(jwk: Jwk): Agreement | undefined {
  const curve = CURVES.find(({ kty, crv }) => ownProperty(jwk, 'kty') === kty && ownProperty(jwk, 'crv') === crv)
  if (curve === undefined) return undefined
  const publicKey = publicKeyOf(jwk, curve)
  const privateKey = Object.hasOwn(jwk, 'd') ? privateKeyOf(jwk, curve) : undefined
  if (publicKey === undefined || (Object.hasOwn(jwk, 'd') && privateKey === undefined)) return undefined
  const agreement = agreementOf(curve, publicKey, privateKey)
  return canAgree(agreement, privateKey !== undefined) ? agreement : undefined
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
      if (privateKey === undefined || !hasExactMembers(epk, curve)) return undefined
      const theirs = publicKeyOf(epk, curve)
      return theirs === undefined ? undefined : ignoreErrors(() => derive(privateKey, theirs))
    },
  }
}

/** Tries the key: a point of small order, or a private part of another key, only fails in use. */
function canAgree({ initiate, respond }: Agreement, opens: boolean): boolean {
  const started = ignoreErrors(initiate)
  if (started === undefined || !opens) return started !== undefined
  return respond(started.epk)?.equals(started.kek) === true
}

/** Whether `epk` has exactly the members of a public key: any other would be a second spelling, or a private key. */
function hasExactMembers(epk: unknown, { coordinates }: Curve): epk is Jwk {
  if (typeof epk !== 'object' || epk === null) return false
  const names = Object.keys(epk).toSorted()
  return names.join() === ['crv', 'kty', ...coordinates].join()
}

/** OpenSSL refuses points that are not on their curve. */
function publicKeyOf(jwk: Jwk, { kty, crv, coordinates }: Curve): KeyObject | undefined {
  if (ownProperty(jwk, 'kty') !== kty || ownProperty(jwk, 'crv') !== crv) return undefined
  if (!coordinates.every((name) => is32Bytes(ownProperty(jwk, name)))) return undefined
  const members = Object.fromEntries(coordinates.map((name) => [name, ownProperty(jwk, name)]))
  return ignoreErrors(() => createPublicKey({ key: { kty, crv, ...members }, format: 'jwk' }))
}

function privateKeyOf(jwk: Jwk, { kty, crv }: Curve): KeyObject | undefined {
  if (!is32Bytes(ownProperty(jwk, 'd'))) return undefined
  const members = Object.fromEntries(
    ['x', 'y', 'd'].flatMap((name) => (ownProperty(jwk, name) ? [[name, ownProperty(jwk, name)]] : [])),
  )
  return ignoreErrors(() => createPrivateKey({ key: { kty, crv, ...members }, format: 'jwk' }))
}

function is32Bytes(text: unknown): boolean {
  if (typeof text !== 'string' || text.length !== 43) return false
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length === 32 && bytes.toString('base64url') === text
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
