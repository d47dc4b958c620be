/** `credential.signal` aborts long work when its token expires or is revoked [B5, C5, G2]. */

import { spawnSync } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TokenRelay, TokenRelayOptions, VerifiedCredential } from '../../src/index.ts'
import { createTokenRelay, TokenRejectedError, UndecidedError } from '../../src/index.ts'
import { createCredentialWatch } from '../../src/revocation/watch.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const NOW = Date.parse('2026-01-02T03:04:05Z')
const signer = createSigner()
let relay: TokenRelay

function start(options: Partial<TokenRelayOptions> = {}): void {
  relay = createTokenRelay({ ...optionsFor([signer.jwk], { requiredClaims: ['sub'] }), ...options })
}
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'setInterval', 'clearInterval'], now: NOW })
  start()
})
afterEach(async () => {
  await relay.shutdown()
  vi.useRealTimers()
})

const verify = (claims = {}): Promise<VerifiedCredential> => relay.verify(signer.token(goodClaims(ISSUER, claims)))
const reasonOf = ({ signal }: VerifiedCredential): unknown => (signal.reason as { code?: unknown } | undefined)?.code

describe('the signal of a token that expires [B5]', () => {
  it('aborts half a second late at most, never early', async () => {
    const credential = await verify({ exp: NOW / 1000 + 60 })
    expect(credential.signal.aborted).toBe(false)
    vi.advanceTimersByTime(59_999)
    expect(credential.signal.aborted).toBe(false)
    vi.advanceTimersByTime(501)
    expect([credential.signal.reason, reasonOf(credential)]).toEqual([
      expect.any(TokenRejectedError),
      'ERR_TOKEN_EXPIRED',
    ])
  })

  it('is aborted from the start if it is read after the expiry', async () => {
    const credential = await verify({ exp: NOW / 1000 + 60 })
    vi.setSystemTime(NOW + 61_000)
    expect(reasonOf(credential)).toBe('ERR_TOKEN_EXPIRED')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('follows the clock when it is changed', async () => {
    const credential = await verify({ exp: NOW / 1000 + 60 })
    expect(credential.signal.aborted).toBe(false)
    vi.setSystemTime(NOW + 61_000)
    vi.advanceTimersByTime(500)
    expect(reasonOf(credential)).toBe('ERR_TOKEN_EXPIRED')
  })

  it('does not abort for a token without exp', async () => {
    const credential = await verify({ exp: undefined, jti: 'token-1' })
    expect(credential.signal.aborted).toBe(false)
    vi.advanceTimersByTime(10_000_000)
    expect(credential.signal.aborted).toBe(false)
    await relay.revoke(credential)
    vi.advanceTimersByTime(500)
    expect(reasonOf(credential)).toBe('ERR_TOKEN_REVOKED')
  })
})

describe('the signal of a token that is revoked [C5]', () => {
  it('aborts within a second, for every holder of the token and no other', async () => {
    const [mine, other] = [await verify({ jti: 'token-1' }), await verify({ jti: 'token-2' })]
    const heard = vi.fn()
    mine.signal.addEventListener('abort', heard)
    expect([mine.signal.aborted, other.signal.aborted]).toEqual([false, false])
    await relay.revoke(mine)
    vi.advanceTimersByTime(500)
    expect([reasonOf(mine), other.signal.aborted]).toEqual(['ERR_TOKEN_REVOKED', false])
    vi.advanceTimersByTime(5_000)
    expect(heard).toHaveBeenCalledOnce()
  })

  it('does not abort while the list is unavailable', async () => {
    await relay.shutdown()
    let available = true
    const list = {
      isRevoked: () => false,
      revoke: async () => undefined,
      get available() {
        return available
      },
    }
    start({ revocation: { list } })
    const credential = await verify()
    expect(credential.signal.aborted).toBe(false)
    available = false
    vi.advanceTimersByTime(5_000)
    expect(credential.signal.aborted).toBe(false)
  })
})

describe('watching tokens', () => {
  it('needs one signal per token, one timer for all, and none without tokens', async () => {
    const token = signer.token(goodClaims(ISSUER, { exp: NOW / 1000 + 60 }))
    expect((await relay.verify(token)).signal).toBe((await relay.verify(token)).signal)
    for (let i = 0; i < 100; i += 1) void (await verify({ sub: `user-${i}`, exp: NOW / 1000 + 60 })).signal
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(61_000)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('ends at shutdown, and no later signal starts a timer', async () => {
    const [before, after] = [await verify({ sub: 'a' }), await verify({ sub: 'b' })]
    expect(before.signal.aborted).toBe(false)
    await relay.shutdown()
    expect(vi.getTimerCount()).toBe(0)
    expect(after.signal.aborted).toBe(false)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is bounded: beyond the bound a signal is aborted from the start, but not because of the token', () => {
    const watch = createCredentialWatch(() => 'good')
    const token = { issuer: 'a', tokenId: undefined, sessionId: undefined, subject: 'b', issuedAtMillis: 0 }
    const forever = { ...token, expiresAtMillis: Number.POSITIVE_INFINITY }
    const ending = { ...token, expiresAtMillis: NOW + 1_000 }
    for (let i = 0; i < 99_999; i += 1) watch.signalFor(forever)
    expect(watch.signalFor(ending).aborted).toBe(false)
    expect(watch.signalFor(forever).reason).toBeInstanceOf(UndecidedError)
    vi.advanceTimersByTime(1_500)
    expect(watch.signalFor(forever).aborted).toBe(false)
    watch.stop()
  })

  it('allows any number of listeners without a warning', async () => {
    const warned = vi.fn()
    process.on('warning', warned)
    const { signal } = await verify()
    for (let i = 0; i < 100; i += 1) signal.addEventListener('abort', () => undefined)
    expect(getEventListeners(signal, 'abort')).toHaveLength(100)
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', warned)
    expect(warned).not.toHaveBeenCalled()
  })

  it('keeps no process alive', () => {
    const script = `
      import { createCredentialWatch } from ${JSON.stringify(new URL('../../src/revocation/watch.ts', import.meta.url).href)}
      const watch = createCredentialWatch(() => 'good')
      watch.signalFor({ expiresAtMillis: Infinity })`
    // Node.js 22.15 runs TypeScript only if it is told to.
    const typescript = ['--experimental-strip-types', '--disable-warning=ExperimentalWarning']
    const { status, stderr } = spawnSync(process.execPath, [...typescript, '--input-type=module', '--eval', script], {
      timeout: 120_000,
    })
    expect([status, String(stderr)]).toEqual([0, ''])
  })
})
