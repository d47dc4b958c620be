/** Whose token is kept for whom: found by every parameter, asked for once however many wait. */

import { createServer } from 'node:http'
import { isDeepStrictEqual } from 'node:util'
import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import fc from 'fast-check'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRequest } from '../../src/destination/token-request.ts'
import { keyOfRequest } from '../../src/destination/token-request.ts'
import { setCredential, setDestination } from '../../src/index.ts'
import type { Rig } from '../support/exchange-rig.ts'
import { claimsOf, outcome, startRig } from '../support/exchange-rig.ts'
import { close, listen } from '../support/issuer.ts'
import { waitFor } from '../support/patience.ts'

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
beforeEach(async () => {
  rig.endpoint.requests.length = 0
  rig.endpoint.answer = {}
  rig.sink.clear()
  await rig.relayWith({})
})
afterAll(() => rig[Symbol.asyncDispose]())

describe('the key of a kept token is every parameter [F16]', () => {
  it('requests that differ have keys that differ, whatever their texts are [C3]', () => {
    const texts = fc.array(fc.string({ unit: fc.constantFrom('a', '"', ',', '[', ']', '\\', ' ', '\0') }), {
      maxLength: 3,
    })
    const tokenType = fc.constantFrom('access_token' as const, 'jwt' as const)
    const request = fc.record({ audience: texts, resource: texts, scope: texts, tokenType })
    fc.assert(
      fc.property(request, request, (a, b) => {
        const sorted = ({ audience, resource, scope, ...rest }: TokenRequest): object => {
          return { ...rest, audience: audience.toSorted(), resource: resource.toSorted(), scope: scope.toSorted() }
        }
        const isSame = isDeepStrictEqual(sorted(a), sorted(b))
        expect(keyOfRequest(a) === keyOfRequest(b)).toBe(isSame)
      }),
      { numRuns: 2_000 },
    )
  })

  it('two tokens of one subject are two callers, whatever they share', async () => {
    const claims = [
      { scope: 'a' },
      { scope: 'a b' },
      { scope: 'a', sid: '1' },
      { scope: 'a', sid: '2' },
      { scope: 'a' },
    ]
    for (const each of claims) {
      const [sent] = await rig.as(await rig.issuer.token(each), () => rig.send())
      expect(claimsOf([sent ?? ''])).toMatchObject({ sub: 'alice', scope: each.scope })
    }
    expect(rig.endpoint.requests).toHaveLength(claims.length)
  })

  it('two destinations with different requests get different tokens, and with equal ones the same', async () => {
    const [a, b, c] = ['audience', 'scope', 'same'].map((name) => ({ name, to: `grpcs://${name}.example` }))
    const relay = await rig.relayWith({
      relay: {
        destinations: [
          { to: a?.to ?? '', exchange: { audience: 'billing', scope: 'invoices:read' } },
          { to: b?.to ?? '', exchange: { audience: 'billing', scope: 'profiles:read' } },
          { to: c?.to ?? '', exchange: { scope: ['invoices:read'], audience: ['billing'] } },
        ],
      },
    })
    const token = await rig.issuer.token()
    const sent = await rig.as(token, async () => {
      for (const { to } of [a, b, c].flatMap((each) => each ?? [])) await relay.prepare(to)
      return [a, b, c].map((each) => inject(setDestination(context.active(), each?.to ?? '')))
    })
    expect(sent.map((text) => decodeJwt(text ?? '')['scope'])).toEqual([
      'invoices:read',
      'profiles:read',
      'invoices:read',
    ])
    expect(sent[2]).toBe(sent[0])
    expect(rig.endpoint.requests).toHaveLength(2)
  })

  it('a million interleaved calls of two hundred callers never get another caller’s token', {
    timeout: 1_800_000,
  }, async () => {
    // Good for longer than a slow machine takes.
    const exp = Math.floor(Date.now() / 1000) + 7_200
    rig.endpoint.answer = { claims: { exp }, members: { expires_in: 7_200 } }
    const relay = await rig.relayWith({ destination: { to: 'grpcs://billing.example' } })
    const callers = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        // Half of them are the same subject, in sessions of its own.
        const token = await rig.issuer.token({ sub: `user-${i % 100}`, sid: `session-${i}`, exp })
        const credential = await relay.verify(token)
        const ctx = setDestination(setCredential(context.active(), credential), 'grpcs://billing.example')
        await rig.as(token, () => relay.prepare('grpcs://billing.example'))
        return { ctx, sub: `user-${i % 100}`, expected: inject(ctx) ?? '' }
      }),
    )
    expect(new Set(callers.map(({ expected }) => expected)).size).toBe(200)
    expect(callers.filter(({ expected, sub }) => decodeJwt(expected).sub !== sub)).toEqual([])
    let wrong = 0
    for (let call = 0, at = 0; call < 1_000_000; call += 1) {
      // A generator of full period: callers in every order.
      at = (at * 1_664_525 + 1_013_904_223) % 2_147_483_648
      const caller = callers[at % callers.length]
      if (caller !== undefined && inject(caller.ctx) !== caller.expected) wrong += 1
    }
    expect(wrong).toBe(0)
    expect(rig.endpoint.requests).toHaveLength(200)
  })

  it('an opaque token whose issuer says something else now is another caller', async () => {
    let scope = 'invoices:read profiles:read'
    const now = Math.floor(Date.now() / 1000)
    const introspection = createServer((_, response) => {
      const facts = { active: true, sub: 'alice', aud: 'user-service', iat: now, exp: now + 3_600, scope }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(facts))
    })
    const endpoint = `http://127.0.0.1:${await listen(introspection)}/`
    await rig.relayWith({
      issuer: { introspection: { endpoint, clientId: 'a', clientSecret: 'b', cacheMillis: 0 } },
    })
    const send = () => rig.as('opaque-token', () => rig.send())
    rig.endpoint.answer = () => ({ claims: { sub: 'alice', scope } })
    expect(claimsOf(await send())['scope']).toBe('invoices:read profiles:read')
    expect(claimsOf(await send())['scope']).toBe('invoices:read profiles:read')
    expect(rig.endpoint.requests).toHaveLength(1)
    scope = 'profiles:read'
    expect(claimsOf(await send())['scope']).toBe('profiles:read')
    expect(rig.endpoint.requests).toHaveLength(2)
    await close(introspection)
  })
})

