/** Keys that are no good are refused at start, by their path; nothing of them is repeated. */

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { OptionError } from '../../src/base/option-checks.ts'
import { parseOptions } from '../../src/config/options.ts'
import { P256, privateJwk, publicPart, randomSecret, X25519 } from '../support/sealing.ts'

const folder = mkdtempSync(join(tmpdir(), 'sealing-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const optionsWith = (sealing: unknown, destinations: readonly object[] = []): object => ({
  issuers: [{ issuer: 'https://id.example', audience: 'user-service' }],
  destinations,
  sealing,
})
const keys = (...described: readonly object[]): object => ({ keys: described.map((key) => ({ kid: 'a', ...key })) })
const base64url = (bytes: Uint8Array | string): string => Buffer.from(bytes as string).toString('base64url')

function mistake(sealing: unknown): OptionError {
  try {
    parseOptions(optionsWith(sealing))
  } catch (error) {
    if (error instanceof OptionError) return error
    throw error
  }
  throw new Error('was accepted')
}

describe('accepts', () => {
  it.each<readonly [string, object]>([
    ['a secret', { secret: randomSecret() }],
    ['a secret in a file, with a line end', { secretFile: file('secret', `${randomSecret()}\n`) }],
    ['a private key', { jwk: P256.jwk }],
    ['a public key', { jwk: publicPart(P256.jwk) }],
    ['a key that says what it is for', { jwk: { ...X25519.jwk, kid: 'a', alg: 'ECDH-ES+A256KW', use: 'enc' } }],
    ['a key in a file', { jwkFile: file('key.json', JSON.stringify(X25519.jwk)) }],
  ])('%s', (_, key) => {
    expect(parseOptions(optionsWith(keys(key))).sealing.keys).toMatchObject([{ kid: 'a' }])
  })

  it('a rule that names a key', () => {
    const sealing = { keys: [{ kid: 'b', secret: randomSecret() }] }
    const { rules } = parseOptions(optionsWith(sealing, [{ to: 'kafka:a', seal: 'b' }, { to: 'kafka:b' }]))
    expect(rules.map(({ seal }) => seal)).toEqual(['b', true])
  })

  it('the limits', () => {
    for (const sealing of [
      { paddingBytes: 1, maxOpenings: 1 },
      { paddingBytes: 4_096, maxOpenings: 1_000, maxAgeSeconds: 0.5 },
    ]) {
      expect(parseOptions(optionsWith(sealing)).sealing).toMatchObject(sealing)
    }
  })
})

const RANDOM = 'expected 32 random bytes in base64url'
const GUESSED = `is easy to guess: ${RANDOM}`
const JWK = 'expected a P-256 or X25519 key as a JWK, for ECDH-ES+A256KW'
const KID = 'required: up to 64 letters, digits and . _ ~ -'
const NO_FILE = 'the file cannot be read'
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey.export({ format: 'jwk' })
const ed25519 = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
const other = privateJwk('P-256')

