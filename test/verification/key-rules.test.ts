/** Published keys that must not verify anything: each is dropped for its own reason. */

import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { defectOf } from '../../src/verification/keys/key-rules.ts'
import { isRocaModulus } from '../../src/verification/keys/weak-keys.ts'

type Jwk = Record<string, unknown>
const rsa = (modulusLength: number, publicExponent = 65_537): Jwk => ({
  ...generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey.export({ format: 'jwk' }),
})
const ec = (namedCurve: string): Jwk => ({
  ...generateKeyPairSync('ec', { namedCurve }).publicKey.export({ format: 'jwk' }),
})
const ed = (): Jwk => ({ ...generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }) })
const base64url = (hex: string): string => Buffer.from(hex, 'hex').toString('base64url')

const good = rsa(2_048)
const modulus = Buffer.from(String(good['n']), 'base64url')

it.each<readonly [string, () => Jwk]>([
  ['RSA of 2048 bits', () => good],
  ['P-256', () => ec('P-256')],
  ['P-384', () => ({ ...ec('P-384'), alg: 'ES384', use: 'sig', kid: 'a' })],
  ['P-521', () => ec('P-521')],
  ['Ed25519', () => ({ ...ed(), alg: 'EdDSA', key_ops: ['verify'] })],
  ['RSA of 8192 bits', () => ({ ...good, n: base64url('ff'.repeat(1_024)) })],
  ['RSA with an exponent of 256 bits', () => ({ ...good, e: base64url('ff'.repeat(32)) })],
  ['a kid of 256 characters', () => ({ ...good, kid: 'x'.repeat(256) })],
])('%s may verify', (_, make) => {
  expect(defectOf(make())).toBeUndefined()
})

describe('RSA keys [A17]', () => {
  it.each<readonly [string, string, () => Jwk]>([
    ['of 1024 bits', 'weak', () => rsa(1_024)],
    ['of 2047 bits', 'weak', () => ({ ...good, n: base64url(`7f${modulus.subarray(1).toString('hex')}`) })],
    ['with exponent 1', 'weak', () => ({ ...good, e: 'AQ' })],
    ['with exponent 3', 'weak', () => rsa(2_048, 3)],
    ['with an even exponent', 'weak', () => ({ ...good, e: base64url('010002') })],
    ['with a leading zero', 'malformed', () => ({ ...good, n: base64url(`00${modulus.toString('hex')}`) })],
    ['with an exponent as long as the modulus', 'too_large', () => ({ ...good, e: good['n'] })],
    ['with an exponent of 257 bits', 'too_large', () => ({ ...good, e: base64url(`01${'00'.repeat(31)}01`) })],
    ['of 8193 bits', 'too_large', () => ({ ...good, n: base64url(`01${'ff'.repeat(1_024)}`) })],
    ['of 16384 bits', 'too_large', () => ({ ...good, n: base64url(`ff${'ff'.repeat(2_047)}`) })],
    ['without modulus', 'malformed', () => ({ kty: 'RSA', e: 'AQAB' })],
  ])('%s are %s', (_, defect, make) => {
    expect(defectOf(make())).toBe(defect)
  })

  it('of Infineon’s generator are found by their fingerprint', () => {
    // A number of that form: a power of 65537 modulo the product of the small primes.
    const primorial =
      3n *
      5n *
      7n *
      11n *
      13n *
      17n *
      19n *
      23n *
      29n *
      31n *
      37n *
      41n *
      43n *
      47n *
      53n *
      59n *
      61n *
      67n *
      71n *
      73n *
      79n *
      83n *
      89n *
      97n *
      101n *
      103n *
      107n *
      109n *
      113n *
      127n *
      131n *
      137n *
      139n *
      149n *
      151n *
      157n *
      163n *
      167n
    let power = 1n
    for (let i = 0; i < 1_234; i += 1) power = (power * 65_537n) % primorial
    expect(isRocaModulus(power + primorial * 12_345n)).toBe(true)
    expect(isRocaModulus(BigInt(`0x${modulus.toString('hex')}`))).toBe(false)
  })
})

it.each([
  ['0', '00'.repeat(32)],
  ['1', `01${'00'.repeat(31)}`],
  ['1, with the sign bit', `01${'00'.repeat(30)}80`],
  ['-1', `ec${'ff'.repeat(30)}7f`],
  ['p', `ed${'ff'.repeat(30)}7f`],
  ['p + 1', `ee${'ff'.repeat(30)}ff`],
  ['of order 8', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
  ['of order 8, the other one', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
])('an Ed25519 point of small order is weak: %s [A19]', (_, hex) => {
  expect(defectOf({ kty: 'OKP', crv: 'Ed25519', x: base64url(hex) })).toBe('weak')
})

it('a P-521 key that has lost a leading zero is malformed, as RFC 7518 §6.2.1.2 says', () => {
  const padded = keyThat(
    () => ec('P-521'),
    ({ x }) => bytesOf(x)[0] === 0,
  )
  expect(defectOf(padded)).toBeUndefined()
  expect(defectOf({ ...padded, x: bytesOf(padded['x']).subarray(1).toString('base64url') })).toBe('malformed')
})

const bytesOf = (text: unknown): Buffer => Buffer.from(String(text), 'base64url')

function keyThat(make: () => Jwk, fits: (jwk: Jwk) => boolean): Jwk {
  for (;;) {
    const jwk = make()
    if (fits(jwk)) return jwk
  }
}

it.each<readonly [string, string, unknown]>([
  ['malformed', 'another algorithm than its curve [A20]', { ...ec('P-256'), alg: 'ES384' }],
  ['malformed', 'a coordinate of another length [A20]', { ...ec('P-256'), x: 'AA' }],
  ['malformed', 'a point off the curve [A20]', { ...ec('P-256'), x: ec('P-256')['x'] }],
  ['unsupported', 'an unknown curve [A20]', { ...ec('P-256'), crv: 'P-192' }],
  ['unsupported', 'a key for agreement [A20]', { kty: 'OKP', crv: 'X25519', x: ed()['x'] }],
  ['symmetric', 'a secret [D8]', { kty: 'oct', k: 'AAAA' }],
  ['symmetric', 'a secret in disguise [D8]', { ...good, k: 'AAAA' }],
  ['private', 'a private key [D8]', { ...good, d: 'AAAA' }],
  ['private', 'a factor [D8]', { ...good, p: 'AAAA' }],
  ['not_for_signatures', 'a key for encryption', { ...good, use: 'enc' }],
  ['not_for_signatures', 'a key for signing only', { ...good, key_ops: ['sign'] }],
  ['not_for_signatures', 'operations that are no list', { ...good, key_ops: 'verify' }],
  ['malformed', 'an operation that stands there twice', { ...good, key_ops: ['verify', 'verify'] }],
  ['malformed', 'a kid that is a number', { ...good, kid: 1 }],
  ['malformed', 'a kid of 257 characters', { ...good, kid: 'x'.repeat(257) }],
  ['malformed', 'padding', { ...good, n: `${String(good['n'])}==` }],
  ['unsupported', 'an unknown type', { kty: 'AKP', pub: 'AAAA' }],
  ['malformed', 'no type', {}],
  ['malformed', 'a list', []],
  ['malformed', 'null', null],
])('calls it %s: %s', (defect, _, key) => {
  expect(defectOf(key)).toBe(defect)
})