describe('one exchange for all who wait', () => {
  it('a thousand callers with one token, by fetch and by prepare, cost one request', async () => {
    const token = await rig.issuer.token()
    await rig.as(token, async () => {
      const ready = Promise.withResolvers<void>()
      rig.endpoint.answer = { after: ready.promise }
      const calls = Array.from({ length: 950 }, () => rig.relay.prepare(rig.sink.origin))
      const fetches = Array.from({ length: 50 }, () => fetch(rig.sink.origin).then((response) => response.text()))
      await waitFor(() => expect(rig.endpoint.requests).toHaveLength(1))
      ready.resolve()
      await Promise.all([...calls, ...fetches])
    })
    expect(rig.endpoint.requests).toHaveLength(1)
    expect(rig.sink.received).toHaveLength(50)
    expect(new Set(rig.sink.received.map(({ authorization }) => authorization.join())).size).toBe(1)
  })

  it('all who wait share a failure, each with its own error, and the next call tries again', async () => {
    const token = await rig.issuer.token()
    await rig.as(token, async () => {
      const ready = Promise.withResolvers<void>()
      rig.endpoint.answer = { status: 500, after: ready.promise }
      const calls = Array.from({ length: 100 }, () =>
        rig.relay.prepare(rig.sink.origin).catch((error: unknown) => error),
      )
      ready.resolve()
      const errors = await Promise.all(calls)
      expect(new Set(errors).size).toBe(100)
      expect(errors).toSatisfy((all: { code: string }[]) =>
        all.every(({ code }) => code === 'ERR_TOKEN_EXCHANGE_UNAVAILABLE'),
      )
      rig.endpoint.answer = {}
      // Tried twice, and not within a second of the failure.
      await waitFor(() => rig.relay.prepare(rig.sink.origin))
      expect(rig.endpoint.requests).toHaveLength(3)
    })
  })

  it('a refusal is remembered: fifty calls of one caller are one request to the issuer', async () => {
    rig.endpoint.answer = { status: 400 }
    await rig.as(await rig.issuer.token(), async () => {
      for (let call = 0; call < 50; call += 1) {
        expect(await outcome(rig.relay.prepare(rig.sink.origin))).toBe('ERR_TOKEN_EXCHANGE_REFUSED')
        expect(await rig.send()).toEqual([])
      }
    })
    expect(rig.endpoint.requests).toHaveLength(1)
    // Another caller is another question.
    expect(
      await rig.as(await rig.issuer.token({ sub: 'bob' }), () => outcome(rig.relay.prepare(rig.sink.origin))),
    ).toBe('ERR_TOKEN_EXCHANGE_REFUSED')
    expect(rig.endpoint.requests).toHaveLength(2)
  })

  it('a caller that stops waiting stops no other', async () => {
    const token = await rig.issuer.token()
    await rig.as(token, async () => {
      const ready = Promise.withResolvers<void>()
      rig.endpoint.answer = { after: ready.promise }
      const impatient = new AbortController()
      const first = outcome(rig.relay.prepare(rig.sink.origin, { signal: impatient.signal }))
      const second = outcome(rig.relay.prepare(rig.sink.origin))
      impatient.abort()
      expect(await first).toBe(DOMException.ABORT_ERR)
      expect(await outcome(rig.relay.prepare(rig.sink.origin, { signal: impatient.signal }))).toBe(
        DOMException.ABORT_ERR,
      )
      ready.resolve()
      expect(await second).toBe('done')
      expect(await rig.send()).toHaveLength(1)
    })
    expect(rig.endpoint.requests).toHaveLength(1)
  })

  it('what is kept is bounded: the caller who was not seen for longest goes first', async () => {
    await rig.relayWith({ exchange: { maxEntries: 2 } })
    const tokens = await Promise.all(['a', 'b', 'c'].map((sub) => rig.issuer.token({ sub })))
    for (const token of [...tokens, tokens[2], tokens[1]]) await rig.as(token ?? '', () => rig.send())
    expect(rig.endpoint.requests).toHaveLength(3)
    await rig.as(tokens[0] ?? '', () => rig.send())
    expect(rig.endpoint.requests).toHaveLength(4)
  })

  it('one large token is kept, too, if there is room for one', async () => {
    await rig.relayWith({ exchange: { maxEntries: 1 }, issuer: { maxTokenBytes: 65_536 } })
    await rig.as(await rig.issuer.token({ padding: 'x'.repeat(10_000) }), async () => {
      await Promise.all([rig.relay.prepare(rig.sink.origin), rig.relay.prepare(rig.sink.origin)])
    })
    expect(rig.endpoint.requests).toHaveLength(1)
  })

  it('propagation.inject does not wait: what is not prepared stays', async () => {
    await rig.relayWith({ destination: { to: 'grpcs://billing.example' } })
    await rig.as(await rig.issuer.token(), async () => {
      const ctx = setDestination(context.active(), 'grpcs://billing.example')
      expect(inject(ctx)).toBeUndefined()
      await rig.relay.prepare('grpcs://billing.example')
      expect(claimsOf([inject(ctx) ?? ''])).toMatchObject({ aud: 'billing' })
    })
  })
})

function inject(ctx: Context): string | undefined {
  const carrier: Record<string, string> = {}
  rig.relay.propagator.inject(ctx, carrier, { set: (to, name, value) => Reflect.set(to, name, value) })
  return carrier['authorization']?.slice(7)
}
