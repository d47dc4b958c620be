/** Keys to seal with, and a sealing over them. */

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import type { SealingKey } from '../../src/sealing/key.ts'
import { createPublicSealingKey, createSecretSealingKey } from '../../src/sealing/key.ts'
import { createMemoryReplayWindow } from '../../src/sealing/replay-window.ts'
import type { Message } from '../../src/sealing/sealed-header.ts'
import type { Sealing, SealingSettings } from '../../src/sealing/sealing.ts'
import { createSealing } from '../../src/sealing/sealing.ts'

export type Jwk = Readonly<Record<string, unknown>>

export const randomSecret = (): string => randomBytes(32).toString('base64url')

export function privateJwk(curve: 'P-256' | 'X25519'): Jwk {
  const { privateKey } =
    curve === 'P-256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('x25519')
  return privateKey.export({ format: 'jwk' }) as Jwk
}

export function publicPart({ d: _, ...members }: Jwk): Jwk {
  return members
}

/** A key, with what a library needs to have the same one. */
export interface Kind {
  readonly kind: string
  readonly key: SealingKey
  readonly alg: string
  readonly jwk: Jwk
}

function bySecret(): Kind {
  const secret = randomSecret()
  const key = createSecretSealingKey('secret-1', secret)
  return { kind: 'a secret', key, alg: 'A256KW', jwk: { kty: 'oct', k: secret } }
}

function byJwk(kind: 'P-256' | 'X25519'): Kind {
  const jwk = privateJwk(kind)
  return { kind, key: createPublicSealingKey(`${kind}-1`, jwk), alg: 'ECDH-ES+A256KW', jwk }
}

export const SECRET = bySecret()
export const P256 = byJwk('P-256')
export const X25519 = byJwk('X25519')
export const KINDS = [SECRET, P256, X25519]

export const TOKEN = `${'a'.repeat(36)}.${'b'.repeat(400)}.${'c'.repeat(86)}`
export const MESSAGE: Message = { destination: 'kafka:orders', traceId: '0af7651916cd43dd8448eb211c80319c' }

export function sealingWith(keys: readonly SealingKey[], settings: Partial<SealingSettings> = {}): Sealing {
  return createSealing({
    keys,
    producer: 'order-service',
    maxAgeSeconds: 3_600,
    paddingBytes: 256,
    maxOpenings: 1,
    maxTokenBytes: 8_192,
    replayWindow: createMemoryReplayWindow(),
    ...settings,
  })
}

/** `TOKEN` in `message`, for five minutes. */
export function sealed(sealing: Sealing, message: Message = MESSAGE, seal: boolean | string = true): string {
  const text = sealing.seal(TOKEN, Date.now() + 300_000, seal, message)
  if (text === undefined) throw new Error('was not sealed')
  return text
}

/** The token, or the code of the error; anything else that is thrown is thrown. */
export async function opened(sealing: Sealing, text: string, message: Message = MESSAGE): Promise<string> {
  try {
    const { credential, count } = sealing.open(text, message)
    await count()
    return credential.reveal()
  } catch (error) {
    const { code } = error as { code?: unknown }
    if (typeof code !== 'string' || !code.startsWith('ERR_TOKEN_')) throw error
    return code
  }
}
