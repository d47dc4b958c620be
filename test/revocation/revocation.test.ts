/** Tokens that are revoked: by what their issuer vouches for, on every use, in and out. */

import { createServer } from 'node:http'
import { context, diag } from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ResolveIssuer, RevocationEntry, RevocationList, TokenRelay, TokenRelayOptions } from '../../src/index.ts'
import { setCredential } from '../../src/index.ts'
import { createMemoryRevocationList } from '../../src/revocation/entries.ts'
import { close, listen } from '../support/issuer.ts'
import { waitFor } from '../support/patience.ts'
import { ISSUER, optionsFor, refusal, verdict, withRelay } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import { startSink } from '../support/sink.ts'

const HOUR = 3_600_000
const signer = createSigner()
const tokenWith = (changes: Readonly<Record<string, unknown>> = {}): string =>
  signer.token(goodClaims(ISSUER, { jti: 'token-1', sid: 'session-1', ...changes }))
const use = (run: (relay: TokenRelay) => Promise<void>, more: Partial<TokenRelayOptions> = {}) =>
  withRelay({ ...optionsFor([signer.jwk]), ...more }, run)
const until = (): number => Date.now() + HOUR

afterEach(() => vi.useRealTimers())

describe('a remembered token is refused [C5]', () => {
  it.each<[string, () => RevocationEntry]>([
    ['by its jti', () => ({ issuer: ISSUER, tokenId: 'token-1', expiresAtMillis: until() })],
    ['by its session', () => ({ issuer: ISSUER, sessionId: 'session-1', expiresAtMillis: until() })],
    ['by its subject', () => ({ issuer: ISSUER, subject: 'alice', expiresAtMillis: until() })],
  ])('%s, and others are not', async (_, entry) => {
    await use(async (relay) => {
      const token = tokenWith()
      const others = [
        tokenWith({ jti: 'token-2', sid: 'session-2', sub: 'bob' }),
        tokenWith({ jti: undefined, sid: undefined, sub: 'eve' }),
      ]
      await Promise.all([token, ...others].map((each) => relay.verify(each)))
      await relay.revoke(entry())
      await expect(relay.verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_REVOKED'))
      for (const each of others) expect(await verdict(relay.verify(each))).toBe('verified')
    })
  })

  it('by the credential itself', async () => {
    await use(async (relay) => {
      await relay.revoke(await relay.verify(tokenWith()))
      await expect(relay.verify(tokenWith())).rejects.toMatchObject(refusal('ERR_TOKEN_REVOKED'))
    })
  })

  it('of a subject only as far as it was issued before', async () => {
    await use(async (relay) => {
      const now = Math.floor(Date.now() / 1000)
      await relay.revoke({
        issuer: ISSUER,
        subject: 'alice',
        issuedBeforeMillis: now * 1000 - 60_000,
        expiresAtMillis: until(),
      })
      // The clock of the issuer may be five seconds ahead.
      for (const iat of [now - 60, now - 55]) {
        await expect(relay.verify(tokenWith({ iat }))).rejects.toMatchObject(refusal('ERR_TOKEN_REVOKED'))
      }
      expect(await verdict(relay.verify(tokenWith({ iat: now - 54 })))).toBe('verified')
    })
  })

  it.each([
    5, 300, 0,
  ])('of a subject also if the clock of its issuer is ahead of ours by the %i seconds that are accepted', async (clockToleranceSeconds) => {
    const NOW = Date.parse('2026-01-02T03:04:05Z')
    vi.useFakeTimers({ toFake: ['Date'], now: NOW })
    const issuers = optionsFor([signer.jwk], { clockToleranceSeconds }).issuers
    for (const issuedBefore of [{}, { issuedBeforeMillis: NOW }]) {
      await use(
        async (relay) => {
          const issuedIn = (seconds: number): string =>
            tokenWith({ iat: NOW / 1000 + seconds, exp: NOW / 1000 + 900, jti: undefined })
          const [ahead, unseen] = [issuedIn(clockToleranceSeconds), issuedIn(clockToleranceSeconds - 1)]
          expect(await verdict(relay.verify(ahead))).toBe('verified')
          await relay.revoke({ issuer: ISSUER, subject: 'alice', expiresAtMillis: until(), ...issuedBefore })
          expect(await verdict(relay.verify(ahead))).toBe('ERR_TOKEN_REVOKED')
          // For as long as they are valid, and whenever they come first; what is issued later is good.
          vi.setSystemTime(NOW + 600_000)
          expect(await verdict(relay.verify(ahead))).toBe('ERR_TOKEN_REVOKED')
          expect(await verdict(relay.verify(unseen))).toBe('ERR_TOKEN_REVOKED')
          expect(await verdict(relay.verify(issuedIn(clockToleranceSeconds + 1)))).toBe('verified')
          vi.setSystemTime(NOW)
        },
        { issuers },
      )
    }
  })

  it('of a subject by the clock tolerance of each issuer, those included that a resolver has named', async () => {
    const NOW = Date.parse('2026-01-02T03:04:05Z')
    vi.useFakeTimers({ toFake: ['Date'], now: NOW })
    const tenant = 'https://tenant.example'
    const ofTenant = optionsFor([signer.jwk], { issuer: tenant, clockToleranceSeconds: 60 }).issuers[0]
    const resolveIssuer: ResolveIssuer = async () => ofTenant
    const by = (iss: string, seconds: number): string =>
      tokenWith({ iss, iat: NOW / 1000 + seconds, exp: NOW / 1000 + 900 })
    await use(
      async (relay) => {
        for (const issuer of [ISSUER, tenant])
          await relay.revoke({ issuer, subject: 'alice', expiresAtMillis: until() })
        vi.setSystemTime(NOW + 61_000)
        const verdicts = [by(ISSUER, 5), by(ISSUER, 6), by(tenant, 60), by(tenant, 61)]
        expect(await Promise.all(verdicts.map((each) => verdict(relay.verify(each))))).toEqual([
          'ERR_TOKEN_REVOKED',
          'verified',
          'ERR_TOKEN_REVOKED',
          'verified',
        ])
      },
      { resolveIssuer },
    )
  })

  it('of another issuer with the same names is another token', async () => {
    await use(async (relay) => {
      for (const name of [{ tokenId: 'token-1' }, { sessionId: 'session-1' }, { subject: 'alice' }]) {
        await relay.revoke({ issuer: 'https://other.example', expiresAtMillis: until(), ...name } as RevocationEntry)
      }
      expect(await verdict(relay.verify(tokenWith()))).toBe('verified')
    })
  })

  it('no name of one kind is one of another', async () => {
    await use(async (relay) => {
      await relay.revoke({ issuer: ISSUER, tokenId: 'alice', expiresAtMillis: until() })
      await relay.revoke({ issuer: ISSUER, subject: 'token-1', expiresAtMillis: until() })
      expect(await verdict(relay.verify(tokenWith()))).toBe('verified')
    })
  })
})

describe('a revoked token stays revoked [C7, A14, A15]', () => {
  const ORDER = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
  const twin = (token: string): string => {
    const [header = '', payload = '', signature = ''] = token.split('.')
    const bytes = Buffer.from(signature, 'base64url')
    const s = BigInt(`0x${bytes.subarray(32).toString('hex')}`)
    const other = Buffer.from((ORDER - s).toString(16).padStart(64, '0'), 'hex')
    return `${header}.${payload}.${Buffer.concat([bytes.subarray(0, 32), other]).toString('base64url')}`
  }

  it('as the twin with the other s, which is a good signature too', async () => {
    await use(async (relay) => {
      const token = tokenWith()
      const credential = await relay.verify(token)
      expect(await relay.verify(twin(token))).toMatchObject({ fingerprint: credential.fingerprint })
      await relay.revoke(credential)
      await expect(relay.verify(twin(token))).rejects.toMatchObject(refusal('ERR_TOKEN_REVOKED'))
    })
  })

  it('in every other spelling', async () => {
    await use(async (relay) => {
      const token = tokenWith()
      await relay.revoke(await relay.verify(token))
      const [h = '', p = '', s = ''] = token.split('.')
      const spell = (change: (text: string) => string) => [
        `${change(h)}.${p}.${s}`,
        `${h}.${change(p)}.${s}`,
        `${h}.${p}.${change(s)}`,
      ]
      const spellings = [
        (text: string) => `${text}=`,
        (text: string) => `${text}==`,
        (text: string) => ` ${text}`,
        (text: string) => `${text}\n`,
        (text: string) => `${text.slice(0, 4)}\t${text.slice(4)}`,
        (text: string) => `${text}\0`,
        (text: string) => `${text.slice(0, -1)}${String.fromCharCode(text.charCodeAt(text.length - 1) + 1)}`,
        (text: string) => text.replace(/[-_A]/, '+'),
      ].flatMap(spell)
      expect(spellings).toHaveLength(24)
      for (const spelling of [...spellings, `Bearer ${token}`, `${token}.`]) {
        if (spelling !== token) expect(await verdict(relay.verify(spelling)), spelling).not.toBe('verified')
      }
    })
  })
})

describe('through a server', () => {
  it('an incoming token is answered 401, an outgoing one stays [C5, F11]', async () => {
    await using sink = await startSink()
    // The sink is a server of this process, and so has the gate before it.
    const options = { destinations: [{ to: sink.origin }], ingress: { publicPaths: ['/open'] } }
    await use(async (relay) => {
      relay.instrumentation.enable()
      let release: () => void = () => undefined
      const released = new Promise<void>((resolve) => {
        release = resolve
      })
      const server = createServer(async (request, response) => {
        await fetch(`${sink.origin}/open`)
        if (request.url === '/slow') await released
        await fetch(`${sink.origin}/open`)
        response.end()
      })
      const port = await listen(server)
      const credential = await relay.verify(tokenWith())
      const headers = { authorization: `Bearer ${tokenWith()}` }
      const call = (path: string) =>
        fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization: `Bearer ${credential.reveal()}` } })
      const slow = call('/slow')
      await waitFor(() => expect(sink.received).toHaveLength(1))
      await relay.revoke(credential)
      release()
      expect((await slow).status).toBe(200)
      expect(sink.received.map(({ authorization }) => authorization.length)).toEqual([1, 0])
      const refused = await call('/')
      expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer error="invalid_token"'])
      expect((await fetch(`http://127.0.0.1:${port}/`, { headers })).status).toBe(401)
      await close(server)
    }, options)
  })
})

