/** `relay.admit`: what adapters ask, for frameworks whose servers the gate does not see or is not to guard. */

import { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AdmissionOptions, AdmissionRequest, Admitted, Refused, TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, InsufficientRoleError } from '../../src/index.ts'
import { detailOf } from '../../src/token/refusal-detail.ts'
import { optionsFor, refusal } from '../support/relay.ts'
import { deferred, signer, tokenOf } from '../support/service.ts'

const TO = 'https://named.example'
let relay: TokenRelay
beforeEach(() => {
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [{ to: TO }] })
})
afterEach(() => relay.shutdown())

const withToken = (token = tokenOf()): AdmissionRequest => ({ headers: { authorization: `Bearer ${token}` } })
async function admitted(request: AdmissionRequest, options?: AdmissionOptions): Promise<Admitted> {
  const admission = await relay.admit(request, options)
  expect(admission.admitted).toBe(true)
  return admission as Admitted
}
async function refused(request: AdmissionRequest, options?: AdmissionOptions): Promise<Refused> {
  const admission = await relay.admit(request, options)
  expect(admission.admitted).toBe(false)
  return admission as Refused
}

describe('lets in', () => {
  it('a good token, and runs what follows as its subject', async () => {
    const { credential, run } = await admitted(withToken())
    expect(credential?.subject).toBe('alice')
    expect(getActiveCredential()).toBeUndefined()
    expect(run(() => getActiveCredential())).toBe(credential)
    expect(await run(() => Promise.resolve().then(getActiveCredential))).toBe(credential)
  })

  it('at once, where the token is known', async () => {
    const token = tokenOf()
    await relay.admit(withToken(token))
    expect(relay.admit(withToken(token))).not.toBeInstanceOf(Promise)
  })

  it('a request without a token, if the mode is optional', async () => {
    const { credential, run } = await admitted({ headers: {} }, { mode: 'optional' })
    expect(credential).toBeUndefined()
    expect(run(() => getActiveCredential())).toBeUndefined()
    const other = await admitted(withToken())
    expect(other.run(() => run(() => getActiveCredential()))).toBeUndefined()
  })
})

