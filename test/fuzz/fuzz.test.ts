/** A fuzz run with a fixed seed, and proof that such a run finds what it looks for. */

import { describe, expect, it, vi } from 'vitest'
import { TokenRejectedError } from '../../src/token/errors.ts'
import type { FuzzTarget } from './fuzz.ts'
import { fuzz } from './fuzz.ts'
import type { Cast } from './inputs.ts'
import { mayBeAccepted } from './reference.ts'
import { withRelayTarget } from './relay-target.ts'

// Some tens of seconds, on a machine that does nothing else: always all inputs, so that a seed means one run.
vi.setConfig({ testTimeout: 1_800_000 })

const RUN = { seed: 20_260_102, inputs: 20_000, seconds: 1_800 }
const SHORT = { ...RUN, inputs: 4_000 }
const refuse = (): never => {
  throw new TokenRejectedError('ERR_TOKEN_MALFORMED')
}

it('nothing is accepted that should not be, and nothing breaks [A15, A16, B12, C1]', async () => {
  const report = await withRelayTarget((targetFor) => fuzz(targetFor, RUN))
  expect(report.findings).toEqual([])
  expect(report.inputs).toBe(RUN.inputs)
  // The run reaches every check, and the good tokens in it are good.
  expect(report.accepted).toBeGreaterThan(RUN.inputs / 40)
  expect(Object.keys(report.codes)).toEqual(
    expect.arrayContaining(
      [
        ...['MALFORMED', 'TOO_LARGE', 'HEADER', 'ALGORITHM', 'TYPE', 'ISSUER', 'KEY', 'SIGNATURE', 'AUDIENCE'],
        ...['CLAIM', 'BOUND'],
      ].map((name) => `ERR_TOKEN_${name}`),
    ),
  )
})

describe('a broken verifier is found:', () => {
  /** The right verdict, but for what `loosen` makes of the text before it is looked at. */
  const lenient =
    (loosen: (text: string) => string) =>
    (cast: Cast): FuzzTarget => ({
      verify: async (text) => mayBeAccepted(text, cast) || mayBeAccepted(loosen(text), cast) || refuse(),
    })
  const rememberingBy =
    (keyOf: (text: string) => string) =>
    (cast: Cast): FuzzTarget => {
      const known = new Set<string>()
      return {
        async verify(text) {
          if (known.has(keyOf(text))) return
          if (!mayBeAccepted(text, cast)) refuse()
          known.add(keyOf(text))
        },
      }
    }

  it.each<[string, string, (cast: Cast) => FuzzTarget]>([
    ['one that takes everything', 'false accept', () => ({ verify: async () => undefined })],
    ['one that ignores padding', 'false accept', lenient((text) => text.replace(/=+(?=\.|$)/g, ''))],
    ['one that trims', 'false accept', lenient((text) => text.trim())],
    [
      'one that takes the scheme for a part of the token',
      'false accept',
      lenient((text) => text.replace('Bearer ', '')),
    ],
    [
      'one that decodes what is not canonical',
      'false accept',
      lenient((text) =>
        text
          .split('.')
          .map((part) => Buffer.from(part, 'base64url').toString('base64url'))
          .join('.'),
      ),
    ],
    ['a cache by the last characters', 'false accept', rememberingBy((text) => text.slice(-40))],
    ['a cache by the first characters', 'false accept', rememberingBy((text) => text.slice(0, 60))],
    ['one that takes nothing', 'good refused', () => ({ verify: async () => refuse() })],
    [
      'one that throws what it likes',
      'untyped error',
      () => ({ verify: async (text) => JSON.parse(Buffer.from(text.split('.')[0] ?? '', 'base64url').toString()) }),
    ],
    [
      'one that does not come back',
      'crash',
      (cast) => ({ verify: (text) => (text.startsWith('.') ? refuse() : lenient((same) => same)(cast).verify(text)) }),
    ],
  ])('%s', async (_, defect, targetFor) => {
    const { findings } = await fuzz(targetFor, SHORT)
    expect(findings.map((finding) => finding.defect)).toContain(defect)
  })
})
