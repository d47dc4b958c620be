/** docs/vectors: the relay opens every good vector, refuses every wrong one, and the file is the one that jose makes. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential } from '../../src/index.ts'
import { consume } from '../../src/messaging/index.ts'
import { readBlocks, readDocument } from '../docs/markdown.ts'
import type { Vector, Vectors } from './vectors.ts'
import { createVectors, renderVectors, VECTORS_FILE } from './vectors.ts'

const text = readDocument(VECTORS_FILE)
const vectors = JSON.parse(text) as Vectors
let relay: TokenRelay

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] })
  relay = createTokenRelay({
    issuers: [vectors.issuer],
    telemetry: { log: 'off' },
    destinations: [{ to: 'kafka:orders' }, { to: 'kafka:refunds' }],
    sealing: {
      maxAgeSeconds: vectors.maxAgeSeconds,
      keys: vectors.keys.map(({ kid, ...key }) =>
        key.kty === 'oct' ? { kid, secret: String(key.k) } : { kid, jwk: key },
      ),
    },
  })
})
afterEach(async () => {
  vi.useRealTimers()
  await relay.shutdown()
})

/** What the handler finds, or the code of the error. */
async function read({ authorization, traceparent, source, now }: Vector): Promise<unknown> {
  vi.setSystemTime(now * 1000)
  const headers = { authorization, ...(traceparent === undefined ? {} : { traceparent }) }
  const consumed = await consume({ source, headers }, () => getActiveCredential())
  if (consumed.verdict !== 'handled') return consumed.error.code
  return [consumed.result?.subject, consumed.result?.reveal()]
}

it('the file is the current one: npm run vectors', async () => {
  expect(renderVectors(await createVectors())).toBe(text)
})

it('the page has the script that counts openings in Redis', () => {
  const script = readBlocks(readDocument('docs/guides/other-languages.md')).find(({ file }) => file === 'count.lua')
  expect(readDocument('src/redis/replay-window.ts')).toContain(`\`\n${script?.text.trim()}\``)
})

describe('opens', () => {
  it.each(vectors.good)('$name', async (vector) => {
    expect(await read(vector)).toEqual(['alice', vectors.token])
  })
})

describe('refuses', () => {
  it.each(vectors.wrong)('$name', async (vector) => {
    expect(await read(vector)).toBe('ERR_TOKEN_SEAL')
  })
})
