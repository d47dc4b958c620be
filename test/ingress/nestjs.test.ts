/** The NestJS adapter on both platforms, with the gate in front and without. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { compileNestPrograms } from '../support/nest.ts'
import type { Program } from '../support/process.ts'
import { complaintsIn, startProgram } from '../support/process.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

let issuer: TestIssuer
let named: Sink
let good: string
let bad: string
beforeAll(async () => {
  compileNestPrograms('otel-3')
  issuer = await startIssuer()
  named = await startSink()
  good = await issuer.token()
  bad = await issuer.token({ aud: 'another' })
})
afterAll(() => Promise.all([issuer, named].map((resource) => resource[Symbol.asyncDispose]())))

const SETUPS: readonly (readonly [string, readonly string[], boolean])[] = [
  ['without the gate', [], false],
  ['behind the gate', ['--require', 'otel-token-relay/register'], true],
]

describe.each(SETUPS)('%s', (_, preload, isGated) => {
  let program: Program
  beforeAll(async () => {
    const options = {
      issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
      destinations: [{ to: named.origin }],
    }
    const env: Record<string, string> = isGated
      ? {
          TOKEN_RELAY_ISSUER: issuer.issuer,
          TOKEN_RELAY_AUDIENCE: 'user-service',
          TOKEN_RELAY_DESTINATIONS: named.origin,
          TOKEN_RELAY_INGRESS_PUBLIC_PATHS: '/whole/health,/scoped/open,/open/*,/parts/unprotected',
        }
      : { RELAY_OPTIONS: JSON.stringify(options) }
    program = startProgram('nest/dist/adapter.js', { preload, env })
    await program.report('fastify parts')
  })
  afterAll(() => program[Symbol.asyncDispose]())

  describe.each(['express', 'fastify'])('on %s', (platform) => {
    beforeEach(async () => {
      await program.ask('handled')
      named.clear()
    })

    async function send(path: string, token?: string, body?: string): Promise<Response> {
      const part = path.startsWith('/parts') ? 'parts' : 'whole'
      const port = await program.report<number>(`${platform} ${part}`)
      return fetch(`http://127.0.0.1:${port}${path}`, {
        ...(body === undefined ? {} : { method: 'POST', body }),
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
      })
    }
    const read = async (path: string, token?: string, body?: string): Promise<unknown> =>
      (await send(path, token, body)).json()
    const handled = (): Promise<readonly string[]> => program.ask('handled')

    it.each([
      ['no token', () => undefined, 401, 'Bearer'],
      ['a bad token', () => bad, 401, 'Bearer error="invalid_token"'],
      ['two tokens', () => `${good}, Bearer ${good}`, 400, 'Bearer error="invalid_request"'],
    ])('answers %s as RFC 6750 says, and runs no handler', async (_title, token, code, challenge) => {
      const response = await send('/whole/me', token())
      expect([response.status, response.headers.get('www-authenticate')]).toEqual([code, challenge])
      expect(response.headers.get('content-type')).toMatch(
        isGated ? /^application\/problem\+json/ : /^application\/json/,
      )
      expect(response.headers.get('cache-control')).toBe('no-store')
      const title = code === 400 ? 'Bad Request' : 'Unauthorized'
      expect(await response.json()).toEqual({ type: 'about:blank', title, status: code })
      expect(await handled()).toEqual([])
    })

    it('runs handlers as the caller, after `await` and in parameters, bodies untouched', async () => {
      expect(await read('/whole/me', good)).toEqual({ caller: 'alice', active: 'alice' })
      const answer = await read('/whole/body', good, '{"a":1}')
      expect(answer).toEqual({ caller: null, active: 'alice', body: { a: 1 } })
    })

    it('forwards from a handler', async () => {
      expect(await read(`/whole/call?url=${named.origin}`, good)).toMatchObject({ active: 'alice', status: 200 })
      expect(named.received.map(({ authorization }) => authorization)).toEqual([[`Bearer ${good}`]])
    })

    it('requires the scopes of handler and controller, together', async () => {
      expect(await read('/whole/scoped', good)).toMatchObject({ active: 'alice' })
      expect(await read('/scoped/read', good)).toMatchObject({ active: 'alice' })
      for (const [path, scope] of [
        ['/whole/lacking', 'profiles:read profiles:write'],
        ['/scoped/write', 'profiles:write profiles:read'],
      ]) {
        const response = await send(path ?? '', good)
        const challenge = response.headers.get('www-authenticate')
        expect([response.status, challenge]).toEqual([403, `Bearer error="insufficient_scope", scope="${scope}"`])
      }
      expect(await handled()).toEqual(['scoped', 'read'])
    })

    it('requires one of several scopes and roles', async () => {
      const claims = { scope: 'profiles:write', roles: ['auditor', 'owner'] }
      expect(await read('/whole/any', await issuer.token(claims))).toMatchObject({ active: 'alice' })
      const lacking = [
        [{ ...claims, scope: 'x' }, ', scope="profiles:write profiles:read"'],
        [{ ...claims, roles: ['owner'] }, ''],
        [{ ...claims, roles: ['auditor'] }, ''],
      ] as const
      for (const [other, scope] of lacking) {
        const response = await send('/whole/any', await issuer.token(other))
        const challenge = response.headers.get('www-authenticate')
        expect([response.status, challenge]).toEqual([403, `Bearer error="insufficient_scope"${scope}`])
      }
      expect(await handled()).toEqual(['any'])
    })

    it('opens what is public, unless the handler itself wants scopes', async () => {
      const nobody = { caller: null, active: null }
      expect(await read('/whole/health')).toEqual(nobody)
      expect(await read('/open/health')).toEqual(nobody)
      expect(await read('/scoped/open')).toEqual(nobody)
      for (const path of ['/open/scoped', '/open/role']) expect((await send(path)).status).toBe(401)
      expect((await send('/open/role', good)).status).toBe(403)
      expect(await handled()).toEqual(['health', 'open health', 'open'])
    })

    it('protects parts of an application', async () => {
      for (const path of ['guarded', 'filtered']) expect((await send(`/parts/${path}`)).status).toBe(401)
      expect((await send('/parts/authenticated', bad)).status).toBe(401)
      expect(await handled()).toEqual([])
      // A guard alone decides and tells who is calling; it cannot make the handler run as the caller.
      const expected = { caller: 'alice', active: isGated ? 'alice' : null }
      expect(await read('/parts/guarded', good)).toEqual(expected)
      expect(await read('/parts/authenticated', good)).toMatchObject({ active: 'alice' })
      expect(await read('/parts/unprotected')).toEqual({ caller: null, active: null })
      if (!isGated) expect(await read('/parts/authenticated')).toMatchObject({ active: null })
    })

    it.skipIf(isGated)('leaves the last word to a filter of the application', async () => {
      const response = await send('/parts/filtered', bad)
      expect(response.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
      expect(await response.json()).toEqual({ own: 'ERR_TOKEN_AUDIENCE' })
    })

    it('is not mixed up by interleaved callers', async () => {
      const users = Array.from({ length: 20 }, (_each, i) => `user-${i}`)
      const answers = users.map(async (sub) => read('/whole/me', await issuer.token({ sub })))
      expect(await Promise.all(answers)).toEqual(users.map((sub) => ({ caller: sub, active: sub })))
    })
  })

  it('complains of nothing on stderr', () => {
    expect(complaintsIn(program.stderr())).toEqual([])
  })
})

it('lets no request pass if no relay is active', async () => {
  await using program = startProgram('nest/dist/adapter.js')
  for (const [path, name] of [
    ['/whole/me', 'express whole'],
    ['/parts/authenticated', 'fastify parts'],
  ] as const) {
    const port = await program.report<number>(name)
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization: `Bearer ${good}` } })
    expect(response.status).toBe(500)
  }
  expect(await program.ask('handled')).toEqual([])
})
