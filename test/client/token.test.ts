/** With a relay, a call has a token for its whole duration, or is not made at all. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createServiceClient, get, post } from '../../src/client/index.ts'
import { runAs } from '../../src/index.ts'
import { claimsOf, outcome, type Rig, startRig } from '../support/exchange-rig.ts'
import type { Service } from '../support/scripted-service.ts'
import { json, startService } from '../support/scripted-service.ts'

let rig: Rig
let service: Service
beforeEach(async () => {
  service = await startService()
  rig = await startRig({ destination: { to: service.origin } })
})
afterEach(() => Promise.all([rig, service].map((resource) => resource[Symbol.asyncDispose]())))

const create = (timeoutMillis = 5_000) =>
  createServiceClient({
    baseUrl: service.origin,
    timeoutMillis,
    retry: false,
    endpoints: { read: get('/'), write: post('/') },
  })

const CHALLENGE = 'Bearer error="invalid_token"'
/** The default of `clockToleranceSeconds`. */
const TOLERANCE_SECONDS = 5

/** The received tokens, one for each request. */
const tokens = (): readonly string[] => service.asked.map(({ headers }) => headers.authorization?.slice(7) ?? 'none')

/** Refuses the first token that it sees, and no other. */
function refuseTheFirst(): void {
  let refused: string | undefined
  service.answer((response, _n, { headers }) => {
    refused ??= headers.authorization
    json(response, {}, headers.authorization === refused ? 401 : 200)
  })
}

describe('after a 401', () => {
  it.each(['read', 'write'] as const)('%s is repeated once, with a renewed token', async (endpoint) => {
    refuseTheFirst()
    const client = create()
    await rig.as(await rig.issuer.token(), async () => {
      await client[endpoint]()
      await client[endpoint]()
    })
    const [refused = '', renewed = '', next] = tokens()
    expect(renewed).not.toBe(refused)
    expect(next).toBe(renewed)
    expect(claimsOf([renewed])).toMatchObject({ aud: 'billing', sub: 'alice' })
    expect(rig.endpoint.requests).toHaveLength(2)
  })

  it('a service that refuses every token costs the issuer one renewal, however often it is called', async () => {
    service.answer((response) => json(response, {}, 401))
    const client = create()
    await rig.as(await rig.issuer.token(), async () => {
      for (let call = 0; call < 20; call += 1) {
        await expect(client.read()).rejects.toMatchObject({ code: 'ERR_SERVICE_STATUS', status: 401 })
      }
    })
    expect(rig.endpoint.requests).toHaveLength(2)
    expect(service.asked).toHaveLength(21)
  })

  it('the 401 is the result if no other token is available [F17]', async () => {
    service.answer((response) => json(response, {}, 401))
    const client = create()
    await rig.as(await rig.issuer.token(), async () => {
      await rig.relay.prepare(service.origin)
      rig.endpoint.answer = { status: 400 }
      await expect(client.read()).rejects.toMatchObject({ code: 'ERR_SERVICE_STATUS', status: 401 })
    })
    expect(service.asked).toHaveLength(1)
  })

  it('the caller’s own token is not renewed, and is sent once', async () => {
    await rig.relayWith({ destination: { to: service.origin, exchange: undefined as never } })
    service.answer((response) => json(response, {}, 401))
    const token = await rig.issuer.token()
    await rig.as(token, () => expect(create().read()).rejects.toMatchObject({ status: 401 }))
    expect(tokens()).toEqual([token])
    expect(rig.endpoint.requests).toEqual([])
  })

  it('work that runs as a token source gets another token from it', async () => {
    await rig.relayWith({ destination: { to: service.origin, exchange: undefined as never } })
    refuseTheFirst()
    await runAs(rig.relay.tokenSource({ grant: 'client_credentials' }), () => create().read())
    const [refused, renewed] = tokens()
    expect(renewed).not.toBe(refused)
    expect(tokens()).toHaveLength(2)
  })

  it('concurrent callers that are refused get one new token each, and it is their own [F12]', async () => {
    const callers = await Promise.all(
      ['alice', 'bob', 'carol'].map(async (sub) => ({ sub, token: await rig.issuer.token({ sub }) })),
    )
    const seen = new Map<string, number>()
    service.answer((response, _n, { headers }) => {
      const token = headers.authorization ?? ''
      seen.set(token, (seen.get(token) ?? 0) + 1)
      const { sub, iat } = claimsOf([token.slice(7)])
      const first = [...seen.keys()].find((other) => claimsOf([other.slice(7)]).sub === sub) === token
      json(response, { sub, iat }, first ? 401 : 200)
    })
    const client = create()
    const calls = callers.flatMap(({ token }) => Array.from({ length: 10 }, () => rig.as(token, () => client.read())))
    await Promise.all(calls)
    expect(rig.endpoint.requests).toHaveLength(6)
    expect(new Set([...seen.keys()].map((token) => claimsOf([token.slice(7)]).sub)).size).toBe(3)
  })
})

