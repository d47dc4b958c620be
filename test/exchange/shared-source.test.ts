/** What a shared cache gives is asked for and believed within limits, whatever the store does. */

import { expect, it, vi } from 'vitest'
import type { SharedTokenCache } from '../../src/exchange/shared-cache.ts'
import type { AnsweredToken, SharedQuestion } from '../../src/exchange/shared-source.ts'
import { createSharedSource } from '../../src/exchange/shared-source.ts'
import type { ObtainedToken } from '../../src/exchange/token-source.ts'
import type { TokenErrorCode } from '../../src/token/errors.ts'
import { credentialOf } from '../support/credential.ts'
import { SECRET, sealingWith } from '../support/sealing.ts'

const KEY = 'key'
const message = { destination: `exchanged:${KEY}`, traceId: undefined }
const sealing = sealingWith([SECRET.key], { maxTokenBytes: 100_000 })
const exp = Math.floor(Date.now() / 1000) + 3_600
const subject = credentialOf({ sub: 'alice', exp }, 'of.the.subject')
const exchanged = credentialOf({ sub: 'alice', exp }, 'exchanged.by.another')
const response = {
  accessToken: 'text',
  tokenType: 'Bearer',
  expiresInSeconds: 300,
  scope: undefined,
  issuedTokenType: undefined,
  refreshToken: undefined,
}

/** What another process has kept. */
function keptAt(obtainedAtMillis: number): string {
  const text = Buffer.from(JSON.stringify({ ...response, obtainedAtMillis })).toString('base64url')
  return sealing.seal(text, Date.now() + 300_000, true, message) ?? ''
}

function sourceOver(find: SharedTokenCache['find'], defectOf: () => TokenErrorCode | undefined = () => undefined) {
  const cache = { find: vi.fn(find), keep: vi.fn(async () => undefined), release: vi.fn(async () => undefined) }
  const obtained: ObtainedToken = {
    credential: exchanged,
    usableUntilMillis: Date.now() + 300_000,
    obtainedAtMillis: 0,
  } as never
  const accept = vi.fn<SharedQuestion['accept']>(async () => obtained)
  const ask = vi.fn<SharedQuestion['ask']>(async () => ({ ...obtained, response }) as AnsweredToken)
  const question = { issuer: 'https://id.example', key: KEY, subject, askingMillis: 1_000, accept, ask }
  return { get: createSharedSource({ cache, sealing, defectOf }, question), cache, accept, ask }
}

it('a subject that is revoked by now gets nothing that is kept, and nothing is kept for it [C5]', async () => {
  const { get, cache, ask } = sourceOver(
    async () => keptAt(Date.now()),
    () => 'ERR_TOKEN_REVOKED',
  )
  await get(undefined)
  expect([ask.mock.calls.length, cache.find.mock.calls.length, cache.keep.mock.calls.length]).toEqual([1, 0, 0])
})

it('a token that another process claims to get in the future is as old as if it was got now [B5]', async () => {
  const before = Date.now()
  for (const obtainedAtMillis of [before - 1_000, before + 3_600_000, Number.MAX_SAFE_INTEGER]) {
    const { get, accept, ask } = sourceOver(async () => keptAt(obtainedAtMillis))
    await get(undefined)
    const believed = accept.mock.calls[0]?.[2] ?? Number.NaN
    expect(ask).not.toHaveBeenCalled()
    expect(believed).toBeLessThanOrEqual(Math.min(obtainedAtMillis, Date.now()))
    expect(believed).toBeGreaterThanOrEqual(Math.min(obtainedAtMillis, before))
  }
})

it('a store that gives another unusable value each time is looked into three times, then the issuer is asked [H9]', async () => {
  const { get, cache, ask } = sourceOver(async () => crypto.randomUUID())
  await get(undefined)
  expect([cache.find.mock.calls.length, ask.mock.calls.length]).toEqual([3, 1])
})
