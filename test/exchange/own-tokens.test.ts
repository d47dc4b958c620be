/** Tokens that nobody presented: of the service itself, of whoever a refresh token was issued for, and as the actor. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TokenSource, TokenSourceOptions } from '../../src/index.ts'
import { getActiveCredential, runAs } from '../../src/index.ts'
import type { Rig } from '../support/exchange-rig.ts'
import { claimsOf, outcome, startRig } from '../support/exchange-rig.ts'

const NOW = Date.parse('2026-01-02T03:04:05Z')
const own: TokenSourceOptions = { grant: 'client_credentials', audience: ['billing'] }

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'], now: NOW })
  rig.endpoint.requests.length = 0
  rig.endpoint.answer = {}
  rig.sink.clear()
  await rig.relayWith({ destination: { exchange: undefined as never } })
})
afterEach(() => vi.useRealTimers())
afterAll(() => rig[Symbol.asyncDispose]())

const asked = (): number => rig.endpoint.requests.length
const at = (seconds: number): void => void vi.setSystemTime(NOW + seconds * 1000)
const parameter = (name: string): (string | null)[] =>
  rig.endpoint.requests.map(({ parameters }) => parameters.get(name))

describe('runAs', () => {
  it('work that goes on for hours sends a good token each time, also after a pause longer than its life [G2]', async () => {
    const source = rig.relay.tokenSource(own)
    await runAs(source, async () => {
      for (const seconds of [0, 100, 260, 600, 4_000, 90_000]) {
        at(seconds)
        expect(claimsOf(await rig.send())).toMatchObject({ sub: 'service', aud: 'billing' })
        expect(
          Number(claimsOf(rig.sink.received.at(-1)?.authorization.map((value) => value.slice(7)) ?? []).exp),
        ).toBeGreaterThan(Date.now() / 1000)
        // What is renewed in the background is there before the clock moves.
        await source.get({ validForMillis: 120_000 })
      }
    })
    expect(parameter('grant_type')).toEqual(Array.from({ length: asked() }, () => 'client_credentials'))
  })

  it('sends nothing once its source fails and the last token has ended [G2, B5]', async () => {
    await runAs(rig.relay.tokenSource(own), async () => {
      expect(await rig.send()).toHaveLength(1)
      rig.endpoint.answer = { status: 400 }
      at(290)
      expect(await rig.send()).toHaveLength(1)
      at(301)
      expect(await rig.send()).toEqual([])
      expect(await outcome(rig.relay.prepare(rig.sink.origin))).toBe('ERR_TOKEN_EXPIRED')
    })
  })

  it('prepare waits for a token that lives as long as the call', async () => {
    await runAs(rig.relay.tokenSource(own), async () => {
      at(200)
      await rig.relay.prepare(rig.sink.origin, { validForMillis: 200_000 })
      expect(asked()).toBe(2)
      expect(await outcome(rig.relay.prepare(rig.sink.origin, { validForMillis: 400_000 }))).toBe(
        'ERR_TOKEN_EXCHANGE_LIFETIME',
      )
      await rig.relay.prepare('https://nobody.example', { validForMillis: 400_000 })
    })
  })

  it('exchanges the service’s own token if the rule wants another one', async () => {
    await rig.relayWith({})
    const source = rig.relay.tokenSource({ grant: 'client_credentials', audience: ['user-service'] })
    await runAs(source, async () => {
      expect(claimsOf(await rig.send())).toMatchObject({ sub: 'service', aud: 'billing' })
      at(4_000)
      expect(claimsOf(await rig.send())).toMatchObject({ sub: 'service', aud: 'billing' })
    })
    expect(asked()).toBe(4)
  })

  it('runs nothing without a token', async () => {
    rig.endpoint.answer = { status: 400 }
    const work = vi.fn()
    expect(await outcome(runAs(rig.relay.tokenSource(own), work))).toBe('ERR_TOKEN_EXCHANGE_REFUSED')
    expect(work).not.toHaveBeenCalled()
  })

  it('refuses tokens of a source that the relay has not verified', async () => {
    const credential = await rig.relay.verify(await rig.issuer.token())
    const lookAlike = { ...credential, reveal: () => 'evil', expiresAtMillis: Number.POSITIVE_INFINITY } as never
    const forged = { get: async () => lookAlike, current: lookAlike } as TokenSource
    await expect(runAs(forged, () => 'ran')).rejects.toThrow(TypeError)
    const later = { get: async () => credential, current: lookAlike } as TokenSource
    await runAs(later, async () => {
      expect(getActiveCredential()).toBe(credential)
      expect(await rig.send()).toEqual([credential.reveal()])
    })
    const broken: TokenSource = {
      get: async () => credential,
      get current(): never {
        throw new Error('broken')
      },
    }
    expect(await runAs(broken, () => rig.send())).toEqual([credential.reveal()])
  })

  it('the token of a request that has ended is not used by work that goes on [G2]', async () => {
    const token = await rig.issuer.token()
    const { EventEmitter } = await import('node:events')
    const lifetime = new EventEmitter()
    await rig.relayWith({})
    const admission = await rig.relay.admit({ headers: { authorization: `Bearer ${token}` }, lifetime })
    expect(admission.admitted).toBe(true)
    await (admission.admitted &&
      admission.run(async () => {
        expect(await rig.send()).toHaveLength(1)
        lifetime.emit('close')
        expect(await rig.send()).toEqual([])
        // Nothing is got for a caller who has gone, and code that is about to call for one is told so.
        expect(await outcome(rig.relay.prepare(rig.sink.origin))).toBe('ERR_TOKEN_MISSING')
      }))
    expect(asked()).toBe(1)
  })
})

describe('refresh tokens', () => {
  /** As a server that rotates: each one is good once, and using it twice would revoke them all. */
  function rotating(): { readonly used: string[] } {
    const used: string[] = []
    rig.endpoint.answer = ({ parameters }) => {
      const refresh = parameters.get('refresh_token') ?? ''
      if (used.includes(refresh)) return { status: 400 }
      used.push(refresh)
      return { claims: { sub: 'alice' }, members: { refresh_token: `refresh-${used.length + 1}` } }
    }
    return { used }
  }

  it('are rotated, once for all who ask at the same time', async () => {
    const { used } = rotating()
    const source = rig.relay.tokenSource({ grant: 'refresh_token', refreshToken: 'refresh-1' })
    for (const seconds of [0, 400, 800]) {
      at(seconds)
      const tokens = await Promise.all(Array.from({ length: 50 }, () => source.get()))
      expect(new Set(tokens).size).toBe(1)
    }
    expect(used).toEqual(['refresh-1', 'refresh-2', 'refresh-3'])
  })

  it('stay if no other comes back', async () => {
    rig.endpoint.answer = { claims: { sub: 'alice' } }
    const source = rig.relay.tokenSource({ grant: 'refresh_token', refreshToken: 'refresh-1' })
    for (const seconds of [0, 400]) {
      at(seconds)
      await source.get()
    }
    expect(parameter('refresh_token')).toEqual(['refresh-1', 'refresh-1'])
  })

  it('are rotated even if the access token that comes with them is refused [F16]', async () => {
    rig.endpoint.answer = { claims: { aud: 'other' }, members: { refresh_token: 'refresh-2' } }
    const source = rig.relay.tokenSource({ grant: 'refresh_token', refreshToken: 'refresh-1', audience: ['billing'] })
    expect(await outcome(source.get())).toBe('ERR_TOKEN_EXCHANGE_RESULT')
    rig.endpoint.answer = {}
    vi.advanceTimersByTime(5_001)
    await source.get()
    expect(parameter('refresh_token')).toEqual(['refresh-1', 'refresh-2'])
  })

  it('do not become those of another subject [F16]', async () => {
    rig.endpoint.answer = { claims: { sub: 'alice' } }
    const source = rig.relay.tokenSource({ grant: 'refresh_token', refreshToken: 'refresh-1' })
    await source.get()
    at(400)
    rig.endpoint.answer = { claims: { sub: 'mallory' } }
    expect(await outcome(source.get())).toBe('ERR_TOKEN_EXCHANGE_RESULT')
  })
})