describe('refuses', () => {
  it.each<readonly [string, AdmissionRequest, AdmissionOptions | undefined, string, number]>([
    ['a request without a token', { headers: {} }, undefined, 'ERR_TOKEN_MISSING', 401],
    ['a bad token', withToken('a.b.c'), undefined, 'ERR_TOKEN_MALFORMED', 401],
    ['a bad token in mode optional', withToken('a.b.c'), { mode: 'optional' }, 'ERR_TOKEN_MALFORMED', 401],
    [
      'a request without a token in an unknown mode',
      { headers: {} },
      { mode: 'Optional' as never },
      'ERR_TOKEN_MISSING',
      401,
    ],
    ['a request without a token in mode off', { headers: {} }, { mode: 'off' as never }, 'ERR_TOKEN_MISSING', 401],
    ['a request without a token in no mode', { headers: {} }, null as never, 'ERR_TOKEN_MISSING', 401],
    ['what is no request', undefined as never, undefined, 'ERR_TOKEN_UNDECIDED', 503],
    ['what has no headers', {} as never, { mode: 'optional' }, 'ERR_TOKEN_UNDECIDED', 503],
    [
      'two lines of which the server shows one [E1]',
      { ...withToken(), rawHeaders: ['Authorization', `Bearer ${tokenOf()}`, 'AUTHORIZATION', 'Basic eDp5'] },
      undefined,
      'ERR_TOKEN_REQUEST',
      400,
    ],
    [
      'two lines of which the server shows none [E1]',
      { headers: {}, rawHeaders: ['authorization', 'a', 'authorization', 'b'] },
      { mode: 'optional' },
      'ERR_TOKEN_REQUEST',
      400,
    ],
  ])('%s', async (_, request, options, code, status) => {
    const { error, answer } = await refused(request, options)
    expect(error.code).toBe(code)
    expect(answer.status).toBe(status)
  })

  it('a request without a token, whatever Object.prototype says [H15]', async () => {
    const prototype = Object.prototype as unknown as Record<string, unknown>
    prototype['mode'] = 'optional'
    try {
      expect((await refused({ headers: Object.create(null) as IncomingHttpHeaders })).error.code).toBe(
        'ERR_TOKEN_MISSING',
      )
      expect((await refused({ headers: {} }, {})).error.code).toBe('ERR_TOKEN_MISSING')
    } finally {
      delete prototype['mode']
    }
  })

  it('a request without a token by an answer without a reason, a missing scope by one that names it', async () => {
    const nobody = await refused({ headers: {} })
    expect(nobody.answer.headers['www-authenticate']).toBe('Bearer')
    const { credential } = await admitted(withToken(tokenOf({ scope: 'a b' })))
    expect(relay.checkScopes(credential, ['a', 'b'])).toBeUndefined()
    const lacking = relay.checkScopes(credential, ['a', 'c'])
    expect(lacking?.error.code).toBe('ERR_TOKEN_SCOPE')
    expect(lacking?.answer.headers['www-authenticate']).toBe('Bearer error="insufficient_scope", scope="a c"')
    expect(relay.checkScopes(undefined, [])?.error.code).toBe('ERR_TOKEN_MISSING')
    expect(relay.checkScopes(credential, ['a', { anyOf: ['c', 'b'] }])).toBeUndefined()
    const lackingAll = relay.checkScopes(credential, ['a', { anyOf: ['c', 'd'] }])
    expect(lackingAll?.error).toMatchObject({ code: 'ERR_TOKEN_SCOPE', requiredScopes: ['a', 'c', 'd'] })
    expect(detailOf(lackingAll?.error ?? {})).toEqual({
      found: 'it lacks one of "c", "d"',
      expected: 'the route requires "a", one of "c", "d"',
    })
  })

  it('a caller of whom something unknown is required, whatever Object.prototype says [H15]', async () => {
    const { credential } = await admitted(withToken(tokenOf({ scope: 'a', roles: ['a'] })))
    const prototype = Object.prototype as unknown as Record<string, unknown>
    prototype['anyOf'] = ['a']
    try {
      expect(relay.checkScopes(credential, [{} as never])?.error.code).toBe('ERR_TOKEN_SCOPE')
      expect(relay.checkRoles(credential, [{} as never])?.error.code).toBe('ERR_TOKEN_ROLE')
    } finally {
      delete prototype['anyOf']
    }
  })

  it('a missing role by an answer that names neither role nor scope', async () => {
    const { credential } = await admitted(withToken(tokenOf({ roles: ['editor'], scope: 'admin' })))
    expect(relay.checkRoles(credential, ['editor', { anyOf: ['admin', 'editor'] }])).toBeUndefined()
    const lacking = relay.checkRoles(credential, [{ anyOf: ['admin', 'owner'] }])
    expect(lacking?.error).toBeInstanceOf(InsufficientRoleError)
    expect(lacking?.error).toMatchObject(refusal('ERR_TOKEN_ROLE'))
    expect(lacking?.answer).toMatchObject({
      status: 403,
      headers: { 'www-authenticate': 'Bearer error="insufficient_scope"' },
    })
    expect(detailOf(lacking?.error ?? {})?.found).toBe('it lacks one of "admin", "owner"')
    expect(relay.checkRoles(undefined, [])?.error.code).toBe('ERR_TOKEN_MISSING')
  })

  it.each([
    {},
    { anyOf: [] },
    { anyOf: 'a' },
    { anyof: ['a'] },
    { anyOf: { 0: 'a' } },
    ['a'],
  ])('a caller of whom something unknown is required: %j', async (required) => {
    const { credential } = await admitted(withToken(tokenOf({ scope: 'a', roles: ['a'] })))
    expect(relay.checkScopes(credential, [required as never])?.error.code).toBe('ERR_TOKEN_SCOPE')
    expect(relay.checkRoles(credential, [required as never])?.error.code).toBe('ERR_TOKEN_ROLE')
  })

  it.each([
    'a"b',
    'a\\b',
    'a\r\nx: y',
    'ä',
  ])('a scope that would break the challenge is left out: %j [F9]', async (scope) => {
    const { credential } = await admitted(withToken())
    const answer = relay.checkScopes(credential, [scope])?.answer
    expect(answer?.status).toBe(403)
    expect(answer?.headers['www-authenticate']).toBe('Bearer error="insufficient_scope"')
  })
})

it('two lines of Authorization that are found while the first is being verified refuse it', async () => {
  await relay.shutdown()
  const { issuers } = optionsFor([signer.jwk])
  const [asked, resolved] = [deferred(), deferred()]
  const resolveIssuer = async () => {
    asked.resolve()
    await resolved.promise
    return issuers[0]
  }
  relay = createTokenRelay({ issuers: [], resolveIssuer } as never)
  const { headers } = withToken()
  const admission = relay.admit({ headers })
  await asked.promise
  const rawHeaders = ['Authorization', String(headers.authorization), 'authorization', 'Bearer other']
  const second = relay.admit({ headers, rawHeaders })
  resolved.resolve()
  for (const each of [admission, second]) expect(await each).toMatchObject({ error: { code: 'ERR_TOKEN_REQUEST' } })
})

describe('the end of the request', () => {
  it.each<readonly [string, (lifetime: EventEmitter) => void]>([
    ['after it was let in', () => undefined],
    ['that had come before', (lifetime) => Object.assign(lifetime, { destroyed: true })],
  ])('is the end of its token: one %s', async (_, prepare) => {
    const lifetime = new EventEmitter()
    prepare(lifetime)
    const { run } = await admitted({ ...withToken(), lifetime })
    if (!Object.hasOwn(lifetime, 'destroyed')) {
      expect(run(() => relay.explain(TO))).toMatchObject({ verdict: 'forward' })
      lifetime.emit('close')
    }
    expect(run(() => relay.explain(TO))).toMatchObject({ verdict: 'withhold', reason: 'detached' })
  })

  it('counts when it comes while the token is verified', async () => {
    const lifetime = new EventEmitter()
    const pending = relay.admit({ ...withToken(), lifetime })
    expect(pending).toBeInstanceOf(Promise)
    lifetime.emit('close')
    const { run } = (await pending) as Admitted
    expect(run(() => relay.explain(TO))).toMatchObject({ reason: 'detached' })
  })
})
