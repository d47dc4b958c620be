/** Published keys: fetched when needed, kept fresh, and never asked for more often than the issuer deserves. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import type { FaultyIssuer } from '../support/faulty-issuer.ts'
import { startFaultyIssuer } from '../support/faulty-issuer.ts'
import { waitFor } from '../support/patience.ts'
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
  it('a hundred first tokens at once are one fetch [D17]', async () => {
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

  it('keys that no request refreshed in time are fetched before they are used again', async () => {
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

  it('a new kid is fetched once, however many tokens bring it, and all are accepted [D12]', async () => {
    publish(old, rotated)
    later(30_000)
    expect(new Set(await verifyAll(200, () => tokenOf(rotated)))).toEqual(new Set(['verified']))
    expect(server.fetches()).toBe(2)
  })

  it.each([
    1, 2, 3,
  ])('a key that is published after %i made-up kids is found by the first token that brings it', async (count) => {
    for (let i = 0; i < count; i += 1) {
      await expect(relay.verify(tokenOf(old, `made-up-${i}`))).rejects.toMatchObject(refusal('ERR_TOKEN_KEY'))
    }
    publish(old, rotated)
    expect(new Set(await verifyAll(200, () => tokenOf(rotated)))).toEqual(new Set(['verified']))
    expect(server.fetches()).toBe(2 + count)
  })

  it('after a flood of made-up kids a new key is undecided until the next look, and never called bad [D1]', async () => {
    const flood = () => verifyAll(200, (i) => tokenOf(old, `made-up-${server.fetches()}-${i}`))
    for (let wave = 0; wave < 5; wave += 1) await flood()
    publish(old, rotated)
    const fetches = server.fetches()
    await expect(relay.verify(tokenOf(rotated))).rejects.toMatchObject({
      ...refusal('ERR_TOKEN_KEY_UNDECIDED'),
      status: 503,
      retryable: true,
      retryAfterSeconds: 8,
    })
    later(7_499)
    expect(new Set(await flood())).toEqual(new Set(['ERR_TOKEN_KEY_UNDECIDED']))
    await expect(relay.verify(tokenOf(rotated))).rejects.toMatchObject({ retryAfterSeconds: 1 })
    expect(server.fetches()).toBe(fetches)
    // Whose look it is does not matter: it brings all keys.
    later(1)
    await flood()
    expect(await relay.verify(tokenOf(rotated))).toMatchObject({ subject: 'alice' })
    expect(server.fetches()).toBe(fetches + 1)
  })

  it('a key that is published while an answer for a made-up kid is on its way is looked for once more', async () => {
    let release: () => void = () => undefined
    const before = { keys: [old.jwk] }
    server.answer('/jwks', (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      release = () => void response.end(JSON.stringify(before))
    })
    const garbage = verdict(relay.verify(tokenOf(old, 'made-up')))
    await waitFor(() => expect(server.fetches()).toBe(2))
    const good = verifyAll(100, () => tokenOf(rotated))
    publish(old, rotated)
    release()
    expect(await garbage).toBe('ERR_TOKEN_KEY')
    expect(new Set(await good)).toEqual(new Set(['verified']))
    expect(server.fetches()).toBe(3)
  })

  it('a token that is a minute older than keys of a moment ago is refused without a look', async () => {
    const issuedAgo = (seconds: number): string => {
      const iat = Math.floor(Date.now() / 1000) - seconds
      return old.token(goodClaims(server.origin, { iat }), { kid: `another-${seconds}` })
    }
    expect(await verdict(relay.verify(issuedAgo(61)))).toBe('ERR_TOKEN_KEY')
    expect(server.fetches()).toBe(1)
    expect(await verdict(relay.verify(issuedAgo(60)))).toBe('ERR_TOKEN_KEY')
    expect(server.fetches()).toBe(2)
    // The issuer may be behind caches: after the cool-down it is asked again.
    later(30_000)
    expect(await verdict(relay.verify(issuedAgo(120)))).toBe('ERR_TOKEN_KEY')
    expect(server.fetches()).toBe(3)
  })

  it('a token without iat is never taken for old', async () => {
    await relay.shutdown()
    const requiredClaims = ['exp']
    const issuer = { issuer: server.origin, audience: 'user-service', jwksUri: `${server.origin}/jwks`, requiredClaims }
    relay = createTokenRelay({ issuers: [issuer] })
    await relay.verify(tokenOf(old))
    publish(old, rotated)
    expect(await relay.verify(rotated.token(goodClaims(server.origin, { iat: undefined })))).toMatchObject({
      subject: 'alice',
    })
  })

  it('a token costs one attempt while the issuer is down, though there is no cooldown [D2]', async () => {
    await relay.shutdown()
    const keySet = { cooldownMillis: 0 }
    const issuer = { issuer: server.origin, audience: 'user-service', jwksUri: `${server.origin}/jwks`, keySet }
    relay = createTokenRelay({ issuers: [issuer] })
    await relay.verify(tokenOf(old))
    takeDown()
    for (const fetches of [3, 4, 5]) {
      expect(await verdict(relay.verify(tokenOf(rotated)))).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
      expect(server.fetches()).toBe(fetches)
    }
  })

  it('a look that fails is made again a moment later, not after the cooldown', async () => {
    takeDown()
    await expect(relay.verify(tokenOf(rotated))).rejects.toMatchObject({ ...UNAVAILABLE, retryAfterSeconds: 1 })
    publish(old, rotated)
    const fetches = server.fetches()
    await expect(relay.verify(tokenOf(rotated))).rejects.toMatchObject(UNAVAILABLE)
    expect(server.fetches()).toBe(fetches)
    later(320)
    expect(await relay.verify(tokenOf(rotated))).toMatchObject({ subject: 'alice' })
  })

  it('made-up kids cost one fetch per cooldown, and good tokens nothing [D1]', async () => {
    for (let round = 1; round <= 3; round += 1) {
      later(30_000)
      expect(new Set(await verifyAll(200, (i) => tokenOf(old, `made-up-${round}-${i}`)))).toEqual(
        new Set(['ERR_TOKEN_KEY']),
      )
      expect(await relay.verify(tokenOf(old))).toMatchObject({ subject: 'alice' })
      expect(server.fetches()).toBe(1 + round)
    }
  })

  it('made-up kids while the issuer is down cost a few fetches, further apart each time, and good tokens nothing [D1]', async () => {
    takeDown()
    const attempts: number[] = []
    for (let elapsed = 0; elapsed < 300_000; elapsed += 250) {
      const before = server.fetches()
      const verdicts = await verifyAll(3, (i) => tokenOf(old, `made-up-${elapsed}-${i}`))
      expect(new Set(verdicts)).toEqual(new Set(['ERR_TOKEN_KEYS_UNAVAILABLE']))
      if (server.fetches() > before) attempts.push(elapsed)
      later(250)
    }
    expect(await relay.verify(tokenOf(old))).toMatchObject({ subject: 'alice' })
    const gaps = attempts.slice(1).map((at, i) => at - (attempts[i] ?? 0))
    expect(gaps.slice(8).every((gap) => gap >= 30_000)).toBe(true)
    expect(attempts.length).toBeLessThan(20)
  })

  it.each(['old', undefined])('a new key with the kid of the old one, %s, is fetched at once [D12]', async (kid) => {
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

  it('forged signatures cost a few fetches per cooldown, and are called forged while the issuer is down [D1]', async () => {
    const forger = createSigner('ES256', 'old')
    for (const round of [1, 2, 3]) {
      const before = server.fetches()
      for (let wave = 0; wave < 6; wave += 1) {
        expect(new Set(await verifyAll(50, () => tokenOf(forger)))).toEqual(new Set(['ERR_TOKEN_SIGNATURE']))
      }
      expect(await relay.verify(tokenOf(old))).toMatchObject({ subject: 'alice' })
      expect(server.fetches() - before).toBeLessThanOrEqual(4)
      if (round === 2) takeDown()
      later(30_000)
    }
  })

  it('a signature that fits no key is undecided if the token names none and no look for a new one is left', async () => {
    const nameless = (signer: Signer): string => signer.token(goodClaims(server.origin), { kid: undefined })
    const forger = createSigner()
    for (let wave = 0; wave < 5; wave += 1) await verdict(relay.verify(nameless(forger)))
    publish(rotated)
    expect(await verdict(relay.verify(nameless(rotated)))).toBe('ERR_TOKEN_KEY_UNDECIDED')
    later(7_500)
    expect(await verdict(relay.verify(nameless(rotated)))).toBe('verified')
    later(7_500)
    expect(await verdict(relay.verify(nameless(forger)))).toBe('ERR_TOKEN_SIGNATURE')
  })
})

describe('while the issuer is down', () => {
  it('known keys serve for maxAgeMillis and staleMillis, then no token is accepted [D3]', async () => {
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

  it('an outage costs one fetch per cooldown, and no request waits for it [D3]', async () => {
    await relay.verify(tokenOf(old))
    takeDown()
    later(600_000)
    await verifyAll(100, () => tokenOf(old))
    const fetches = server.fetches()
    later(29_999)
    await verifyAll(100, () => tokenOf(old))
    expect(server.fetches()).toBe(fetches)
  })

  it('a set that was emptied by mistake is an outage [D11]', async () => {
    await relay.verify(tokenOf(old))
    publish()
    later(600_000)
    expect(await relay.verify(tokenOf(old))).toMatchObject({ subject: 'alice' })
  })

  it('a clock that was set back does not keep keys for ever [B6]', async () => {
    await relay.verify(tokenOf(old))
    publish(rotated)
    later(-3_600_000)
    await expect(relay.verify(tokenOf(old))).rejects.toMatchObject(refusal('ERR_TOKEN_KEY'))
    expect(server.fetches()).toBeGreaterThan(1)
  })

  it('a clock that was set back does not cut short how long they serve, nor make it longer [B6]', async () => {
    await relay.verify(tokenOf(old))
    takeDown()
    later(-60_000)
    for (let minute = 0; minute < 60; minute += 1) {
      expect(await verdict(relay.verify(tokenOf(old)))).toBe('verified')
      later(60_000)
    }
    await expect(relay.verify(tokenOf(old))).rejects.toMatchObject(UNAVAILABLE)
  })

  it('from the start: it cannot be decided, and says when to come back [D2]', async () => {
    takeDown()
    await expect(relay.verify(tokenOf(old))).rejects.toMatchObject({
      ...UNAVAILABLE,
      status: 503,
      retryable: true,
      retryAfterSeconds: 1,
    })
  })

  it('a hundred tokens at once are one fetch [D2]', async () => {
    takeDown()
    expect(new Set(await verifyAll(100, () => tokenOf(old)))).toEqual(new Set(['ERR_TOKEN_KEYS_UNAVAILABLE']))
    expect(server.fetches()).toBe(1)
  })

  it('bad tokens are still refused if that can be seen without a key [D2]', async () => {
    takeDown()
    await expect(relay.verify('a.b.c')).rejects.toMatchObject(refusal('ERR_TOKEN_MALFORMED'))
    expect(server.fetches()).toBe(0)
  })

  it('attempts are further apart each time, at most 5 s, and never in step with a fleet [D2]', async () => {
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

  it('it recovers by itself once the issuer is back [D2]', async () => {
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

  it('a connection that breaks off is an issuer that is down [D2]', async () => {
    server.answer('/jwks', (request) => void request.socket.destroy())
    await expect(relay.verify(tokenOf(old))).rejects.toMatchObject(UNAVAILABLE)
  })

  it('each caller gets another error [C11]', async () => {
    takeDown()
    const fail = (): Promise<unknown> => relay.verify(tokenOf(old)).catch((error: unknown) => error)
    const [one, other] = await Promise.all([fail(), fail()])
    expect(one).toMatchObject(UNAVAILABLE)
    expect(one).not.toBe(other)
  })

  it('so has each whose kid is unknown [C11]', async () => {
    await relay.verify(tokenOf(old))
    takeDown()
    const fail = (): Promise<unknown> => relay.verify(tokenOf(rotated)).catch((error: unknown) => error)
    const [one, other] = await Promise.all([fail(), fail()])
    expect(one).toMatchObject(UNAVAILABLE)
    expect(one).not.toBe(other)
  })
})

it('a key set that may not be fetched is refused when the relay is made [D14]', async () => {
  await relay.shutdown()
  const problems = [
    ['http://id.example/jwks', 'clear text is accepted only on the loopback interface'],
    ['file:///etc/passwd', 'expected an https URL, or http on the loopback interface'],
    ['https://user:pass@id.example/jwks', 'expected an https URL, or http on the loopback interface'],
  ] as const
  for (const [jwksUri, problem] of problems) {
    expect(() => createTokenRelay({ issuers: [{ issuer: 'https://id.example', audience: null, jwksUri }] })).toThrow(
      `issuers[0].jwksUri: ${problem}`,
    )
  }
})
