/** What an issuer's tokens may be asked for beyond the registered claims: scopes, lifetime, and rules of the application. */

import { describe, expect, it } from 'vitest'
import type { IssuerOptions, VerifiedCredential } from '../../src/index.ts'
import { InsufficientScopeError } from '../../src/index.ts'
import { ISSUER, optionsFor, refusal, withRelay } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const tokenWith = (claims: Readonly<Record<string, unknown>>): string => signer.token(goodClaims(ISSUER, claims))

async function verify(
  claims: Readonly<Record<string, unknown>>,
  issuer: Partial<IssuerOptions> = {},
): Promise<VerifiedCredential> {
  return withRelay(optionsFor([signer.jwk], issuer), (relay) => relay.verify(tokenWith(claims)))
}

describe('scopes', () => {
  it.each<[string, Readonly<Record<string, unknown>>, readonly string[]]>([
    ['scope (RFC 9068)', { scope: 'read write' }, ['read', 'write']],
    ['scp, a text (Microsoft)', { scp: 'read write' }, ['read', 'write']],
    ['scp, a list (Okta)', { scp: ['read', 'write'] }, ['read', 'write']],
    ['scope, a list', { scope: ['read', 'write'] }, ['read', 'write']],
    ['roles (RFC 9068 §2.2.3.1)', { roles: ['admin'] }, ['admin']],
    [
      'all of them, each name once',
      { scope: 'read write', scp: ['read', 'x'], roles: ['write'] },
      ['read', 'write', 'x'],
    ],
    ['white space of every length', { scope: '  read   write ' }, ['read', 'write']],
    ['nothing', {}, []],
    ['an empty text', { scope: '' }, []],
    ['what is no text', { scope: 7, scp: { read: true }, roles: [1, null, 'admin', ['x']] }, ['admin']],
  ])('%s', async (_, claims, scopes) => {
    expect([...(await verify(claims)).scopes]).toEqual(scopes)
  })

  it('are taken from the claims that are named, and from no other', async () => {
    const claims = { scope: 'a', permissions: ['b'], roles: ['c'] }
    expect((await verify(claims, { scopeClaims: ['permissions'] })).scopes).toEqual(['b'])
  })

  it('are not inherited [B11]', async () => {
    expect((await verify({}, { scopeClaims: ['toString', '__proto__', 'constructor'] })).scopes).toEqual([])
  })
})

describe('roles', () => {
  const roleClaims = ['roles', 'realm_access.roles', 'cognito:groups', 'https://id.example/roles']
  const own = [...roleClaims, 'groups.0', 'groups.1', ['resource_access', 'user.service', 'roles']]

  it.each<[string, Readonly<Record<string, unknown>>, readonly string[]]>([
    ['roles of Entra (RFC 9068 §2.2.3.1)', { roles: ['admin', 'editor'] }, ['admin', 'editor']],
    ['realm roles of Keycloak', { realm_access: { roles: ['admin'] } }, ['admin']],
    ['client roles of Keycloak', { resource_access: { 'user.service': { roles: ['admin'] } } }, ['admin']],
    ['groups of Cognito', { 'cognito:groups': ['admin'] }, ['admin']],
    ['a claim of Auth0, whose name is a URL', { 'https://id.example/roles': ['admin'] }, ['admin']],
    ['one text is one role', { roles: 'Domain Users' }, ['Domain Users']],
    ['all of them, each once', { roles: ['a', 'a'], realm_access: { roles: ['a', 'b'] } }, ['a', 'b']],
    ['nothing', {}, []],
    ['an empty list', { roles: [] }, []],
  ])('%s', async (_, claims, roles) => {
    expect((await verify(claims, { roleClaims: own })).roles).toEqual(roles)
  })

  it.each([
    ['a list with something else in it', { roles: ['admin', 7] }],
    ['a list in a list', { roles: [['admin']] }],
    ['an empty role', { roles: ['admin', ''] }],
    ['an empty text', { roles: '' }],
    ['an object', { roles: { admin: true } }],
    ['a number', { roles: 7 }],
    ['null', { roles: null }],
    ['a path through a list', { realm_access: [{ roles: ['admin'] }] }],
    ['a path through a text', { realm_access: 'roles' }],
    ['a path that ends early', { realm_access: ['admin'] }],
    ['a number as a name in a list', { groups: [['admin'], 'admin'] }],
    ['a name with a dot in place of a path', { 'realm_access.roles': ['admin'] }],
    ['a URL that was taken for a path', { 'https://id': { 'example/roles': ['admin'] } }],
    ['another client', { resource_access: { user: { service: { roles: ['admin'] } }, other: { roles: ['admin'] } } }],
  ])('a wrong shape is no role: %s', async (_, claims) => {
    expect((await verify(claims, { roleClaims: own })).roles).toEqual([])
  })

  it('are read from roles by default, and from no other claim', async () => {
    const claims = { roles: ['a'], realm_access: { roles: ['b'] }, groups: ['c'] }
    expect((await verify(claims)).roles).toEqual(['a'])
    expect((await verify(claims, { roleClaims: [] })).roles).toEqual([])
  })

  it('are frozen, and not inherited [B11]', async () => {
    const credential = await verify({ roles: ['a'] }, { roleClaims: ['roles', 'constructor.name', '__proto__.x'] })
    expect(credential.roles).toEqual(['a'])
    expect(Object.isFrozen(credential.roles)).toBe(true)
  })
})