describe('while the list cannot be trusted [C13]', () => {
  const list = (changes: Partial<RevocationList>): RevocationList => ({ ...createMemoryRevocationList(), ...changes })
  const silent = { available: false }
  const broken = {
    isRevoked: () => {
      throw new Error('broken')
    },
  }

  it.each([
    ['silent', silent],
    ['broken', broken],
  ])('reject, the default: a %s list is answered 503, and nothing leaves', async (_, changes) => {
    await using sink = await startSink()
    const healthy = list({})
    let current = healthy
    const switched: RevocationList = {
      isRevoked: (token) => current.isRevoked(token),
      get available() {
        return current.available
      },
      revoke: (entry) => current.revoke(entry),
    }
    const run = async (relay: TokenRelay) => {
      const credential = await relay.verify(tokenWith())
      current = list(changes)
      await expect(relay.verify(tokenWith())).rejects.toMatchObject(refusal('ERR_TOKEN_REVOCATION_UNAVAILABLE'))
      await context.with(setCredential(context.active(), credential), () => fetch(sink.origin))
      expect(sink.received.map(({ authorization }) => authorization)).toEqual([[]])
      current = healthy
      expect(await verdict(relay.verify(tokenWith()))).toBe('verified')
    }
    // The sink is a server of this process: the gate of a relay before would stand in front of it.
    const ingress = { mode: 'off' } as const
    await use(run, { revocation: { list: switched }, destinations: [{ to: sink.origin }], ingress })
  })

  it.each([
    ['reject', 'tokens are refused'],
    ['accept', 'tokens are let in unless known to be revoked'],
  ] as const)('%s: the log says so, once', async (onUnavailable, consequence) => {
    const said: string[] = []
    const hear = (text: string): void => void said.push(text)
    diag.setLogger({ error: hear, warn: hear, info: hear, debug: () => undefined, verbose: () => undefined })
    said.length = 0
    let available = false
    const switched = {
      ...list({}),
      get available() {
        return available
      },
    }
    const run = async (relay: TokenRelay) => {
      const uses = () => Promise.all([1, 2, 3].map(() => verdict(relay.verify(tokenWith()))))
      await uses()
      available = true
      await uses()
      expect(said).toEqual([
        `otel-token-relay: the revocation list cannot be trusted: ${consequence}`,
        'otel-token-relay: the revocation list can be trusted again',
      ])
    }
    await use(run, { revocation: { list: switched, onUnavailable } }).finally(() => diag.disable())
  })

  it('accept: what is known is refused, the rest is let in', async () => {
    const entries = createMemoryRevocationList()
    await entries.revoke({ issuer: ISSUER, tokenId: 'known', expiresAtMillis: until() })
    const run = async (relay: TokenRelay) => {
      expect(await verdict(relay.verify(tokenWith()))).toBe('verified')
      await expect(relay.verify(tokenWith({ jti: 'known' }))).rejects.toMatchObject(refusal('ERR_TOKEN_REVOKED'))
    }
    await use(run, { revocation: { list: { ...entries, available: false }, onUnavailable: 'accept' } })
  })
})

