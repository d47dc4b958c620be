/** Published keys: fetched when needed, kept fresh, and never asked for more often than the issuer deserves. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import type { FaultyIssuer } from '../support/faulty-issuer.ts'
import { startFaultyIssuer } from '../support/faulty-issuer.ts'
import { refusal, verdict } from '../support/relay.ts'
import type { Signer } from '../support/signer.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const UNAVAILABLE = refusal('ERR_TOKEN_KEYS_UNAVAILABLE')
const old = createSigner('ES256', 'old')
const rotated = createSigner('ES256', 'rotated')

let server: FaultyIssuer
let relay: TokenRelay
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-01-02T03:04:05Z') })
  server = await startFaultyIssuer()
  publish(old)
  relay = createTokenRelay({
    issuers: [{ issuer: server.origin, audience: 'user-service', jwksUri: `${server.origin}/jwks` }],
  })
})
afterEach(async () => {
  await relay.shutdown()
  await server[Symbol.asyncDispose]()
  vi.useRealTimers()
})

function publish(...signers: readonly Signer[]): void {
  server.answer('/jwks', { body: { keys: signers.map(({ jwk }) => jwk) } })
}
const takeDown = (): void => server.answer('/jwks', { status: 500 })
const later = (millis: number): void => void vi.setSystemTime(Date.now() + millis)
const tokenOf = (signer: Signer, kid?: string): string =>
  signer.token(goodClaims(server.origin), kid === undefined ? {} : { kid })
const verifyAll = (count: number, token: (i: number) => string): Promise<string[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => verdict(relay.verify(token(i)))))

describe('while the issuer is up', () => {
  it('D17 a hundred first tokens at once are one fetch', async () => {
    expect(new Set(await verifyAll(100, () => tokenOf(old)))).toEqual(new Set(['verified']))
    expect(server.fetches()).toBe(1)
  })

  it('keys are fetched ahead of maxAgeMillis, without anybody waiting for it', async () => {
    await relay.verify(tokenOf(old))
    later(479_999)
    await relay.verify(tokenOf(old))
    expect(server.fetches()).toBe(1)
    later(1)
    await relay.verify(tokenOf(old))
    await expect.poll(() => server.fetches()).toBe(2)
  })

  it('keys that nobody asked for in time are fetched before they are used again', async () => {
    await relay.verify(tokenOf(old))
    later(600_000)
    await relay.verify(tokenOf(old))
    expect(server.fetches()).toBe(2)
  })

  it('a key that was withdrawn is refused after maxAgeMillis', async () => {
    publish(old, rotated)
    await relay.verify(tokenOf(old))
    publish(rotated)
    later(600_000)
    await expect(relay.verify(tokenOf(old))).rejects.toMatchObject(refusal('ERR_TOKEN_KEY'))
  })
})

describe('a rotation', () => {
  beforeEach(() => relay.verify(tokenOf(old)))

  it('D12 a new kid is fetched once, however many tokens bring it, and all are accepted', async () => {
    publish(old, rotated)
    later(30_000)
    expect(new Set(await verifyAll(200, () => tokenOf(rotated)))).toEqual(new Set(['verified']))
    expect(server.fetches()).toBe(2)
  })

  it('the first unknown kid is asked for at once, the next one after the cooldown', async () => {
    publish(old, rotated)
    expect(await relay.verify(tokenOf(rotated))).toMatchObject({ subject: 'alice' })
    const third = createSigner('ES256', 'third')
    publish(old, rotated, third)
    later(29_999)
    await expect(relay.verify(tokenOf(third))).rejects.toMatchObject(refusal('ERR_TOKEN_KEY'))
    expect(server.fetches()).toBe(2)
    later(1)
    expect(await relay.verify(tokenOf(third))).toMatchObject({ subject: 'alice' })
  })

  it('D1 made-up kids cost one fetch per cooldown, and good tokens nothing', async () => {
    for (let round = 1; round <= 3; round += 1) {
      later(30_000)
      expect(new Set(await verifyAll(200, (i) => tokenOf(old, `made-up-${round}-${i}`)))).toEqual(
        new Set(['ERR_TOKEN_KEY']),
      )
      expect(await relay.verify(tokenOf(old))).toMatchObject({ subject: 'alice' })
      expect(server.fetches()).toBe(1 + round)
    }
  })

  it('D1 the cooldown counts from every attempt, failed ones included', async () => {
    takeDown()
    later(30_000)
    expect(new Set(await verifyAll(100, (i) => tokenOf(old, `made-up-${i}`)))).toEqual(
      new Set(['ERR_TOKEN_KEYS_UNAVAILABLE']),
    )
    expect(server.fetches()).toBe(2)
    later(29_999)
    expect(new Set(await verifyAll(100, (i) => tokenOf(old, `made-up-${i}`)))).toEqual(
      new Set(['ERR_TOKEN_KEYS_UNAVAILABLE']),
    )
    expect(server.fetches()).toBe(2)
    expect(await relay.verify(tokenOf(old))).toMatchObject({ subject: 'alice' })
  })

  it.each(['old', undefined])('D12 a new key with the kid of the old one, %s, is fetched at once', async (kid) => {
    const named = (signer: Signer): Signer => ({ ...signer, jwk: { ...signer.jwk, kid } })
    publish(named(old))
    later(600_000)
    const token = (signer: Signer): string => signer.token(goodClaims(server.origin), { kid })
    await relay.verify(token(old))
    publish(named(rotated))
    expect(new Set(await verifyAll(200, () => token(rotated)))).toEqual(new Set(['verified']))
    expect(server.fetches()).toBe(3)
    await expect(relay.verify(token(old))).rejects.toMatchObject(refusal('ERR_TOKEN_SIGNATURE'))
  })

  it('D1 forged signatures cost one fetch per cooldown, and are called forged while the issuer is down', async () => {
    const forger = createSigner('ES256', 'old')
    for (const fetches of [2, 3, 4]) {
      expect(new Set(await verifyAll(200, () => tokenOf(forger)))).toEqual(new Set(['ERR_TOKEN_SIGNATURE']))
      expect(await relay.verify(tokenOf(old))).toMatchObject({ subject: 'alice' })
      expect(server.fetches()).toBe(fetches)
      if (fetches === 3) takeDown()
      later(30_000)
    }
  })
})

describe('while the issuer is down', () => {
  it('D3 known keys serve for maxAgeMillis and staleMillis, then nobody is let in', async () => {
    await relay.verify(tokenOf(old))
    takeDown()
    for (let minute = 0; minute < 69; minute += 1) {
      later(60_000)
      expect(await verifyAll(3, () => tokenOf(old))).toEqual(['verified', 'verified', 'verified'])
    }
    expect(server.fetches()).toBeLessThanOrEqual(1 + 2 * 69)
    later(60_000)
    await expect(relay.verify(tokenOf(old))).rejects.toMatchObject(UNAVAILABLE)
    publish(old)
    later(40_000)
    expect(await relay.verify(tokenOf(old))).toMatchObject({ subject: 'alice' })
  })

  it('D3 an outage costs one fetch per cooldown, and nobody waits for it', async () => {
    await relay.verify(tokenOf(old))
    takeDown()
    later(600_000)
    await verifyAll(100, () => tokenOf(old))
    const fetches = server.fetches()
    later(29_999)
    await verifyAll(100, () => tokenOf(old))
    expect(server.fetches()).toBe(fetches)
  })

  it('D11 a set that was emptied by mistake is an outage', async () => {
    await relay.verify(tokenOf(old))
    publish()
    later(600_000)
    expect(await relay.verify(tokenOf(old))).toMatchObject({ subject: 'alice' })
  })

  it('B6 a clock that was set back does not keep keys for ever', async () => {
    await relay.verify(tokenOf(old))
    publish(rotated)
    later(-3_600_000)
    await expect(relay.verify(tokenOf(old))).rejects.toMatchObject(refusal('ERR_TOKEN_KEY'))
    expect(server.fetches()).toBeGreaterThan(1)
  })

  it('B6 a clock that was set back does not cut short how long they serve, nor make it longer', async () => {
    await relay.verify(tokenOf(old))
    takeDown()
    later(-60_000)
    for (let minute = 0; minute < 60; minute += 1) {
      expect(await verdict(relay.verify(tokenOf(old)))).toBe('verified')
      later(60_000)
    }
    await expect(relay.verify(tokenOf(old))).rejects.toMatchObject(UNAVAILABLE)
  })

  it('D2 from the start: it cannot be decided, and says when to come back', async () => {
    takeDown()
    await expect(relay.verify(tokenOf(old))).rejects.toMatchObject({
      ...UNAVAILABLE,
      status: 503,
      retryable: true,
      retryAfterSeconds: 1,
    })
  })

  it('D2 a hundred tokens at once are one fetch', async () => {
    takeDown()
    expect(new Set(await verifyAll(100, () => tokenOf(old)))).toEqual(new Set(['ERR_TOKEN_KEYS_UNAVAILABLE']))
    expect(server.fetches()).toBe(1)
  })

  it('D2 bad tokens are still called bad where that can be seen without a key', async () => {
    takeDown()
    await expect(relay.verify('a.b.c')).rejects.toMatchObject(refusal('ERR_TOKEN_MALFORMED'))
    expect(server.fetches()).toBe(0)
  })

  it('D2 attempts are further apart each time, at most 5 s, and never in step with a fleet', async () => {
    takeDown()
    const start = Date.now()
    const attempts: number[] = []
    for (let elapsed = 0; elapsed <= 30_000; elapsed += 50) {
      vi.setSystemTime(start + elapsed)
      const before = server.fetches()
      await expect(relay.verify(tokenOf(old))).rejects.toMatchObject(UNAVAILABLE)
      if (server.fetches() > before) attempts.push(elapsed)
    }
    const gaps = attempts.slice(1).map((at, i) => at - (attempts[i] ?? 0))
    const least = [250, 500, 1_000, 2_000, 4_000]
    expect(gaps.slice(0, 5).every((gap, i) => gap >= (least[i] ?? 0) && gap <= (least[i] ?? 0) * 1.25 + 50)).toBe(true)
    expect(gaps.slice(5).every((gap) => gap === 5_000)).toBe(true)
    expect(attempts.length).toBeGreaterThan(8)
  })

  it('D2 it recovers by itself once the issuer is back', async () => {
    takeDown()
    for (let i = 0; i < 10; i += 1) {
      await expect(relay.verify(tokenOf(old))).rejects.toMatchObject(UNAVAILABLE)
      later(5_000)
    }
    publish(old)
    expect(await relay.verify(tokenOf(old))).toMatchObject({ subject: 'alice' })
    const fetches = server.fetches()
    expect(await relay.verify(tokenOf(old))).toMatchObject({ subject: 'alice' })
    expect(server.fetches()).toBe(fetches)
  })

  it('D2 a connection that breaks off is an issuer that is down', async () => {
    server.answer('/jwks', (request) => void request.socket.destroy())
    await expect(relay.verify(tokenOf(old))).rejects.toMatchObject(UNAVAILABLE)
  })

  it('C11 each caller has an error of its own', async () => {
    takeDown()
    const fail = (): Promise<unknown> => relay.verify(tokenOf(old)).catch((error: unknown) => error)
    const [one, other] = await Promise.all([fail(), fail()])
    expect(one).toMatchObject(UNAVAILABLE)
    expect(one).not.toBe(other)
  })

  it('C11 so has each whose kid is unknown', async () => {
    await relay.verify(tokenOf(old))
    takeDown()
    const fail = (): Promise<unknown> => relay.verify(tokenOf(rotated)).catch((error: unknown) => error)
    const [one, other] = await Promise.all([fail(), fail()])
    expect(one).toMatchObject(UNAVAILABLE)
    expect(one).not.toBe(other)
  })
})

it('D14 a key set that may not be fetched is refused when the relay is made', async () => {
  await relay.shutdown()
  for (const jwksUri of ['http://id.example/jwks', 'file:///etc/passwd', 'https://user:pass@id.example/jwks']) {
    expect(() => createTokenRelay({ issuers: [{ issuer: 'https://id.example', audience: null, jwksUri }] })).toThrow(
      'issuers[0].jwksUri: expected an https URL, or http on the loopback interface',
    )
  }
})
