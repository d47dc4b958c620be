/** Keys are fetched without a caller. */

import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { withRelay } from '../support/relay.ts'

let issuer: TestIssuer
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-01-02T03:04:05Z') })
  issuer = await startIssuer()
})
afterEach(async () => {
  await issuer[Symbol.asyncDispose]()
  vi.useRealTimers()
})

const authorizations = (): string[] =>
  issuer.requests.flatMap(({ rawHeaders }) =>
    rawHeaders.filter((_, i) => rawHeaders[i - 1]?.toLowerCase() === 'authorization'),
  )

it('the issuer sees no token, though a caller is at work and the issuer is a named destination [D16]', async () => {
  const options = {
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: issuer.issuer }],
  }
  await withRelay(options, async (relay) => {
    const token = await issuer.token()
    await runWithToken(token, async () => {
      vi.setSystemTime(Date.now() + 600_000)
      const before = issuer.requests.length
      await relay.verify(await issuer.token({ sub: 'bob' }))
      expect(issuer.requests.slice(before).map(({ target }) => target)).toContain('/jwks')
      expect(getActiveCredential()?.subject).toBe('alice')
    })
    expect(authorizations()).toEqual([])
    expect(JSON.stringify(issuer.requests)).not.toContain(token.slice(-20))
  })
})

it('the same caller’s own request to it does carry the token, or else the test above would show nothing [D16]', async () => {
  const relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: issuer.issuer }],
  })
  try {
    const token = await issuer.token()
    await runWithToken(token, async () => (await fetch(`${issuer.issuer}/jwks`)).text())
    expect(authorizations()).toEqual([`Bearer ${token}`])
  } finally {
    await relay.shutdown()
  }
})