describe('requiredScopes', () => {
  const requiredScopes = ['profiles:read', 'invoices:read']

  it('accepts a token that has them all, in any claim and order', async () => {
    expect(await verify({ scope: 'x invoices:read profiles:read' }, { requiredScopes })).toMatchObject({
      subject: 'alice',
    })
    expect(await verify({ scope: 'invoices:read', roles: ['profiles:read'] }, { requiredScopes })).toMatchObject({
      subject: 'alice',
    })
  })

  it.each([
    ['one of them', { scope: 'profiles:read' }],
    ['none', {}],
    ['a longer name', { scope: 'profiles:read2 invoices:read' }],
    ['a prefix', { scope: 'profiles: invoices:read' }],
    ['another case', { scope: 'Profiles:read invoices:read' }],
    ['both in one', { roles: ['profiles:read invoices:read'] }],
  ])('403 with %s', async (_, claims) => {
    const error = await verify(claims, { requiredScopes }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(InsufficientScopeError)
    expect(error).toMatchObject({ code: 'ERR_TOKEN_SCOPE', status: 403, requiredScopes })
  })

  it('is checked after everything else: the answer to a bad token says nothing about scopes', async () => {
    const forged = createSigner().token(goodClaims(ISSUER))
    await withRelay(optionsFor([signer.jwk], { requiredScopes }), async (relay) => {
      await expect(relay.verify(forged)).rejects.toMatchObject(refusal('ERR_TOKEN_SIGNATURE'))
    })
  })

  it('is the same error for a remembered token', async () => {
    await withRelay(optionsFor([signer.jwk], { requiredScopes }), async (relay) => {
      const token = tokenWith({ scope: 'profiles:read' })
      for (let i = 0; i < 3; i += 1) {
        await expect(relay.verify(token)).rejects.toMatchObject({ code: 'ERR_TOKEN_SCOPE', requiredScopes })
      }
    })
  })
})

describe('claimRules', () => {
  it('sees the claims, frozen, and accepts with true [B14]', async () => {
    const seen: unknown[] = []
    const claimRules = [
      (claims: Readonly<Record<string, unknown>>) => {
        seen.push(claims)
        return claims['tenant'] === 'a'
      },
    ]
    expect(await verify({ tenant: 'a' }, { claimRules })).toMatchObject({ claims: { tenant: 'a' } })
    await expect(verify({ tenant: 'b' }, { claimRules })).rejects.toMatchObject(refusal('ERR_TOKEN_RULE'))
    expect(seen).toHaveLength(2)
    for (const claims of seen) expect(Object.isFrozen(claims)).toBe(true)
  })

  it.each([
    [false],
    [undefined],
    [null],
    [1],
    ['yes'],
    [{}],
    [Promise.resolve(true)],
  ])('%j is not true', async (answer) => {
    await expect(verify({}, { claimRules: [() => answer as boolean] })).rejects.toMatchObject(refusal('ERR_TOKEN_RULE'))
  })

  it('all of them must accept, and the first that does not ends it', async () => {
    let asked = 0
    const rule = (answer: boolean) => () => {
      asked += 1
      return answer
    }
    await expect(verify({}, { claimRules: [rule(true), rule(false), rule(true)] })).rejects.toMatchObject(
      refusal('ERR_TOKEN_RULE'),
    )
    expect(asked).toBe(2)
  })

  it('one that throws leaves the token undecided, and says nothing about it', async () => {
    const claimRules = [
      () => {
        throw new Error('m4rk3r')
      },
    ]
    const error = await verify({}, { claimRules }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject(refusal('ERR_TOKEN_UNDECIDED'))
    expect(String((error as Error).stack)).not.toContain('m4rk3r')
  })

  it('one that throws says nothing about it to those who wait for the same verification either', async () => {
    const claimRules = [
      () => {
        throw new Error('m4rk3r')
      },
    ]
    await withRelay(optionsFor([signer.jwk], { claimRules }), async (relay) => {
      const token = tokenWith({})
      const errors = await Promise.all([1, 2, 3].map(() => relay.verify(token).catch((thrown: unknown) => thrown)))
      expect(new Set(errors).size).toBe(3)
      for (const error of errors) {
        expect(error).toMatchObject(refusal('ERR_TOKEN_UNDECIDED'))
        expect(String((error as Error).stack)).not.toContain('m4rk3r')
      }
    })
  })

  it('are asked about tokens that are good otherwise, and about no others', async () => {
    let asked = 0
    const claimRules = [
      () => {
        asked += 1
        return true
      },
    ]
    await withRelay(optionsFor([signer.jwk], { claimRules }), async (relay) => {
      const forged = createSigner().token(goodClaims(ISSUER))
      await expect(relay.verify(forged)).rejects.toMatchObject(refusal('ERR_TOKEN_SIGNATURE'))
      expect(asked).toBe(0)
      const token = tokenWith({})
      await relay.verify(token)
      await relay.verify(token)
      expect(asked).toBe(1)
    })
  })
})

describe('maxLifetimeSeconds', () => {
  const now = Math.floor(Date.now() / 1000)
  const limited = { maxLifetimeSeconds: 600 }

  it('refuses a token that lives longer, however it was made [B2]', async () => {
    await expect(verify({ iat: now, exp: now + 601 }, limited)).rejects.toMatchObject(refusal('ERR_TOKEN_LIFETIME'))
    expect(await verify({ iat: now, exp: now + 600 }, limited)).toMatchObject({ subject: 'alice' })
  })

  it('needs iat and exp, even if requiredClaims does not [B3]', async () => {
    for (const name of ['iat', 'exp']) {
      await expect(verify({ [name]: undefined }, { ...limited, requiredClaims: [] })).rejects.toMatchObject(
        refusal('ERR_TOKEN_CLAIM'),
      )
    }
  })
})

describe('chains of actors [B14]', () => {
  const chain = (length: number): unknown =>
    length === 0 ? undefined : { sub: `actor-${length}`, act: chain(length - 1) }

  it.each(['act', 'may_act'])('%s may be as long as a chain of services, and no longer', async (name) => {
    expect(await verify({ [name]: chain(14) })).toMatchObject({ subject: 'alice' })
    await expect(verify({ [name]: chain(17) })).rejects.toMatchObject(
      expect.objectContaining({ code: expect.stringMatching(/^ERR_TOKEN_(CLAIM|MALFORMED)$/) }) as object,
    )
  })

  it.each([
    ['a service'],
    [['a']],
    [7],
    [null],
    [{ act: 'x' }],
    [{ act: { act: null } }],
  ])('%j is not one', async (act) => {
    await expect(verify({ act })).rejects.toMatchObject(refusal('ERR_TOKEN_CLAIM'))
  })

  it('are handed out as the issuer vouched for them', async () => {
    const act = { sub: 'gateway', act: { sub: 'shop' } }
    expect((await verify({ act })).claims['act']).toEqual(act)
  })
})