describe('the actor', () => {
  it('is the service, by its own token, which is requested once for all exchanges', async () => {
    await rig.relayWith({ exchange: { actor: true } })
    for (const sub of ['alice', 'bob']) await rig.as(await rig.issuer.token({ sub }), () => rig.send())
    expect(parameter('grant_type').map((type) => type?.split(':').at(-1))).toEqual([
      'client_credentials',
      'token-exchange',
      'token-exchange',
    ])
    const [, first, second] = parameter('actor_token')
    expect(claimsOf([first ?? ''])).toMatchObject({ sub: 'service' })
    expect(second).toBe(first)
    expect(parameter('actor_token_type')[1]).toBe('urn:ietf:params:oauth:token-type:access_token')
  })

  it('without whom nothing is exchanged [F17]', async () => {
    await rig.relayWith({ exchange: { actor: true } })
    rig.endpoint.answer = ({ parameters }) => ({ status: parameters.has('subject_token') ? 200 : 500 })
    await rig.as(await rig.issuer.token(), async () => {
      expect(await outcome(rig.relay.prepare(rig.sink.origin))).toBe('ERR_TOKEN_EXCHANGE_UNAVAILABLE')
    })
    expect(asked()).toBe(2)
  })
})

describe('the request to the issuer', () => {
  it('RFC 8693: the caller’s token, its type, and every parameter of the rule', async () => {
    const resource = 'https://billing.example/'
    await rig.relayWith({ rule: { audience: ['a', 'b'], resource, scope: 'x y', tokenType: 'jwt' } })
    rig.endpoint.answer = { claims: { aud: ['a', 'b', resource], scope: 'x' } }
    const token = await rig.issuer.token()
    await rig.as(token, () => rig.relay.prepare(rig.sink.origin))
    const type = 'urn:ietf:params:oauth:token-type:'
    expect([...(rig.endpoint.requests[0]?.parameters ?? [])].toSorted()).toEqual([
      ['audience', 'a'],
      ['audience', 'b'],
      ['grant_type', 'urn:ietf:params:oauth:grant-type:token-exchange'],
      ['requested_token_type', `${type}jwt`],
      ['resource', resource],
      ['scope', 'x y'],
      ['subject_token', token],
      ['subject_token_type', `${type}access_token`],
    ])
    expect(rig.endpoint.requests[0]?.rawHeaders.map((text) => text.toLowerCase())).not.toContain('traceparent')
  })

  it('RFC 7523, and what Microsoft adds to it', async () => {
    await rig.relayWith({
      exchange: { grant: 'jwt_bearer' },
      rule: { audience: undefined as never, scope: 'api://billing/.default' },
    })
    rig.endpoint.answer = { claims: { aud: 'api://billing' } }
    const token = await rig.issuer.token()
    expect(await rig.as(token, () => rig.send())).toHaveLength(1)
    expect([...(rig.endpoint.requests[0]?.parameters ?? [])].toSorted()).toEqual([
      ['assertion', token],
      ['grant_type', 'urn:ietf:params:oauth:grant-type:jwt-bearer'],
      ['requested_token_use', 'on_behalf_of'],
      ['scope', 'api://billing/.default'],
    ])
  })

  it.each<readonly [string, object, string]>([
    ['an issuer without exchange', { ...own, issuer: 'https://other.example' }, 'issuer: '],
    ['another grant', { grant: 'password' }, 'grant: '],
    ['no refresh token', { grant: 'refresh_token' }, 'refreshToken: '],
    ['an audience that is no name', { ...own, audience: 5 }, 'audience: '],
    ['a refresh token that nobody uses', { ...own, refreshToken: 'm4rk3r' }, 'refreshToken: '],
    ['what is no option', { ...own, realm: 'm4rk3r' }, 'realm: '],
    ['a scope with a space in it', { ...own, scope: ['a b'] }, 'scope[0]: '],
  ])('of a source with %s is a TypeError', (_, options, message) => {
    const create = () => rig.relay.tokenSource(options as TokenSourceOptions)
    expect(create).toThrow(TypeError)
    expect(create).toThrow(message)
    expect(create).not.toThrow('m4rk3r')
  })
})