describe('refuses, with path and problem', () => {
  it.each<readonly [member: string, problem: string, key: object]>([
    ['secret', RANDOM, { secret: base64url(randomBytes(31)) }],
    ['secret', RANDOM, { secret: base64url(randomBytes(33)) }],
    ['secret', RANDOM, { secret: `${randomSecret()}=` }],
    ['secret', RANDOM, { secret: randomBytes(32).toString('hex') }],
    ['secret', RANDOM, { secret: 'm4rk3r' }],
    ['secret', RANDOM, { secret: '' }],
    ['secret', RANDOM, { secret: 7 }],
    ['secret', GUESSED, { secret: base64url('The-quick-brown-fox-jumps-over-1') }],
    ['secret', GUESSED, { secret: base64url(Buffer.alloc(32)) }],
    ['secret', GUESSED, { secret: base64url(Uint8Array.from({ length: 32 }, (_, i) => i)) }],
    ['secret', GUESSED, { secret: base64url(Buffer.alloc(32, randomBytes(8))) }],
    ['secret', 'required: one of secret, secretFile, jwk, jwkFile', {}],
    ['jwk', 'contradicts secret: give one of them', { secret: randomSecret(), jwk: P256.jwk }],
    ['secretFile', NO_FILE, { secretFile: join(folder, 'm4rk3r') }],
    ['secretFile', NO_FILE, { secretFile: folder }],
    ['secretFile', NO_FILE, { secretFile: file('large', 'a'.repeat(5_000)) }],
    ['secretFile', RANDOM, { secretFile: file('short', 'm4rk3r') }],
    ['jwkFile', 'the file holds no JWK', { jwkFile: file('text', 'm4rk3r') }],
    ['jwkFile', 'the file holds no JWK', { jwkFile: file('null', 'null') }],
    ['jwkFile', NO_FILE, { jwkFile: join(folder, 'm4rk3r') }],
    ['jwk', 'expected a JWK', { jwk: 'm4rk3r' }],
    ['jwk', JWK, { jwk: { kty: 'oct', k: randomSecret() } }],
    ['jwk', JWK, { jwk: p384 }],
    ['jwk', JWK, { jwk: ed25519 }],
    ['jwk', JWK, { jwk: { ...P256.jwk, alg: 'ECDH-ES' } }],
    ['jwk', JWK, { jwk: { ...P256.jwk, use: 'sig' } }],
    ['jwk', 'has another kid', { jwk: { ...P256.jwk, kid: 'm4rk3r' } }],
    ['jwk', JWK, { jwk: { ...P256.jwk, d: other['d'] } }],
    ['jwk', JWK, { jwk: { ...publicPart(P256.jwk), y: other['y'] } }],
    ['jwk', JWK, { jwk: { ...X25519.jwk, d: privateJwk('X25519')['d'] } }],
    ['jwk', JWK, { jwk: { kty: 'OKP', crv: 'X25519', x: base64url(Buffer.alloc(32)) } }],
    ['jwk', JWK, { jwk: { ...P256.jwk, d: 7 } }],
    ['kid', KID, { kid: '', secret: randomSecret() }],
    ['kid', KID, { kid: 'm4rk3r m4rk3r', secret: randomSecret() }],
    ['kid', KID, { kid: 'a'.repeat(65), secret: randomSecret() }],
  ])('sealing.keys[0].%s: %s', (member, problem, key) => {
    const error = mistake(keys(key))
    expect(error).toMatchObject({ path: `sealing.keys[0].${member}`, problem })
    expect(inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true })).not.toContain('m4rk3r')
  })

  it.each<readonly [path: string, problem: string, sealing: unknown]>([
    ['sealing', 'expected an object', 7],
    ['sealing.keys', 'expected a list of keys', { keys: { kid: 'a' } }],
    ['sealing.keys[1].kid', 'appears twice', keys({ secret: randomSecret() }, { secret: randomSecret() })],
    ['sealing.producer', 'expected a name of up to 128 characters', { producer: '' }],
    ['sealing.producer', 'expected a name of up to 128 characters', { producer: 'a'.repeat(129) }],
    ['sealing.maxAgeSeconds', 'expected seconds, more than 0', { maxAgeSeconds: 0 }],
    ['sealing.maxAgeSeconds', 'expected seconds, more than 0', { maxAgeSeconds: Number.POSITIVE_INFINITY }],
    ['sealing.paddingBytes', 'expected 1 to 4096 bytes', { paddingBytes: 0 }],
    ['sealing.paddingBytes', 'expected 1 to 4096 bytes', { paddingBytes: 4_097 }],
    ['sealing.maxOpenings', 'expected 1 to 1000', { maxOpenings: 0 }],
    ['sealing.maxOpenings', 'expected 1 to 1000', { maxOpenings: 1_001 }],
    ['sealing.maxOpenings', 'expected 1 to 1000', { maxOpenings: 1.5 }],
    ['sealing.replayWindow', 'expected a replay window', { replayWindow: {} }],
    ['sealing.key', 'is not an option', { key: 'm4rk3r' }],
  ])('%s: %s', (path, problem, sealing) => {
    expect(mistake(sealing)).toMatchObject({ path, problem })
  })
})

it('keys and rules are not taken from a polluted Object.prototype [H15]', () => {
  Object.assign(Object.prototype, { secret: randomSecret(), seal: false, sealing: keys({ secret: randomSecret() }) })
  try {
    expect(mistake(keys({}))).toMatchObject({ path: 'sealing.keys[0].secret' })
    const { sealing, rules } = parseOptions({
      issuers: [{ issuer: 'https://id.example', audience: 'user-service' }],
      destinations: [{ to: 'kafka:a' }],
    })
    expect([sealing.keys, rules[0]?.seal]).toEqual([[], true])
  } finally {
    for (const name of ['secret', 'seal', 'sealing']) Reflect.deleteProperty(Object.prototype, name)
  }
})
