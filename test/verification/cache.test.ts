/** Remembered tokens: which are served without another verification, and which are refused although they were good once. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { IssuerOptions, TokenRelay, TokenRelayOptions } from '../../src/index.ts'
import type { FaultyIssuer } from '../support/faulty-issuer.ts'
import { startFaultyIssuer } from '../support/faulty-issuer.ts'
import { waitFor } from '../support/patience.ts'
import { ISSUER, optionsFor, refusal, verdict, withRelay } from '../support/relay.ts'
import { createSigner, goodClaims, segment } from '../support/signer.ts'

const NOW = Date.parse('2026-01-02T03:04:05Z')
const signer = createSigner()
const other = createSigner('ES256', 'ES256-2')
const good = (changes: Readonly<Record<string, unknown>> = {}): string =>
  signer.token(goodClaims(ISSUER, { jti: crypto.randomUUID(), ...changes }))

let issuer: FaultyIssuer

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW })
  issuer = await startFaultyIssuer()
  issuer.answer('/jwks', { body: { keys: [signer.jwk, other.jwk] } })
})
afterEach(async () => {
  vi.useRealTimers()
  await issuer[Symbol.asyncDispose]()
})

/** Has the keys fetched from `issuer`, which counts how often. */
const remote = () => ({ jwks: undefined, jwksUri: `${issuer.origin}/jwks` }) as unknown as Partial<IssuerOptions>

const use = (run: (relay: TokenRelay) => Promise<void>, issuer: Partial<IssuerOptions> = {}, more = {}) =>
  withRelay({ ...optionsFor([signer.jwk], issuer), ...more } satisfies TokenRelayOptions, run)

