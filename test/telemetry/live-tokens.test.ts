/** Tokens are known by value as long as they are in use, however many others there are. */

import { randomBytes } from 'node:crypto'
import { afterEach, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
let relay: TokenRelay
afterEach(() => relay.shutdown())

function start(maxEntries: number): void {
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), cache: { maxEntries } })
}

/** Long enough for a few hundred of them to fill a generation. */
function createToken(): string {
  return signer.token(goodClaims(ISSUER, { x: randomBytes(600).toString('base64url') }))
}

/** Verifies `count` other tokens; with `use` after each ten. */
async function verifyOthers(count: number, use: () => Promise<unknown> = async () => undefined): Promise<void> {
  for (let number = 0; number < count; number += 1) {
    await relay.verify(createToken())
    if (number % 10 === 0) await use()
  }
}

/** What is exported instead of the signature, which has no shape of its own. */
function exportedSignature(token: string): string | undefined {
  const names: string[] = []
  const processor = relay.redact({ onEnd: ({ name }: { name: string }) => void names.push(name) })
  processor.onEnd({ name: token.slice(token.lastIndexOf('.') + 1) })
  return names[0]
}

it('a token that was not used again is known until as many others were as are cached', async () => {
  start(1_024)
  relay.redact({})
  const token = createToken()
  await relay.verify(token)
  await verifyOthers(600)
  expect(exportedSignature(token)).toBe('[REDACTED]')
})

it('a token that is in use stays known, however many others come', async () => {
  start(50)
  relay.redact({})
  const token = createToken()
  await verifyOthers(2_500, () => relay.verify(token))
  expect(exportedSignature(token)).toBe('[REDACTED]')
})

it('a token that was verified before anything was redacted is known from its next use on', async () => {
  start(50)
  const token = createToken()
  await relay.verify(token)
  relay.redact({})
  await relay.verify(token)
  expect(exportedSignature(token)).toBe('[REDACTED]')
})

it('what was exported before is redacted as soon as it is a part of a token in use', async () => {
  start(50)
  const exported: object[] = []
  const processor = relay.redact({ onEnd: ({ attributes }: { attributes: object }) => void exported.push(attributes) })
  const token = createToken()
  // As long as the id of a trace.
  const attributes = { [token.slice(-20)]: token.slice(-32), 'a constant name': 2 }
  processor.onEnd({ attributes })
  processor.onEnd({ attributes })
  await relay.verify(token)
  processor.onEnd({ attributes })
  expect(exported).toEqual([attributes, attributes, { '[REDACTED]': '[REDACTED]', 'a constant name': 2 }])
})
