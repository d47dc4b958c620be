/** Issuers that the application names while it runs: many tenants, one service. */

import process from 'node:process'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { IssuerOptions, ResolveIssuer, TokenRelay } from '../../src/index.ts'
import { waitFor } from '../support/patience.ts'
import { ISSUER, optionsFor, refusal, verdict, withRelay } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const NOW = Date.parse('2026-01-02T03:04:05Z')
const MINUTE = 60_000
const TENANT = 'https://id.example/tenants/a'
const signer = createSigner()
const keyOfA = createSigner()
const optionsOf = (issuer: string): IssuerOptions => ({
  issuer,
  audience: 'user-service',
  jwks: { keys: [keyOfA.jwk] },
})
const token = (issuer = TENANT, changes = {}): string =>
  keyOfA.token({ ...goodClaims(issuer), exp: NOW / 1000 + 36_000, ...changes })

beforeEach(() => vi.useFakeTimers({ toFake: ['Date'], now: NOW }))
afterEach(() => vi.useRealTimers())

async function use(
  resolve: ResolveIssuer,
  run: (relay: TokenRelay, asked: () => number) => Promise<void>,
): Promise<void> {
  const resolveIssuer = vi.fn(resolve)
  const options = { ...optionsFor([signer.jwk]), resolveIssuer }
  await withRelay(options, (relay) => run(relay, () => resolveIssuer.mock.calls.length))
}

it('a tenant is asked for once, however many of its tokens come', async () => {
  await use(
    async (issuer) => optionsOf(issuer),
    async (relay, asked) => {
      await Promise.all(Array.from({ length: 50 }, (_, i) => relay.verify(token(TENANT, { jti: String(i) }))))
      expect(await relay.verify(token())).toMatchObject({ issuer: TENANT })
      expect(asked()).toBe(1)
    },
  )
})

it('a configured issuer is never asked for', async () => {
  await use(
    async (issuer) => optionsOf(issuer),
    async (relay, asked) => {
      await relay.verify(signer.token(goodClaims(ISSUER)))
      expect(asked()).toBe(0)
    },
  )
})

it('works without any configured issuer', async () => {
  await withRelay({ issuers: [], resolveIssuer: async (issuer) => optionsOf(issuer) }, async (relay) => {
    expect(await relay.verify(token())).toMatchObject({ issuer: TENANT })
    expect(relay.ready()).toBe(true)
  })
})

it('a resolver may verify the very token that it is asked for', async () => {
  const rejections: unknown[] = []
  const onRejection = (error: unknown): void => void rejections.push(error)
  process.on('unhandledRejection', onRejection)
  let inner: Promise<unknown> | undefined
  const resolve: ResolveIssuer = (issuer) => {
    inner ??= active?.verify(bad).catch((error: unknown) => error)
    return Promise.resolve(optionsOf(issuer))
  }
  const bad = signer.token({ ...goodClaims(TENANT), exp: NOW / 1000 + 36_000 })
  let active: TokenRelay | undefined
  await use(resolve, async (relay) => {
    active = relay
    await expect(relay.verify(bad)).rejects.toMatchObject(refusal('ERR_TOKEN_SIGNATURE'))
    expect(await inner).toMatchObject(refusal('ERR_TOKEN_SIGNATURE'))
    await new Promise((done) => setImmediate(done))
    expect(rejections).toEqual([])
  })
  process.off('unhandledRejection', onRejection)
})

it('a tenant cannot speak for another, nor for a configured issuer [B8]', async () => {
  const other = createSigner()
  const keys: Record<string, object> = { [TENANT]: keyOfA.jwk, 'https://b.example': other.jwk }
  const resolve: ResolveIssuer = async (issuer) => ({ ...optionsOf(issuer), jwks: { keys: [keys[issuer] ?? {}] } })
  await use(resolve, async (relay) => {
    await expect(relay.verify(other.token(goodClaims(TENANT)))).rejects.toMatchObject(refusal('ERR_TOKEN_SIGNATURE'))
    await expect(relay.verify(keyOfA.token(goodClaims(ISSUER)))).rejects.toMatchObject(refusal('ERR_TOKEN_SIGNATURE'))
  })
})

