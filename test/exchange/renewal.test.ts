/** Tokens in time: renewed before they end, never used after they or the caller's own have ended. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Rig } from '../support/exchange-rig.ts'
import { outcome, startRig } from '../support/exchange-rig.ts'
import { waitFor } from '../support/patience.ts'

const NOW = Date.parse('2026-01-02T03:04:05Z')
const START = NOW / 1000

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'], now: NOW })
  rig.endpoint.requests.length = 0
  rig.endpoint.answer = {}
  rig.sink.clear()
  await rig.relayWith({})
})
afterEach(() => vi.useRealTimers())
afterAll(() => rig[Symbol.asyncDispose]())

/** The number of the exchange that the token came from, from 1. */
function numbered(lifeSeconds: number): void {
  rig.endpoint.answer = () => {
    const now = Math.floor(Date.now() / 1000)
    const jti = String(rig.endpoint.requests.length)
    return { claims: { jti, iat: now, exp: now + lifeSeconds }, members: { expires_in: lifeSeconds } }
  }
}

const at = (seconds: number): void => void vi.setSystemTime(NOW + seconds * 1000)
const send = async (): Promise<string[]> => (await rig.send()).map((token) => numberOf(token))
const asked = (): number => rig.endpoint.requests.length
/** Waits for a renewal that is under way, since the old token does not last that long. */
const renewed = () => outcome(rig.relay.prepare(rig.sink.origin, { validForMillis: 30_000 }))
const longLived = () => rig.issuer.token({ iat: START, exp: START + 7_200 })

function numberOf(token: string): string {
  return (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { jti: string }).jti
}

describe('renewal', () => {
  it('happens in the background renewBeforeSeconds early, while the old token serves', async () => {
    numbered(600)
    await rig.as(await longLived(), async () => {
      expect(await send()).toEqual(['1'])
      at(569)
      expect(await send()).toEqual(['1'])
      expect(asked()).toBe(1)

      const ready = Promise.withResolvers<void>()
      const answer = rig.endpoint.answer as () => object
      rig.endpoint.answer = () => ({ ...answer(), after: ready.promise })
      at(571)
      expect([await send(), await send(), await send()]).toEqual([['1'], ['1'], ['1']])
      ready.resolve()
      await waitFor(async () => expect(await send()).toEqual(['2']))
      expect(asked()).toBe(2)
    })
  })

  it('of a short-lived token happens half-way', async () => {
    numbered(20)
    await rig.as(await longLived(), async () => {
      expect(await send()).toEqual(['1'])
      at(9)
      await send()
      expect(asked()).toBe(1)
      at(11)
      await waitFor(async () => expect(await send()).toEqual(['2']))
      expect(asked()).toBe(2)
    })
  })

  it('does not happen for a token that is no longer asked for', async () => {
    numbered(60)
    await rig.as(await longLived(), send)
    at(55)
    await rig.as(await rig.issuer.token({ sub: 'bob', iat: START, exp: START + 7_200 }), send)
    await waitFor(() => expect(asked()).toBe(2))
    at(3_600)
    await rig.as(await rig.issuer.token({ sub: 'bob', iat: START, exp: START + 7_200 }), send)
    expect(asked()).toBe(3)
  })

  it('does not happen if the caller’s own token ends first', async () => {
    numbered(600)
    await rig.as(await rig.issuer.token({ iat: START, exp: START + 300 }), async () => {
      expect(await send()).toEqual(['1'])
      at(295)
      expect([await send(), await send()]).toEqual([['1'], ['1']])
      expect(asked()).toBe(1)
    })
  })

  it('that fails is tried again after a second, and the old token serves until its end', async () => {
    numbered(60)
    await rig.as(await longLived(), async () => {
      expect(await send()).toEqual(['1'])
      rig.endpoint.answer = { status: 500 }
      at(45)
      expect(await send()).toEqual(['1'])
      expect(await renewed()).toBe('ERR_TOKEN_EXCHANGE_UNAVAILABLE')
      // With what is tried again by itself.
      const failed = asked()
      expect(failed).toBeGreaterThan(1)
      expect([await send(), await send(), await renewed(), asked()]).toEqual([
        ['1'],
        ['1'],
        'ERR_TOKEN_EXCHANGE_UNAVAILABLE',
        failed,
      ])
      vi.advanceTimersByTime(1_001)
      expect(await send()).toEqual(['1'])
      expect(await renewed()).toBe('ERR_TOKEN_EXCHANGE_UNAVAILABLE')
      expect(asked()).toBeGreaterThan(failed)
      at(61)
      vi.advanceTimersByTime(1_001)
      expect(await send()).toEqual([])
      vi.advanceTimersByTime(1_001)
      numbered(60)
      expect(await send()).toEqual([String(asked())])
    })
  })
})

