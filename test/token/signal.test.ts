/** B5 C5 G2 `credential.signal`: long work hears that its token has expired or was taken back. */

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

describe('B5 expiry', () => {
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

  it('has happened already where the signal is asked for too late', async () => {
    const credential = await verify({ exp: NOW / 1000 + 60 })
    vi.setSystemTime(NOW + 61_000)
    expect(reasonOf(credential)).toBe('ERR_TOKEN_EXPIRED')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('follows the clock where it is set', async () => {
    const credential = await verify({ exp: NOW / 1000 + 60 })
    expect(credential.signal.aborted).toBe(false)
    vi.setSystemTime(NOW + 61_000)
    vi.advanceTimersByTime(500)
    expect(reasonOf(credential)).toBe('ERR_TOKEN_EXPIRED')
  })

  it('of a token without exp does not come', async () => {
    const credential = await verify({ exp: undefined, jti: 'token-1' })
    expect(credential.signal.aborted).toBe(false)
    vi.advanceTimersByTime(10_000_000)
    expect(credential.signal.aborted).toBe(false)
    await relay.revoke(credential)
    vi.advanceTimersByTime(500)
    expect(reasonOf(credential)).toBe('ERR_TOKEN_REVOKED')
  })
})

describe('C5 revocation', () => {
  it('aborts within a second, all who have the token, and nobody else', async () => {
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

  it('a list that cannot be trusted is no revocation', async () => {
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

describe('what it costs', () => {
  it('one signal per token, one timer for all, and none when there is nothing to watch', async () => {
    const token = signer.token(goodClaims(ISSUER, { exp: NOW / 1000 + 60 }))
    expect((await relay.verify(token)).signal).toBe((await relay.verify(token)).signal)
    for (let i = 0; i < 100; i += 1) void (await verify({ sub: `user-${i}`, exp: NOW / 1000 + 60 })).signal
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(61_000)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('shutdown ends the timer, and no later signal starts one', async () => {
    const [before, after] = [await verify({ sub: 'a' }), await verify({ sub: 'b' })]
    expect(before.signal.aborted).toBe(false)
    await relay.shutdown()
    expect(vi.getTimerCount()).toBe(0)
    expect(after.signal.aborted).toBe(false)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is bounded: beyond the bound a signal is aborted from the beginning, and not because of the token', () => {
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

  it('listeners without number, and no warning', async () => {
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
      import { createCredentialWatch } from ${JSON.stringify(new URL('../../dist/revocation/watch.js', import.meta.url).href)}
      const watch = createCredentialWatch(() => 'good')
      watch.signalFor({ expiresAtMillis: Infinity })`
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      timeout: 20_000,
    })
    expect([status, String(stderr)]).toEqual([0, ''])
  })
})
