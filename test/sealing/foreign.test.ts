/** What others make: jose opens ours and we open jose's, and what an attacker makes is refused before any cryptography. */

import { createCipheriv, randomBytes } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import type { CompactJWEHeaderParameters } from 'jose'
import { CompactEncrypt, compactDecrypt, importJWK } from 'jose'
import { describe, expect, it } from 'vitest'
import { createPublicSealingKey, createSecretSealingKey } from '../../src/sealing/key.ts'
import type { Jwk, Kind } from '../support/sealing.ts'
import {
  KINDS,
  MESSAGE,
  opened,
  P256,
  privateJwk,
  publicPart,
  randomSecret,
  SECRET,
  sealed,
  sealingWith,
  TOKEN,
  X25519,
} from '../support/sealing.ts'

const SEAL = 'ERR_TOKEN_SEAL'
type Header = Readonly<Record<string, unknown>>

function goodHeader(kid: string, alg: string, changes: Header = {}): Header {
  const now = Math.floor(Date.now() / 1000)
  const { destination, traceId } = MESSAGE
  const binding = { iss: 'a', aud: destination, jti: crypto.randomUUID(), iat: now, exp: now + 60, trace: traceId }
  return { alg, enc: 'A256GCM', kid, typ: 'token-relay+jwe', ...binding, ...changes }
}

function headerIn(text: string): Header {
  return JSON.parse(Buffer.from(text.split('.')[0] ?? '', 'base64url').toString()) as Header
}

/** The next letter of base64url: a last one that differs in bits that are not used decodes to the same bytes. */
function nextLetter(letter: string): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return letters[(letters.indexOf(letter) + 1) % letters.length] ?? ''
}

/** What jose makes of `plaintext`. Members that are `undefined` are left out. */
async function joseSealed(jwk: Jwk, header: Header, plaintext: string | Uint8Array = TOKEN): Promise<string> {
  const key = await importJWK(publicPart(jwk), String(header['alg']))
  const jwe = new CompactEncrypt(Buffer.from(plaintext as string))
  return jwe.setProtectedHeader(JSON.parse(JSON.stringify(header)) as CompactJWEHeaderParameters).encrypt(key)
}