describe('no token is sent after its end [B5]', () => {
  it('the exchanged one ends: another one is got, and waited for', async () => {
    numbered(60)
    await rig.as(await longLived(), async () => {
      expect(await send()).toEqual(['1'])
      at(60)
      expect(await send()).toEqual(['2'])
    })
  })

  it('the caller’s own one ends: nothing is got, and nothing that was got is used', async () => {
    numbered(600)
    await rig.as(await rig.issuer.token({ iat: START, exp: START + 60 }), async () => {
      expect(await send()).toEqual(['1'])
      // Its `exp`, and the clock tolerance that the gate has, too.
      at(65)
      expect(await send()).toEqual([])
      expect(await outcome(rig.relay.prepare(rig.sink.origin))).toBe('ERR_TOKEN_EXPIRED')
      expect(asked()).toBe(1)
    })
  })

  it('the response says that it ends before the token says so', async () => {
    rig.endpoint.answer = () => ({ claims: { iat: START, exp: START + 600 }, members: { expires_in: 60 } })
    await rig.as(await longLived(), async () => {
      expect(await rig.send()).toHaveLength(1)
      at(60)
      await rig.send()
      expect(asked()).toBe(2)
    })
  })

  it('the clock is set forward: nothing is sent that has ended by it', async () => {
    numbered(600)
    await rig.as(await longLived(), async () => {
      expect(await send()).toEqual(['1'])
      at(5_000)
      expect(await send()).toEqual(['2'])
      at(8_000)
      expect(await send()).toEqual([])
    })
  })

  it('the clock is set back: a refusal is not remembered for longer', async () => {
    rig.endpoint.answer = { status: 400 }
    await rig.as(await longLived(), async () => {
      at(4_000)
      expect(await outcome(rig.relay.prepare(rig.sink.origin))).toBe('ERR_TOKEN_EXCHANGE_REFUSED')
      at(0)
      numbered(600)
      vi.advanceTimersByTime(5_001)
      expect(await outcome(rig.relay.prepare(rig.sink.origin))).toBe('done')
    })
  })
})

describe('validForMillis', () => {
  it('renews a token that would end before the call, and waits for it', async () => {
    numbered(60)
    await rig.as(await longLived(), async () => {
      expect(await send()).toEqual(['1'])
      at(20)
      await rig.relay.prepare(rig.sink.origin, { validForMillis: 30_000 })
      expect(asked()).toBe(1)
      await rig.relay.prepare(rig.sink.origin, { validForMillis: 45_000 })
      expect(await send()).toEqual(['2'])
    })
  })

  it('fails early if no token of this issuer lives that long, and asks once to find out [F17]', async () => {
    numbered(60)
    await rig.as(await longLived(), async () => {
      for (let call = 0; call < 5; call += 1) {
        expect(await outcome(rig.relay.prepare(rig.sink.origin, { validForMillis: 120_000 }))).toBe(
          'ERR_TOKEN_EXCHANGE_LIFETIME',
        )
      }
      expect(asked()).toBe(1)
      expect(await send()).toEqual(['1'])
    })
  })

  it('fails early if the caller’s own token does not, and asks no issuer', async () => {
    numbered(600)
    const token = await rig.issuer.token({ iat: START, exp: START + 60 })
    const prepare = () => outcome(rig.relay.prepare(rig.sink.origin, { validForMillis: 61_000 }))
    expect(await rig.as(token, prepare)).toBe('ERR_TOKEN_EXCHANGE_LIFETIME')
    expect(asked()).toBe(0)
    // What cannot be had again is not asked for.
    await rig.relayWith({ destination: { exchange: undefined as never } })
    expect(await rig.as(token, prepare)).toBe('done')
  })

  it.each([
    Number.NaN,
    Number.POSITIVE_INFINITY,
    '5' as never,
  ])('%s is longer than any token', async (validForMillis) => {
    const prepare = () => outcome(rig.relay.prepare(rig.sink.origin, { validForMillis }))
    expect(await rig.as(await longLived(), prepare)).toBe('ERR_TOKEN_EXCHANGE_LIFETIME')
  })
})
