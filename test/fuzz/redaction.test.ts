/** Fragments of tokens in random texts are redacted, and ordinary texts are not. */

import process from 'node:process'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import { fuzzRedaction } from './redaction.ts'

vi.setConfig({ testTimeout: 1_800_000 })

const signer = createSigner()
const tokens = Array.from({ length: 20 }, () => signer.token(goodClaims(ISSUER)))
let relay: TokenRelay
beforeAll(async () => {
  relay = createTokenRelay(optionsFor([signer.jwk]))
  relay.redact({})
  for (const token of tokens) await relay.verify(token)
})
afterAll(() => relay.shutdown())

const RUN = { seed: 20_261_201, texts: Number(process.env['FUZZ_TEXTS'] ?? 10_000), tokens }

it('a fragment of a live token is redacted in every encoding, wherever it stands, and nothing else [G13]', () => {
  const names: string[] = []
  const processor = relay.redact({ onEnd: ({ name }: { name: string }) => void names.push(name) })
  const redact = (name: string): string => {
    processor.onEnd({ name })
    return names.pop() ?? ''
  }
  expect(fuzzRedaction({ ...RUN, redact }).slice(0, 5)).toEqual([])
})

it('such a run finds what is not redacted, and what should not be', () => {
  const defects = (redact: (text: string) => string): readonly string[] => [
    ...new Set(fuzzRedaction({ ...RUN, texts: 100, redact }).map(({ defect }) => defect)),
  ]
  expect(defects((text) => text)).toEqual(['a fragment is left'])
  expect(defects(() => '')).toEqual(['ordinary text is changed'])
})