describe.each(KINDS)('$kind', ({ key, alg, jwk }) => {
  const sealing = sealingWith([key])

  it('jose opens what we seal', async () => {
    const { plaintext, protectedHeader } = await compactDecrypt(sealed(sealing), await importJWK(jwk, alg), {
      keyManagementAlgorithms: [alg],
      contentEncryptionAlgorithms: ['A256GCM'],
    })
    expect(Buffer.from(plaintext).toString().trimEnd()).toBe(TOKEN)
    expect(protectedHeader).toMatchObject({ alg, aud: 'kafka:orders' })
  })

  it('we open what jose seals', async () => {
    expect(await opened(sealing, await joseSealed(jwk, goodHeader(key.kid, alg)))).toBe(TOKEN)
  })

  it('one who seals under the message id of another message does not use that message up [H2]', async () => {
    const consumer = sealingWith([key], { maxOpenings: 2 })
    const message = sealed(consumer)
    const { jti, iat, exp } = headerIn(message)
    const squatter = await joseSealed(jwk, goodHeader(key.kid, alg, { jti, iat, exp }), 'another.own.token')
    const outcomes = []
    for (const text of [squatter, squatter, squatter, message, message, message]) {
      outcomes.push(await opened(consumer, text))
    }
    expect(outcomes).toEqual(['another.own.token', 'another.own.token', SEAL, TOKEN, TOKEN, SEAL])
  })

  it('a message that is delivered again is the same opening, in whatever form a consumer gives its text [H2]', async () => {
    const consumer = sealingWith([key], { maxOpenings: 2 })
    const text = sealed(consumer)
    expect(await opened(consumer, text)).toBe(TOKEN)
    for (const spelling of [`${text}=`, ` ${text}`, `${text}\n`, text.replace(/.$/, (last) => nextLetter(last))]) {
      expect(await opened(consumer, spelling)).toBe(SEAL)
    }
    expect(await opened(consumer, Buffer.from(text).toString())).toBe(TOKEN)
    expect(await opened(consumer, text)).toBe(SEAL)
  })

  it.each<readonly [string, Header]>([
    ['another typ', { typ: 'JWT' }],
    ['no typ', { typ: undefined }],
    ['another kid', { kid: 'other' }],
    ['no kid', { kid: undefined }],
    ['no destination', { aud: undefined }],
    ['several destinations', { aud: ['kafka:orders', 'kafka:b'] }],
    ['no producer', { iss: undefined }],
    ['no message id', { jti: undefined }],
    ['a message id that is long', { jti: 'a'.repeat(65) }],
    ['no iat', { iat: undefined }],
    ['no exp', { exp: undefined }],
    ['an exp that is no number', { exp: '9999999999' }],
    ['an exp that is past', { exp: 1 }],
    ['an iat ahead', { iat: 9_999_999_999 }],
    ['a trace that is none', { trace: 7 }],
    ['another trace', { trace: 'f'.repeat(32) }],
    ['enc A128GCM [H5]', { enc: 'A128GCM' }],
    ['enc A256CBC-HS512 [H5]', { enc: 'A256CBC-HS512' }],
    ['an invented member', { x: 1 }],
    ['cty', { cty: 'JWT' }],
    ['jku', { jku: 'https://evil.example' }],
  ])('is refused, though it was sealed with the key, with %s', async (_, changes) => {
    expect(await opened(sealing, await joseSealed(jwk, goodHeader(key.kid, alg, changes)))).toBe(SEAL)
  })

  it.each<readonly [string, string | Uint8Array]>([
    ['nothing', ''],
    ['spaces', '   '],
    ['a space before it', ` ${TOKEN}`],
    ['a space inside', `${TOKEN} ${TOKEN}`],
    ['a line end', `${TOKEN}\n`],
    ['bytes that are no text', randomBytes(64)],
    ['more than a token may have [H6]', 'a'.repeat(8_193)],
  ])('is refused if it holds %s', async (_, plaintext) => {
    expect(await opened(sealing, await joseSealed(jwk, goodHeader(key.kid, alg), plaintext))).toBe(SEAL)
  })
})

describe('other algorithms [H5]', () => {
  const secret = randomSecret()
  const sealing = sealingWith([createSecretSealingKey('key-1', secret), P256.key])
  const jwk = { kty: 'oct', k: secret }

  it.each(['dir', 'A256GCMKW'])('%s with the very secret is refused', async (alg) => {
    expect(await opened(sealing, await joseSealed(jwk, goodHeader('key-1', alg)))).toBe(SEAL)
  })

  it('ECDH-ES without key wrapping is refused', async () => {
    const { kid } = P256.key
    expect(await opened(sealing, await joseSealed(P256.jwk, goodHeader(kid, 'ECDH-ES')))).toBe(SEAL)
  })

  it('PBES2 with ruinous iterations is refused at once', async () => {
    const header = goodHeader('key-1', 'PBES2-HS512+A256KW', { p2c: 2 ** 31 - 1, p2s: 'AAAAAAAAAAA' })
    expect(await opened(sealing, withHeader(sealed(sealing), header))).toBe(SEAL)
  })

  it('the kid of a key of another kind is refused', async () => {
    const header = goodHeader(P256.key.kid, 'A256KW')
    expect(await opened(sealing, await joseSealed(jwk, header))).toBe(SEAL)
  })

  it('epk beside a secret is refused', async () => {
    const header = goodHeader('key-1', 'A256KW', { epk: publicPart(privateJwk('P-256')) })
    expect(await opened(sealing, await joseSealed(jwk, header))).toBe(SEAL)
  })
})

