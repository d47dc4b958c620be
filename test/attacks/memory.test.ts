/** Tokens in great number: one copy of each, and nothing of those that are too large. */

import process from 'node:process'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { defaultTextMapGetter, ROOT_CONTEXT } from '@opentelemetry/api'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const signer = createSigner()
let relay: TokenRelay
beforeAll(() => {
  relay = createTokenRelay(optionsFor([signer.jwk]))
})
afterAll(() => relay.shutdown())

const COUNT = 2_000
const KIB = 1024

/** What is held by `COUNT` contexts, in bytes for each; every carrier is another object with its own text. */
function heldBy(textOf: (index: number) => string): number {
  const extract = (index: number): unknown =>
    relay.propagator.extract(ROOT_CONTEXT, { authorization: textOf(index) }, defaultTextMapGetter)
  extract(0)
  collect()
  const before = process.memoryUsage().heapUsed
  const contexts = Array.from({ length: COUNT }, (_, index) => extract(index))
  collect()
  return (process.memoryUsage().heapUsed - before) / contexts.length
}

/** A text that shares no memory with another one. */
const fresh = (text: string): string => Buffer.from(text).toString('latin1')

it('a context with a token that is too large does not hold it [H13]', () => {
  expect(heldBy((index) => fresh(`Bearer ${'a'.repeat(16 * KIB)}.${index}.b`))).toBeLessThan(2 * KIB)
})

it('a context with a token holds it once [H13]', () => {
  const token = signer.token(goodClaims(ISSUER, { padding: 'x'.repeat(4 * KIB) }))
  const held = heldBy((index) => fresh(`Bearer ${token.slice(0, -6)}${String(index).padStart(6, '0')}`))
  expect(held).toBeGreaterThan(token.length)
  expect(held).toBeLessThan(token.length + 2 * KIB)
})
