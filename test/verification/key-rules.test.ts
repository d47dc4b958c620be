/** Published keys that must not verify anything: each is dropped for its own reason. */

import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { defectOf } from '../../src/verification/key-rules.ts'
import { isRocaModulus } from '../../src/verification/weak-keys.ts'

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
])('%s may verify', (_, make) => {
  expect(defectOf(make())).toBeUndefined()
})

describe('A17 RSA keys', () => {
  it.each<readonly [string, string, () => Jwk]>([
    ['of 1024 bits', 'weak', () => rsa(1_024)],
    ['of 2047 bits', 'weak', () => ({ ...good, n: base64url(`7f${modulus.subarray(1).toString('hex')}`) })],
    ['with exponent 1', 'weak', () => ({ ...good, e: 'AQ' })],
    ['with exponent 3', 'weak', () => rsa(2_048, 3)],
    ['with an even exponent', 'weak', () => ({ ...good, e: base64url('010002') })],
    ['with a leading zero', 'malformed', () => ({ ...good, n: base64url(`00${modulus.toString('hex')}`) })],
    ['with an exponent as long as the modulus', 'too_large', () => ({ ...good, e: good['n'] })],
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
])('A19 an Ed25519 point of small order is weak: %s', (_, hex) => {
  expect(defectOf({ kty: 'OKP', crv: 'Ed25519', x: base64url(hex) })).toBe('weak')
})

it.each<readonly [string, string, unknown]>([
  ['A20 another algorithm than its curve', 'malformed', { ...ec('P-256'), alg: 'ES384' }],
  ['A20 a coordinate of another length', 'malformed', { ...ec('P-256'), x: 'AA' }],
  ['A20 a point off the curve', 'malformed', { ...ec('P-256'), x: ec('P-256')['x'] }],
  ['A20 an unknown curve', 'unsupported', { ...ec('P-256'), crv: 'P-192' }],
  ['A20 a key for agreement', 'unsupported', { kty: 'OKP', crv: 'X25519', x: ed()['x'] }],
  ['D8 a secret', 'symmetric', { kty: 'oct', k: 'AAAA' }],
  ['D8 a secret in disguise', 'symmetric', { ...good, k: 'AAAA' }],
  ['D8 a private key', 'private', { ...good, d: 'AAAA' }],
  ['D8 a factor', 'private', { ...good, p: 'AAAA' }],
  ['a key for encryption', 'not_for_signatures', { ...good, use: 'enc' }],
  ['a key for signing only', 'not_for_signatures', { ...good, key_ops: ['sign'] }],
  ['operations that are no list', 'not_for_signatures', { ...good, key_ops: 'verify' }],
  ['an operation that stands there twice', 'malformed', { ...good, key_ops: ['verify', 'verify'] }],
  ['a kid that is a number', 'malformed', { ...good, kid: 1 }],
  ['a kid of 257 characters', 'malformed', { ...good, kid: 'x'.repeat(257) }],
  ['padding', 'malformed', { ...good, n: `${String(good['n'])}==` }],
  ['an unknown type', 'unsupported', { kty: 'AKP', pub: 'AAAA' }],
  ['no type', 'malformed', {}],
  ['a list', 'malformed', []],
  ['null', 'malformed', null],
])('%s is %s', (_, defect, key) => {
  expect(defectOf(key)).toBe(defect)
})