describe('ephemeral keys', () => {
  const sealing = sealingWith([P256.key, X25519.key])
  const zero = Buffer.alloc(32).toString('base64url')

  it.each<readonly [string, Kind, unknown]>([
    ['a point that is not on the curve', P256, { ...publicPart(privateJwk('P-256')), y: zero }],
    ['a point of another curve', P256, publicPart(privateJwk('X25519'))],
    ['a private key', P256, privateJwk('P-256')],
    ['a member too many', P256, { ...publicPart(privateJwk('P-256')), kid: 'a' }],
    ['a coordinate missing', P256, { kty: 'EC', crv: 'P-256', x: zero }],
    ['a point of small order', X25519, { kty: 'OKP', crv: 'X25519', x: zero }],
    ['no key', X25519, undefined],
    ['a text', X25519, 'epk'],
    ['a list', X25519, []],
  ])('%s is refused', async (_, kind, epk) => {
    const { key, alg } = kind
    const text = sealed(sealing, MESSAGE, key.kid)
    expect(await opened(sealing, withHeader(text, goodHeader(key.kid, alg, { epk })))).toBe(SEAL)
  })
})

describe('spelling and size [H6]', () => {
  const sealing = sealingWith([SECRET.key])
  const text = sealed(sealing)
  const segments = text.split('.')
  const last = segments[4] ?? ''

  it.each<readonly [string, string]>([
    ['empty', ''],
    ['four segments', segments.slice(0, 4).join('.')],
    ['six segments', `${text}.a`],
    ['an empty key, as with dir', segments.with(1, '').join('.')],
    ['an empty ciphertext', segments.with(3, '').join('.')],
    ['a shorter tag', segments.with(4, last.slice(0, 16)).join('.')],
    ['a longer IV', segments.with(2, 'A'.repeat(22)).join('.')],
    ['padding of base64', `${text}==`],
    ['white space before it', ` ${text}`],
    ['white space after it', `${text} `],
    ['a line end', `${text}\n`],
    ['white space in a segment', `${segments.slice(0, 4).join('.')}. ${last}`],
    ['a NUL', `${text}\0`],
    ['another spelling of the tag', `${text.slice(0, -1)}${nextInGroup(text.at(-1) ?? '')}`],
    ['a header that is no JSON', segments.with(0, 'AAAA').join('.')],
    ['a header that is a list', segments.with(0, Buffer.from('[]').toString('base64url')).join('.')],
    ['10 MiB', segments.with(3, 'A'.repeat(10 * 1_048_576)).join('.')],
    ['10 MiB of header', segments.with(0, 'A'.repeat(10 * 1_048_576)).join('.')],
    ['the JSON serialization', JSON.stringify({ protected: segments[0], ciphertext: segments[3] })],
  ])('%s is refused', async (_, spelled) => {
    expect(await opened(sealing, spelled)).toBe(SEAL)
  })

  it('a member twice is refused', async () => {
    const json = JSON.stringify(goodHeader('secret-1', 'A256KW')).replace('{', '{"aud":"kafka:other",')
    expect(await opened(sealing, segments.with(0, Buffer.from(json).toString('base64url')).join('.'))).toBe(SEAL)
  })

  it('a compressed token is refused, also a bomb', async () => {
    const secret = randomBytes(32)
    const own = sealingWith([createSecretSealingKey('key-1', secret.toString('base64url'))])
    for (const content of [TOKEN, 'a'.repeat(4_000_000)]) {
      const header = goodHeader('key-1', 'A256KW', { zip: 'DEF' })
      expect(await opened(own, sealedByHand(secret, header, deflateRawSync(content)))).toBe(SEAL)
    }
    // The hand is a good one: without zip it seals.
    expect(await opened(own, sealedByHand(secret, goodHeader('key-1', 'A256KW'), Buffer.from(TOKEN)))).toBe(TOKEN)
  })

  it.each<readonly [string, Header, number]>([
    ['another alg than it was sealed with [H5]', { alg: 'dir' }, 0],
    ['another enc than it was sealed with [H5]', { enc: 'A128GCM' }, 0],
    ['10 MiB of padding [H6]', {}, 10 * 1_048_576],
  ])('refuses %s', async (_, changes, padding) => {
    const secret = randomBytes(32)
    const own = sealingWith([createSecretSealingKey('key-1', secret.toString('base64url'))])
    const text = sealedByHand(
      secret,
      goodHeader('key-1', 'A256KW', changes),
      Buffer.from(`${TOKEN}${' '.repeat(padding)}`),
    )
    expect(await opened(own, text)).toBe(SEAL)
  })

  it.each([
    ['crit', { crit: ['exp'] }],
    ['crit of something unknown', { crit: ['x'], x: 1 }],
    ['b64', { b64: false }],
    ['apu', { apu: 'AA' }],
    ['__proto__', JSON.parse('{"__proto__":{"a":1}}') as Header],
  ])('%s is refused', async (_, changes) => {
    const secret = randomBytes(32)
    const own = sealingWith([createSecretSealingKey('key-1', secret.toString('base64url'))])
    const json = JSON.stringify(goodHeader('key-1', 'A256KW')).replace(/}$/, `,${JSON.stringify(changes).slice(1)}`)
    expect(await opened(own, sealedByHand(secret, json, Buffer.from(TOKEN)))).toBe(SEAL)
  })

  it('any text is refused with that error, and no other', async () => {
    const part = fc.stringMatching(/^[\w-]{0,60}$/)
    const jwe = fc.tuple(part, part, part, part, part).map((parts) => parts.join('.'))
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), jwe), async (any) => {
        expect(await opened(sealing, any)).toBe(SEAL)
      }),
    )
  })
})