describe('entries', () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-01-02T03:04:05Z') }))

  it('block as long as a token can be accepted, and die afterwards', async () => {
    await use(async (relay) => {
      const token = signer.token({ ...goodClaims(ISSUER), jti: 'token-1' })
      const credential = await relay.verify(token)
      await relay.revoke(credential)
      vi.setSystemTime(credential.expiresAtMillis + 4_000)
      await expect(relay.verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_REVOKED'))
    })
    const list = createMemoryRevocationList()
    const facts = { issuer: ISSUER, tokenId: 'a', sessionId: undefined, subject: undefined, issuedAtMillis: undefined }
    await list.revoke({ issuer: ISSUER, tokenId: 'a', expiresAtMillis: Date.now() + 1_000 })
    expect(list.isRevoked(facts)).toBe(true)
    vi.setSystemTime(Date.now() + 301_001)
    expect(list.isRevoked(facts)).toBe(false)
  })

  it('outlive a clock that goes an hour wrong, and right again [B6]', async () => {
    await use(async (relay) => {
      const token = signer.token({ ...goodClaims(ISSUER), jti: 'token-1' })
      await relay.revoke(await relay.verify(token))
      vi.setSystemTime(Date.now() + 3_600_000)
      await relay.revoke({ issuer: ISSUER, tokenId: 'token-2', expiresAtMillis: Date.now() + 1_000 })
      vi.setSystemTime(Date.now() - 3_600_000)
      await expect(relay.verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_REVOKED'))
    })
  })

  it.each([
    [undefined, 'entry'],
    [{ tokenId: 'a', expiresAtMillis: 1 }, 'entry.issuer'],
    [{ issuer: ISSUER, expiresAtMillis: 1 }, 'entry'],
    [{ issuer: ISSUER, tokenId: 'a', subject: 'b', expiresAtMillis: 1 }, 'entry'],
    [{ issuer: ISSUER, tokenId: '', expiresAtMillis: 1 }, 'entry.tokenId'],
    [{ issuer: ISSUER, tokenId: 'm4rk3r' }, 'entry.expiresAtMillis'],
    [{ issuer: ISSUER, tokenId: 'm4rk3r', expiresAtMillis: Number.NaN }, 'entry.expiresAtMillis'],
    [
      { issuer: ISSUER, subject: 'm4rk3r', expiresAtMillis: 1, issuedBeforeMillis: 'm4rk3r' },
      'entry.issuedBeforeMillis',
    ],
  ])('that are not valid are refused, by name and not by value: %j', async (entry, name) => {
    await use(async (relay) => {
      const error = await relay.revoke(entry as never).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(TypeError)
      expect((error as Error).message).toMatch(new RegExp(`^${name.replace('.', '\\.')}: `))
      expect((error as Error).message).not.toContain('m4rk3r')
    })
  })

  it('cannot be made of a credential without a jti', async () => {
    await use(async (relay) => {
      const credential = await relay.verify(signer.token(goodClaims(ISSUER)))
      await expect(relay.revoke(credential)).rejects.toThrow('credential: has no tokenId')
    })
  })
})
