/** With a relay, a call has the token that it needs for as long as it takes, or it is not made at all. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createServiceClient, get, post } from '../../src/client/index.ts'
import { runAs } from '../../src/index.ts'
import { claimsOf, outcome, type Rig, startRig } from '../exchange/rig.ts'
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

/** The tokens that have arrived, one for each request. */
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
  it.each(['read', 'write'] as const)('%s is made once more, with a renewed token', async (endpoint) => {
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

  it('a service that refuses every token costs the issuer one more, however often it is called', async () => {
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

  it('F17 where no other token can be had it is the answer', async () => {
    service.answer((response) => json(response, {}, 401))
    const client = create()
    await rig.as(await rig.issuer.token(), async () => {
      await rig.relay.prepare(service.origin)
      rig.endpoint.answer = { status: 400 }
      await expect(client.read()).rejects.toMatchObject({ code: 'ERR_SERVICE_STATUS', status: 401 })
    })
    expect(service.asked).toHaveLength(1)
  })

  it('the caller’s own token is not renewed, and sent once', async () => {
    await rig.relayWith({ destination: { to: service.origin, exchange: undefined as never } })
    service.answer((response) => json(response, {}, 401))
    const token = await rig.issuer.token()
    await rig.as(token, () => expect(create().read()).rejects.toMatchObject({ status: 401 }))
    expect(tokens()).toEqual([token])
    expect(rig.endpoint.requests).toEqual([])
  })

  it('work that runs as a source gets another token of it', async () => {
    await rig.relayWith({ destination: { to: service.origin, exchange: undefined as never } })
    refuseTheFirst()
    await runAs(rig.relay.tokenSource({ grant: 'client_credentials' }), () => create().read())
    const [refused, renewed] = tokens()
    expect(renewed).not.toBe(refused)
    expect(tokens()).toHaveLength(2)
  })

  it('F12 callers who are refused at once get one other token each, and their own', async () => {
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

describe('B5 a token that dies on the way', () => {
  const living = (seconds: number): Promise<string> =>
    rig.issuer.token({ exp: Math.floor(Date.now() / 1000) + seconds })

  it('is not sent: the caller’s own, and one that it was exchanged for', async () => {
    for (const exchange of [undefined, { audience: 'billing' }]) {
      await rig.relayWith({ destination: { to: service.origin, exchange: exchange as never } })
      const call = rig.as(await living(20), () => create(30_000).read())
      await expect(call).rejects.toMatchObject({ code: 'ERR_SERVICE_TOKEN_LIFETIME', retryable: false })
    }
    expect(service.asked).toEqual([])
  })

  it('is renewed first, where the next one lives longer', async () => {
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

describe('a token that cannot be had', () => {
  it.each([
    [400, false],
    [503, true],
  ])('because the issuer answers %i: nothing is sent', async (status, retryable) => {
    rig.endpoint.answer = { status }
    await rig.as(await rig.issuer.token(), () =>
      expect(create().read()).rejects.toMatchObject({ code: 'ERR_SERVICE_TOKEN', retryable, endpoint: 'read' }),
    )
    expect(service.asked).toEqual([])
  })

  it('because the caller’s own was revoked meanwhile', async () => {
    await rig.as(await rig.issuer.token({ jti: 'one' }), async () => {
      await create().read()
      await rig.relay.revoke({ issuer: rig.issuer.issuer, tokenId: 'one', expiresAtMillis: Date.now() + 600_000 })
      await expect(create().read()).rejects.toMatchObject({ code: 'ERR_SERVICE_TOKEN' })
    })
    expect(service.asked).toHaveLength(1)
  })

  it('is not asked for where the application has a credential of its own', async () => {
    rig.endpoint.answer = { status: 400 }
    const client = create()
    await rig.as(await rig.issuer.token(), () => client.read(undefined, { headers: { authorization: 'Basic abc' } }))
    expect(service.asked.map(({ headers }) => headers.authorization)).toEqual(['Basic abc'])
  })
})