describe('a token that would expire during the call [B5]', () => {
  const living = (seconds: number): Promise<string> =>
    rig.issuer.token({ exp: Math.floor(Date.now() / 1000) + seconds })

  it('is not sent if it was exchanged and no longer one is available; the client must get a new one', async () => {
    await rig.relayWith({ destination: { to: service.origin, exchange: { audience: 'billing' } as never } })
    const call = rig.as(await living(20), () => create(30_000).read())
    const error = { code: 'ERR_SERVICE_TOKEN_LIFETIME', retryable: false, status: 401, challenge: CHALLENGE }
    await expect(call).rejects.toMatchObject(error)
    expect(service.asked).toEqual([])
  })

  it('is sent if it is the caller’s own, which cannot be renewed: the service decides', async () => {
    await rig.relayWith({ destination: { to: service.origin, exchange: undefined as never } })
    const token = await living(20)
    await rig.as(token, () => create(30_000).read())
    expect(tokens()).toEqual([token])
  })

  it('is sent as long as the gate would accept it, and not a second longer', async () => {
    await rig.relayWith({ destination: { to: service.origin, exchange: undefined as never } })
    const exp = Math.floor(Date.now() / 1000) + 20
    const token = await rig.issuer.token({ exp })
    const clock = vi.spyOn(Date, 'now')
    await rig
      .as(token, async () => {
        clock.mockReturnValue((exp + TOLERANCE_SECONDS) * 1000 - 1)
        await create().read()
        await (await fetch(service.origin)).text()
        expect(await rig.relay.verify(token)).toMatchObject({ subject: 'alice' })
        clock.mockReturnValue((exp + TOLERANCE_SECONDS) * 1000)
        await expect(create().read()).rejects.toMatchObject({
          code: 'ERR_SERVICE_TOKEN',
          status: 401,
          challenge: CHALLENGE,
        })
        await (await fetch(service.origin)).text()
        await expect(rig.relay.verify(token)).rejects.toMatchObject({ code: 'ERR_TOKEN_EXPIRED' })
      })
      .finally(() => clock.mockRestore())
    expect(tokens()).toEqual([token, token, 'none'])
  })

  it('is renewed first if the next one lives longer', async () => {
    const lives = [20, 300]
    rig.endpoint.answer = () => {
      const seconds = lives.shift() ?? 300
      return { claims: { exp: Math.floor(Date.now() / 1000) + seconds }, members: { expires_in: seconds } }
    }
    await rig.as(await living(600), async () => {
      await create(5_000).read()
      expect(await outcome(create(15_000).read())).toBe('done')
    })
    expect(rig.endpoint.requests.length).toBeLessThanOrEqual(2)
    expect(service.asked).toHaveLength(2)
  })
})

describe('a caller whose request has ended', () => {
  it.each([
    'with an exchange',
    'without',
  ])('%s: the call fails, and nothing is sent without a token', async (exchange) => {
    if (exchange === 'without') {
      await rig.relayWith({ destination: { to: service.origin, exchange: undefined as never } })
    }
    const over = Promise.withResolvers<void>()
    const work = await rig.as(await rig.issuer.token(), async () => ({
      late: over.promise.then(() => create().read()),
    }))
    over.resolve()
    const error = { code: 'ERR_SERVICE_TOKEN', status: 401, challenge: CHALLENGE, retryable: false }
    await expect(work.late).rejects.toMatchObject(error)
    expect(service.asked).toEqual([])
    expect(rig.endpoint.requests).toEqual([])
  })
})

describe('a token that is unavailable', () => {
  it.each([
    [400, { retryable: false, status: 401, challenge: CHALLENGE }],
    [503, { retryable: true, status: 503, challenge: undefined }],
  ])('makes the call fail if the issuer answers %i: nothing is sent, and the error says what helps', async (status, facts) => {
    rig.endpoint.answer = { status }
    await rig.as(await rig.issuer.token(), () =>
      expect(create().read()).rejects.toMatchObject({ code: 'ERR_SERVICE_TOKEN', endpoint: 'read', ...facts }),
    )
    expect(service.asked).toEqual([])
  })

  it('makes the call fail after the caller’s own token was revoked', async () => {
    await rig.as(await rig.issuer.token({ jti: 'one' }), async () => {
      await create().read()
      await rig.relay.revoke({ issuer: rig.issuer.issuer, tokenId: 'one', expiresAtMillis: Date.now() + 600_000 })
      await expect(create().read()).rejects.toMatchObject({ code: 'ERR_SERVICE_TOKEN' })
    })
    expect(service.asked).toHaveLength(1)
  })

  it('is not requested if the application sends its own credential', async () => {
    rig.endpoint.answer = { status: 400 }
    const client = create()
    await rig.as(await rig.issuer.token(), () => client.read(undefined, { headers: { authorization: 'Basic abc' } }))
    expect(service.asked.map(({ headers }) => headers.authorization)).toEqual(['Basic abc'])
  })
})