describe('an issuer that is not accepted', () => {
  it('is refused, and not asked for again at once', async () => {
    await use(
      async () => undefined,
      async (relay, asked) => {
        for (let i = 0; i < 10; i += 1) {
          await expect(relay.verify(token())).rejects.toMatchObject(refusal('ERR_TOKEN_ISSUER'))
        }
        expect(asked()).toBe(1)
        vi.setSystemTime(NOW + 31_000)
        await verdict(relay.verify(token()))
        expect(asked()).toBe(2)
      },
    )
  })

  it('with a name that is too long is not asked about [B7]', async () => {
    await use(
      async () => undefined,
      async (relay, asked) => {
        await expect(relay.verify(token(`https://${'a'.repeat(2_100)}.example`))).rejects.toMatchObject(
          refusal('ERR_TOKEN_ISSUER'),
        )
        expect(asked()).toBe(0)
      },
    )
  })

  it('cannot push known ones out by being many', async () => {
    const resolve: ResolveIssuer = async (issuer) => (issuer === TENANT ? optionsOf(issuer) : undefined)
    await use(resolve, async (relay, asked) => {
      await relay.verify(token())
      for (let i = 0; i < 1_500; i += 1) await verdict(relay.verify(token(`https://made-up-${i}.example`)))
      const before = asked()
      await relay.verify(token(TENANT, { jti: 'another' }))
      expect(asked()).toBe(before)
    })
  })
})

describe('503 if the resolver', () => {
  it.each<[string, ResolveIssuer]>([
    ['rejects', () => Promise.reject(new Error('m4rk3r'))],
    [
      'throws',
      () => {
        throw new Error('m4rk3r')
      },
    ],
    ['gives another issuer', async () => optionsOf('https://b.example')],
    ['gives options that are not valid', async (issuer) => ({ ...optionsOf(issuer), algorithms: ['HS256'] })],
  ])('%s', async (_, resolve) => {
    await use(resolve, async (relay) => {
      await expect(relay.verify(token())).rejects.toMatchObject(refusal('ERR_TOKEN_ISSUER_UNAVAILABLE'))
    })
  })

  it('is asked too many questions at once [C9]', async () => {
    await use(
      () => new Promise(() => undefined),
      async (relay) => {
        const verdicts: string[] = []
        for (let i = 0; i < 80; i += 1)
          void verdict(relay.verify(token(`https://${i}.example`))).then((each) => verdicts.push(each))
        await waitFor(() => expect(verdicts).toHaveLength(80 - 64))
        expect(new Set(verdicts)).toEqual(new Set(['ERR_TOKEN_ISSUER_UNAVAILABLE']))
      },
    )
  })
})

describe('a known tenant', () => {
  it('is asked for again after ten minutes, and refused once it is gone, remembered tokens too', async () => {
    let known = true
    await use(
      async (issuer) => (known ? optionsOf(issuer) : undefined),
      async (relay, asked) => {
        const remembered = token()
        await relay.verify(remembered)
        known = false
        vi.setSystemTime(NOW + 9 * MINUTE)
        await relay.verify(remembered)
        expect(asked()).toBe(1)
        vi.setSystemTime(NOW + 10 * MINUTE + 1)
        await expect(relay.verify(remembered)).rejects.toMatchObject(refusal('ERR_TOKEN_ISSUER'))
        await expect(relay.verify(token())).rejects.toMatchObject(refusal('ERR_TOKEN_ISSUER'))
      },
    )
  })

  it('stays while the resolver fails, for an hour', async () => {
    let fails = false
    const resolve: ResolveIssuer = async (issuer) => {
      if (fails) throw new Error('down')
      return optionsOf(issuer)
    }
    await use(resolve, async (relay) => {
      await relay.verify(token())
      fails = true
      for (let minute = 1; minute < 60; minute += 1) {
        vi.setSystemTime(NOW + minute * MINUTE)
        expect(await verdict(relay.verify(token())), `minute ${minute}`).toBe('verified')
      }
      vi.setSystemTime(NOW + 62 * MINUTE)
      await expect(relay.verify(token())).rejects.toMatchObject(refusal('ERR_TOKEN_ISSUER_UNAVAILABLE'))
      fails = false
      expect(await verdict(relay.verify(token()))).toBe('verified')
    })
  })

  it('waits for no resolver that is known to fail', async () => {
    // No time passes: the questions below stay without an answer.
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'], now: NOW })
    let state: 'up' | 'failing' | 'hanging' = 'up'
    const resolve: ResolveIssuer = async (issuer) => {
      if (state === 'failing') throw new Error('down')
      return state === 'up' ? optionsOf(issuer) : new Promise(() => undefined)
    }
    await use(resolve, async (relay, asked) => {
      await relay.verify(token())
      state = 'failing'
      vi.setSystemTime(NOW + 11 * MINUTE)
      expect(await verdict(relay.verify(token()))).toBe('verified')
      state = 'hanging'
      vi.setSystemTime(NOW + 12 * MINUTE)
      for (const jti of ['a', 'b', 'c']) expect(await verdict(relay.verify(token(TENANT, { jti })))).toBe('verified')
      expect(asked()).toBe(3)
    })
  })
})
