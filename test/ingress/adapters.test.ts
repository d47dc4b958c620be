/** The adapters of all frameworks: the same requests get the same answers, with the gate in front and without it. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import type { Application } from '../support/frameworks.ts'
import { FRAMEWORKS } from '../support/frameworks.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

let issuer: TestIssuer
let other: TestIssuer
let named: Sink
let unnamed: Sink
beforeAll(async () => {
  ;[issuer, other] = await Promise.all([startIssuer(), startIssuer()])
  ;[named, unnamed] = await Promise.all([startSink(), startSink('localhost')])
})
afterAll(async () => {
  await Promise.all([issuer, other, named, unnamed].map((resource) => resource[Symbol.asyncDispose]()))
})

function createRelay(isGated: boolean): TokenRelay {
  const relay = createTokenRelay({
    issuers: [issuer, other].map(({ issuer }) => ({
      issuer,
      audience: 'user-service',
      roleClaims: ['roles', 'realm_access.roles'],
    })),
    destinations: [{ to: named.origin }],
    // An optional gate leaves to the adapters what they decide.
    ingress: { mode: isGated ? 'optional' : 'off' },
  })
  expect(relay.instrumentation.getConfig()).toEqual({ enabled: isGated })
  return relay
}

describe.each([
  ['alone', false],
  ['behind the gate', true],
])('%s', (_way, isGated) => {
  describe.each(FRAMEWORKS)('%s', (_name, start) => {
    let relay: TokenRelay
    let app: Application
    beforeAll(async () => {
      relay = createRelay(isGated)
      app = await start()
    })
    afterAll(async () => {
      await app[Symbol.asyncDispose]()
      await relay.shutdown()
    })

    const bearer = (token: string): string => `Authorization: Bearer ${token}`
    async function send(target: string, fields: readonly string[] = [], options = {}): Promise<string> {
      return exchange(app.port, requestOf(target, fields, options), () => false)
    }
    async function sendAs(target: string, claims: Parameters<TestIssuer['token']>[0] = {}, options = {}) {
      return send(target, [bearer(await issuer.token(claims))], options)
    }

    it('no handler runs without a token, and the answer is that of the gate', async () => {
      for (const target of ['/whoami', '/scoped', '/admin', '/any', '/role', '/both', '/stream', '/call', '/boom']) {
        const answer = await send(target)
        expect(statuses(answer)).toEqual([401])
        expect(answer).toMatch(/\r\nwww-authenticate: Bearer\r\n/i)
        expect(answer).toMatch(/\r\ncache-control: no-store\r\n/i)
        expect(answer).toMatch(/\r\ncontent-type: application\/problem\+json\r\n/i)
        expect(answer.endsWith('{"type":"about:blank","title":"Unauthorized","status":401}')).toBe(true)
      }
      expect(app.handled()).toEqual([])
    })

    it('every kind of bad token gets one answer, whatever the mode [G8]', async () => {
      const tokens = await Promise.all([
        issuer.token({ aud: 'another' }),
        issuer.token({ exp: 1_000_000, iat: 999_000 }),
        issuer.token({ iss: 'https://other.example' }),
      ])
      const answers = await Promise.all(
        [...tokens, 'garbage'].flatMap((token) =>
          ['/whoami', '/optional', '/scoped'].map((target) => send(target, [bearer(token)])),
        ),
      )
      const same = new Set(answers.map((answer) => answer.replace(/\r\nDate: [^\r]*/i, '')))
      expect([...same]).toEqual([expect.stringMatching(/^HTTP\/1\.1 401 [\s\S]*Bearer error="invalid_token"/)])
      expect(app.handled()).toEqual([])
    })

    it('the caller is known to the handler, by the framework and by the context, through await and timers', async () => {
      expect(await sendAs('/whoami', { sub: 'bob' })).toMatch(/^HTTP\/1\.1 200 [\s\S]*{"callers":\["bob"\]}/)
    })

    it('optional: a request without a token has no caller', async () => {
      expect(await send('/optional')).toMatch(/^HTTP\/1\.1 200 [\s\S]*{"callers":\["nobody"\]}/)
      expect(await sendAs('/optional')).toContain('{"callers":["alice"]}')
    })

    it('a body is read by the caller, byte for byte', async () => {
      const options = { method: 'POST', body: 'x'.repeat(200_000) }
      const answer = await send('/body', [bearer(await issuer.token()), 'Content-Type: text/x'], options)
      expect(answer).toContain('{"length":200000,"callers":["alice"]}')
    })

    it('a stream is written by the caller', async () => {
      expect((await sendAs('/stream')).match(/alice|nobody/g)).toEqual(Array(5).fill('alice'))
    })

    it('a route that requires a scope says which, and admits no other caller', async () => {
      expect(await sendAs('/scoped')).toContain('{"callers":["alice"]}')
      app.handled()
      for (const target of ['/admin', '/both']) {
        const answer = await sendAs(target)
        const scope = target === '/both' ? 'admin' : 'admin profiles:read'
        expect(statuses(answer)).toEqual([403])
        expect(answer).toContain(`: Bearer error="insufficient_scope", scope="${scope}"\r\n`)
        expect(answer.endsWith('{"type":"about:blank","title":"Forbidden","status":403}')).toBe(true)
      }
      expect(app.handled()).toEqual([])
      expect(await sendAs('/admin', { scope: 'profiles:read admin' })).toContain('{"callers":["alice"]}')
      expect(app.handled()).toEqual(['/admin'])
    })

    it('of alternative scopes one is enough, beside the others; the answer names them all', async () => {
      for (const scope of ['profiles:read profiles:write', 'profiles:admin x profiles:read']) {
        expect(await sendAs('/any', { scope })).toContain('{"callers":["alice"]}')
      }
      app.handled()
      for (const scope of ['profiles:write', 'profiles:read', 'profiles:read profiles:administrator']) {
        const answer = await sendAs('/any', { scope })
        expect(statuses(answer)).toEqual([403])
        const all = 'profiles:read profiles:write profiles:admin'
        expect(answer).toContain(`: Bearer error="insufficient_scope", scope="${all}"\r\n`)
      }
      expect(app.handled()).toEqual([])
    })

    it('a route that requires roles admits those that have them, and the answer names no scope', async () => {
      for (const claims of [
        { roles: ['auditor', 'admin'] },
        { roles: 'auditor', realm_access: { roles: ['realm admin', 'x'] } },
      ]) {
        expect(await sendAs('/role', claims)).toContain('{"callers":["alice"]}')
      }
      app.handled()
      const lacking = [
        { roles: ['auditor'] },
        { roles: ['admin'], scope: 'auditor' },
        { roles: 'auditor admin' },
        { roles: ['auditor', 'admin', 7] },
        { roles: 'auditor', realm_access: [{ roles: ['admin'] }] },
        { roles: 'auditor', 'realm_access.roles': ['admin'] },
      ]
      for (const claims of lacking) {
        const answer = await sendAs('/role', claims)
        expect(statuses(answer)).toEqual([403])
        expect(answer).toMatch(/\r\nwww-authenticate: Bearer error="insufficient_scope"\r\n/i)
      }
      expect(statuses(await send('/role'))).toEqual([401])
      expect(app.handled()).toEqual([])
    })

    it('two Authorization lines are no token, whichever is good [E1]', async () => {
      const good = bearer(await issuer.token())
      const bad = bearer(await issuer.token({ aud: 'another' }))
      for (const lines of [
        [good, good],
        [good, bad],
        [bad, good],
        [good, 'authorization: Basic eDp5'],
        ['AUTHORIZATION: Basic eDp5', good],
        ['Authorization: Basic eDp5', 'Authorization: Basic eDp6'],
      ]) {
        for (const target of ['/whoami', '/optional', '/scoped']) {
          expect(statuses(await send(target, lines))).toEqual([400])
        }
      }
      expect(app.handled()).toEqual([])
    })

    it('a list, quotes, parameters, a tab or latin-1 is no token [E2]', async () => {
      const token = await issuer.token()
      const values = [`${token}, Bearer ${token}`, `"${token}"`, `${token} x`, `\t${token}`, `${token}\u00ff`, '']
      for (const value of values) {
        expect(statuses(await send('/whoami', [`Authorization: Bearer ${value}`]))).toEqual([400])
      }
      expect(app.handled()).toEqual([])
    })

    it('the scheme is Bearer in any case, and no other [E3]', async () => {
      const token = await issuer.token()
      const status = async (scheme: string) => statuses(await send('/whoami', [`Authorization: ${scheme} ${token}`]))[0]
      expect(await Promise.all(['bearer', 'BEARER', 'DPoP', 'Basic'].map(status))).toEqual([200, 200, 401, 401])
    })

    it('a token that cannot be checked is answered 503, and no handler runs', async () => {
      other.setDown(true)
      app.handled()
      for (const target of ['/whoami', '/optional', '/scoped']) {
        const answer = await send(target, [bearer(await other.token())])
        expect(statuses(answer)).toEqual([503])
        expect(answer).toMatch(/\r\nretry-after: \d+\r\n/i)
      }
      expect(app.handled()).toEqual([])
    })

    it('HEAD gets the fields of the answer and no body', async () => {
      const answer = await send('/whoami', [], { method: 'HEAD' })
      expect(statuses(answer)).toEqual([401])
      expect(answer).toMatch(/\r\nwww-authenticate: Bearer\r\n/i)
      expect(answer.endsWith('\r\n\r\n')).toBe(true)
    })

    it('does not wait for the rest of a large body that is not going to be read', async () => {
      const fields = ['Connection: keep-alive', 'Content-Length: 10000000', 'Content-Type: text/x']
      const answer = await send('/body', fields, { method: 'POST' })
      expect(statuses(answer)).toEqual([401])
      expect(answer).toMatch(/\r\nconnection: close\r\n/i)
    })

    it('what the application throws arrives as it was thrown', async () => {
      expect(await sendAs('/boom')).toMatch(/^HTTP\/1\.1 500 [\s\S]*{"error":"TypeError: of the application"}/)
    })

    it('the token leaves for named destinations only', async () => {
      const token = await issuer.token()
      for (const sink of [named, unnamed]) sink.clear()
      for (const { origin } of [named, unnamed]) {
        expect(await send(`/call?${origin}/x`, [bearer(token)])).toContain('{"status":200,"caller":"alice"}')
      }
      expect(named.received.map(({ authorization }) => authorization)).toEqual([[`Bearer ${token}`]])
      expect(unnamed.received.map(({ authorization }) => authorization)).toEqual([[]])
    })

    it('interleaved callers are never taken for one another [G1]', async () => {
      named.clear()
      const subjects = Array.from({ length: 100 }, (_, i) => `user-${i}`)
      const tokens = await Promise.all(subjects.map((sub) => issuer.token({ sub })))
      const answers = await Promise.all(
        tokens.map(async (token, i) => {
          const target = i % 2 === 0 ? '/whoami' : `/call?${named.origin}/${subjects[i]}`
          const headers = { authorization: `Bearer ${token}` }
          return (await fetch(`http://127.0.0.1:${app.port}${target}`, { headers })).json() as Promise<unknown>
        }),
      )
      const expected = subjects.map((sub, i) => (i % 2 === 0 ? { callers: [sub] } : { status: 200, caller: sub }))
      expect(answers).toEqual(expected)
      const wrong = named.received.filter(({ target, authorization }) => {
        return authorization[0] !== `Bearer ${tokens[subjects.indexOf(target.slice(1))]}`
      })
      expect([named.received.length, wrong]).toEqual([50, []])
    })
  })
})