it('members of a polluted Object.prototype are no members of a header [H15]', async () => {
  const sealing = sealingWith([SECRET.key])
  const header = goodHeader('secret-1', 'A256KW', { aud: undefined })
  const text = await joseSealed(SECRET.jwk, header)
  Object.assign(Object.prototype, { aud: MESSAGE.destination })
  try {
    expect(await opened(sealing, text)).toBe(SEAL)
    expect(await opened(sealing, sealed(sealing))).toBe(TOKEN)
  } finally {
    Reflect.deleteProperty(Object.prototype, 'aud')
  }
})

it('who has the public part alone can seal, and not open [H7]', async () => {
  const producers = createPublicSealingKey('key-1', publicPart(P256.jwk))
  const text = sealed(sealingWith([producers]))
  expect(await opened(sealingWith([producers]), text)).toBe(SEAL)
  expect(await opened(sealingWith([createPublicSealingKey('key-1', P256.jwk)]), text)).toBe(TOKEN)
})

function withHeader(text: string, header: Header): string {
  return text
    .split('.')
    .with(0, Buffer.from(JSON.stringify(header)).toString('base64url'))
    .join('.')
}

/** A character of base64url that differs in the lowest bit, which no byte uses at the end of 16. */
function nextInGroup(character: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return alphabet[alphabet.indexOf(character) ^ 1] ?? ''
}

/** A JWE with A256KW, by RFC 7516 §5.1 and nothing else. */
function sealedByHand(secret: Buffer, header: Header | string, plaintext: Buffer): string {
  const json = typeof header === 'string' ? header : JSON.stringify(header)
  const protectedHeader = Buffer.from(json).toString('base64url')
  const [cek, iv] = [randomBytes(32), randomBytes(12)]
  const wrapping = createCipheriv('id-aes256-wrap', secret, Buffer.alloc(8, 0xa6))
  const cipher = createCipheriv('aes-256-gcm', cek, iv).setAAD(Buffer.from(protectedHeader))
  const wrapped = Buffer.concat([wrapping.update(cek), wrapping.final()])
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return [
    protectedHeader,
    ...[wrapped, iv, ciphertext, cipher.getAuthTag()].map((part) => part.toString('base64url')),
  ].join('.')
}