describe('a token that was verified', () => {
  it('is the same credential every time', async () => {
    await use(async (relay) => {
      const token = good()
      const first = await relay.verify(token)
      for (let i = 0; i < 100; i += 1) expect(await relay.verify(token)).toBe(first)
    })
  })

  it('is the same credential for all callers that ask at once', async () => {
    await use(async (relay) => {
      const token = good()
      const all = await Promise.all(Array.from({ length: 500 }, () => relay.verify(token)))
      expect(new Set(all).size).toBe(1)
    })
  })

  it('is not remembered if maxEntries is 0', async () => {
    const run = async (relay: TokenRelay) => {
      const token = good()
      expect(await relay.verify(token)).not.toBe(await relay.verify(token))
    }
    await use(run, {}, { cache: { maxEntries: 0 } })
  })

  it('is refused when it has expired, tolerance included [C4]', async () => {
    await use(async (relay) => {
      const token = good({ exp: NOW / 1000 + 2 })
      const first = await relay.verify(token)
      vi.setSystemTime(NOW + 6_900)
      expect(await relay.verify(token)).toBe(first)
      vi.setSystemTime(NOW + 7_000)
      await expect(relay.verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_EXPIRED'))
    })
  })

  it('is refused when it has become too old [C4]', async () => {
    const run = async (relay: TokenRelay) => {
      const token = good()
      await relay.verify(token)
      vi.setSystemTime(NOW + 66_000)
      await expect(relay.verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_TOO_OLD'))
    }
    await use(run, { maxTokenAgeSeconds: 60 })
  })

  it('is refused while the clock says that it is not valid yet [B6]', async () => {
    await use(async (relay) => {
      const token = good()
      await relay.verify(token)
      vi.setSystemTime(NOW - 3_600_000)
      await expect(relay.verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_NOT_YET_VALID'))
      vi.setSystemTime(NOW)
      expect(await relay.verify(token)).toMatchObject({ subject: 'alice' })
    })
  })

  it('cannot be changed by code that holds it [C10]', async () => {
    await use(async (relay) => {
      const token = good({ scope: 'read', nested: { list: [{ a: 1 }] } })
      const { claims, scopes } = await relay.verify(token)
      const nested = claims['nested'] as { list: { a: number }[] }
      expect(() => Object.assign(claims, { sub: 'mallory' })).toThrow(TypeError)
      expect(() => Object.assign(nested.list[0] ?? {}, { a: 2 })).toThrow(TypeError)
      expect(() => (scopes as string[]).push('admin')).toThrow(TypeError)
      expect(await relay.verify(token)).toMatchObject({ subject: 'alice', scopes: ['read'] })
    })
  })
})

describe('a sibling of a remembered token is verified on its own [C1]', () => {
  const token = signer.token(goodClaims(ISSUER, { sub: 'alice' }))
  const [header = '', payload = '', signature = ''] = token.split('.')
  const flipped = (text: string, at: number): string =>
    `${text.slice(0, at)}${text.charAt(at) === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>

  it.each([
    ['the same header and payload', `${header}.${payload}.${flipped(signature, 20)}`],
    ['the same beginning', `${token.slice(0, 64)}${flipped(token.slice(64), 30)}`],
    ['the same end', `${header}.${segment({ ...claims, sub: 'mallory' })}.${signature}`],
    ['another payload under the same signature', `${header}.${segment({ ...claims, admin: true })}.${signature}`],
    ['the same payload, signed by another key of that name', createSigner('ES256', 'ES256-1').token(claims)],
  ])('%s', async (_, forged) => {
    vi.setSystemTime(Date.now())
    await use(async (relay) => {
      vi.setSystemTime(Number(claims['iat']) * 1000)
      await relay.verify(token)
      expect(forged).not.toBe(token)
      for (let i = 0; i < 3; i += 1) expect(await verdict(relay.verify(forged))).not.toBe('verified')
    })
  })
})

it('a forged token that ends like one that is being verified does not wait for the verdict of that one [C1]', async () => {
  await use(async (relay) => {
    const token = good()
    const [header = '', , signature = ''] = token.split('.')
    const forged = `${header}.${segment(goodClaims(ISSUER, { sub: 'mallory' }))}.${signature}`
    const verdicts = [token, forged, token, forged].map((each) => verdict(relay.verify(each)))
    expect(await Promise.all(verdicts)).toEqual(['verified', 'ERR_TOKEN_SIGNATURE', 'verified', 'ERR_TOKEN_SIGNATURE'])
    // And the other way round: the forged one is first.
    const another = good()
    const [, , end = ''] = another.split('.')
    const earlier = `${header}.${segment(goodClaims(ISSUER, { sub: 'mallory' }))}.${end}`
    expect(await Promise.all([earlier, another].map((each) => verdict(relay.verify(each))))).toEqual([
      'ERR_TOKEN_SIGNATURE',
      'verified',
    ])
  })
})

it('a second relay with another policy does not know it [C2]', async () => {
  const token = good()
  await use(async (relay) => void (await relay.verify(token)))
  const run = async (relay: TokenRelay) => {
    await expect(relay.verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_AUDIENCE'))
  }
  await use(run, { audience: 'another-service' })
})

it('a token that was refused is accepted as soon as it is good [C8]', async () => {
  await use(async (relay) => {
    const token = good({ nbf: NOW / 1000 + 60 })
    await expect(relay.verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_NOT_YET_VALID'))
    vi.setSystemTime(NOW + 60_000)
    expect(await relay.verify(token)).toMatchObject({ subject: 'alice' })
  })
})

it('callers that wait for one verification each get another error [C11]', async () => {
  await use(async (relay) => {
    const forged = createSigner().token(goodClaims(ISSUER))
    const fail = () => relay.verify(forged).catch((error: unknown) => error)
    const errors = await Promise.all([fail(), fail(), fail()])
    expect(new Set(errors).size).toBe(3)
    for (const error of errors) expect(error).toMatchObject(refusal('ERR_TOKEN_SIGNATURE'))
  })
})

describe('the cache [C9]', () => {
  it('forgets the token that was not used for longest', async () => {
    const run = async (relay: TokenRelay) => {
      const [a, b, c] = [good(), good(), good()]
      const [verifiedA, verifiedB] = [await relay.verify(a), await relay.verify(b)]
      for (const token of [a, c]) await relay.verify(token)
      expect(await relay.verify(a)).toBe(verifiedA)
      expect(await relay.verify(b)).not.toBe(verifiedB)
    }
    await use(run, {}, { cache: { maxEntries: 2 } })
  })

  it('keeps what is hot under a flood of garbage', async () => {
    const run = async (relay: TokenRelay) => {
      const hot = [good(), good(), good(), good()]
      const verified = await Promise.all(hot.map((token) => relay.verify(token)))
      for (let i = 0; i < 2_000; i += 1) {
        const garbage = i % 2 === 0 ? `${segment({ alg: 'ES256' })}.${segment({ iss: ISSUER, i })}.AAAA` : `x${i}`
        expect(await verdict(relay.verify(garbage))).not.toBe('verified')
        expect(await relay.verify(hot[i % 4] ?? '')).toBe(verified[i % 4])
      }
    }
    await use(run, {}, { cache: { maxEntries: 4 } })
  })
})

it.each([
  ['ERR_TOKEN_EXPIRED', { exp: NOW / 1000 - 60, iat: NOW / 1000 - 120 }],
  ['ERR_TOKEN_AUDIENCE', { aud: 'another' }],
  ['ERR_TOKEN_CLAIM', { sub: undefined }],
  ['ERR_TOKEN_NOT_YET_VALID', { nbf: NOW / 1000 + 60 }],
  ['ERR_TOKEN_BOUND', { cnf: { jkt: 'x' } }],
] as const)('%s is found without a key, and so without a signature check [H12]', async (code, claims) => {
  const run = async (relay: TokenRelay) => {
    await expect(relay.verify(good(claims))).rejects.toMatchObject(refusal(code))
    expect(issuer.fetches('/jwks')).toBe(0)
  }
  await use(run, remote())
})

describe('when its key [C6]', () => {
  const MAX_AGE = 600_000

  it('is no longer published, it is refused after the next refresh', async () => {
    const run = async (relay: TokenRelay) => {
      const token = good({ exp: NOW / 1000 + 7_200 })
      await relay.verify(token)
      issuer.answer('/jwks', { body: { keys: [other.jwk] } })
      vi.setSystemTime(NOW + MAX_AGE - 130_000)
      expect(await verdict(relay.verify(token))).toBe('verified')
      vi.setSystemTime(NOW + MAX_AGE)
      await expect(relay.verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_KEY'))
    }
    await use(run, remote())
  })

  it('is refreshed in the background while only remembered tokens are used', async () => {
    const run = async (relay: TokenRelay) => {
      const token = good({ exp: NOW / 1000 + 7_200 })
      await relay.verify(token)
      expect(issuer.fetches('/jwks')).toBe(1)
      vi.setSystemTime(NOW + MAX_AGE * 0.9)
      await relay.verify(token)
      await waitFor(() => expect(issuer.fetches('/jwks')).toBe(2))
    }
    await use(run, remote())
  })

  it('cannot be asked for, it works as long as stale keys do', async () => {
    const run = async (relay: TokenRelay) => {
      const token = good({ exp: NOW / 1000 + 36_000 })
      await relay.verify(token)
      issuer.answer('/jwks', { status: 500 })
      for (let minute = 1; minute < 70; minute += 1) {
        vi.setSystemTime(NOW + minute * 60_000)
        expect(await verdict(relay.verify(token)), `minute ${minute}`).toBe('verified')
      }
      vi.setSystemTime(NOW + 70 * 60_000)
      await expect(relay.verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_KEYS_UNAVAILABLE'))
    }
    await use(run, remote())
  })
})
