/** A fingerprint identifies a token and reveals nothing of it. */

import { createHmac } from 'node:crypto'
import { expect, it } from 'vitest'
import { fingerprint } from '../../src/token/fingerprint.ts'

const INPUT = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9'

it('a fingerprint is the first 64 bits of HMAC-SHA-256 over the signing input', () => {
  const expected = createHmac('sha256', 'a shared key of services').update(INPUT).digest('hex').slice(0, 16)
  expect(fingerprint(INPUT, 'a shared key of services')).toBe(expected)
  expect(expected).toMatch(/^[0-9a-f]{16}$/)
})

it('a fingerprint depends on the key, and is the same in every service with that key', () => {
  expect(fingerprint(INPUT, 'key')).toBe(fingerprint(INPUT, 'key'))
  expect(fingerprint(INPUT, 'key')).not.toBe(fingerprint(INPUT, 'yek'))
})

it('two tokens have two fingerprints', () => {
  expect(fingerprint(INPUT, 'key')).not.toBe(fingerprint(`${INPUT}x`, 'key'))
})
