/** What the claims of a correctly signed token must say. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { IssuerOptions, VerifiedCredential } from '../../src/index.ts'
import { ISSUER, optionsFor, refusal, withRelay } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const NOW = Date.parse('2026-01-02T03:04:05Z') / 1000
const signer = createSigner()

beforeEach(() => vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1000 }))
afterEach(() => vi.useRealTimers())

async function verify(
  claims: Readonly<Record<string, unknown>>,
  issuer: Partial<IssuerOptions> = {},
): Promise<VerifiedCredential> {
  const token = signer.token(goodClaims(ISSUER, claims))
  return withRelay(optionsFor([signer.jwk], issuer), (relay) => relay.verify(token))
}

/** Numbers that JSON.stringify would not write. */
async function verifyText(changes: Readonly<Record<string, string>>): Promise<VerifiedCredential> {
  const members = Object.entries(goodClaims(ISSUER)).filter(([name]) => !(name in changes))
  const texts = [...members.map(([name, value]) => [name, JSON.stringify(value)] as const), ...Object.entries(changes)]
  const token = signer.token(`{${texts.map(([name, text]) => `"${name}":${text}`).join(',')}}`)
  return withRelay(optionsFor([signer.jwk]), (relay) => relay.verify(token))
}

describe('exp', () => {
  it.each([
    ['a text', String(NOW + 300)],
    ['a date', '2030-01-01T00:00:00Z'],
    ['null', null],
    ['a list', [NOW + 300]],
    ['an object', { valueOf: NOW + 300 }],
    ['true', true],
    ['an empty text', ''],
  ])('refuses %s [B1]', async (_, exp) => {
    await expect(verify({ exp })).rejects.toMatchObject(refusal('ERR_TOKEN_CLAIM'))
  })

  it.each([0, 1, NOW - 6, NOW - 5])('has passed at %d [B1]', async (exp) => {
    await expect(verify({ exp })).rejects.toMatchObject(refusal('ERR_TOKEN_EXPIRED'))
  })

  it('is accepted late by the tolerance, and forwarded no longer', async () => {
    const credential = await verify({ exp: NOW - 4 })
    expect(credential.expiresAtMillis).toBe((NOW - 4) * 1000)
  })

  it('the tolerance can be taken away', async () => {
    const strict = { clockToleranceSeconds: 0 }
    await expect(verify({ exp: NOW }, strict)).rejects.toMatchObject(refusal('ERR_TOKEN_EXPIRED'))
    expect(await verify({ exp: NOW + 1 }, strict)).toMatchObject({ subject: 'alice' })
  })

  it('follows the wall clock when it jumps [B6]', async () => {
    const token = signer.token(goodClaims(ISSUER))
    await withRelay(optionsFor([signer.jwk]), async (relay) => {
      vi.setSystemTime((NOW + 3_600) * 1000)
      await expect(relay.verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_EXPIRED'))
      vi.setSystemTime((NOW - 3_600) * 1000)
      await expect(relay.verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_NOT_YET_VALID'))
      vi.setSystemTime(NOW * 1000)
      expect(await relay.verify(token)).toMatchObject({ subject: 'alice' })
    })
  })
})

describe('refuses what is not a number [B2]', () => {
  it.each(['exp', 'nbf', 'iat'])('%s 1e999', async (name) => {
    await expect(verifyText({ [name]: '1e999' })).rejects.toMatchObject(refusal('ERR_TOKEN_CLAIM'))
  })

  it.each(['nbf', 'iat', 'exp'])('%s -1e999', async (name) => {
    await expect(verifyText({ [name]: '-1e999' })).rejects.toMatchObject(refusal('ERR_TOKEN_CLAIM'))
  })

  it.each([-1, -NOW])('exp %d', async (exp) => {
    await expect(verify({ exp })).rejects.toMatchObject(refusal('ERR_TOKEN_CLAIM'))
  })

  it.each(['NaN', 'Infinity', '0x7fffffff', '1_000', '01'])('exp %s, which is no JSON', async (exp) => {
    await expect(verifyText({ exp })).rejects.toMatchObject(refusal('ERR_TOKEN_MALFORMED'))
  })

  it('fractions of a second are numbers (RFC 7519 §2)', async () => {
    expect(await verify({ exp: NOW + 0.5, iat: NOW - 0.5 })).toMatchObject({ expiresAtMillis: (NOW + 0.5) * 1000 })
  })
})

describe('requiredClaims', () => {
  it.each(['exp', 'iat', 'sub'])('refuses a token without %s by default [B3]', async (name) => {
    await expect(verify({ [name]: undefined })).rejects.toMatchObject(refusal('ERR_TOKEN_CLAIM'))
  })

  it('does not take an inherited member for a claim', async () => {
    const requiredClaims = ['toString', '__proto__']
    await expect(verify({}, { requiredClaims })).rejects.toMatchObject(refusal('ERR_TOKEN_CLAIM'))
  })

  it('replaces the default list', async () => {
    const requiredClaims = ['exp', 'client_id']
    await expect(verify({}, { requiredClaims })).rejects.toMatchObject(refusal('ERR_TOKEN_CLAIM'))
    expect(await verify({ client_id: 'c', sub: undefined, iat: undefined }, { requiredClaims })).toMatchObject({
      subject: undefined,
      claims: { client_id: 'c' },
    })
  })

  it('an empty list accepts a token that never expires', async () => {
    expect(await verify({ exp: undefined }, { requiredClaims: [] })).toMatchObject({
      expiresAtMillis: Number.POSITIVE_INFINITY,
    })
  })
})

it.each(['', null, 7, ['alice'], { name: 'alice' }, true])('refuses sub %j', async (sub) => {
  await expect(verify({ sub })).rejects.toMatchObject(refusal('ERR_TOKEN_CLAIM'))
})

describe('iat and nbf', () => {
  it.each(['iat', 'nbf'])('refuses a token whose %s lies beyond the tolerance [B4]', async (name) => {
    await expect(verify({ [name]: NOW + 6 })).rejects.toMatchObject(refusal('ERR_TOKEN_NOT_YET_VALID'))
    expect(await verify({ [name]: NOW + 5 })).toMatchObject({ subject: 'alice' })
  })

  it('refuses milliseconds [B4]', async () => {
    for (const name of ['iat', 'exp']) {
      await expect(verify({ [name]: NOW * 1000 })).rejects.toMatchObject(refusal('ERR_TOKEN_CLAIM'))
    }
  })

  it('refuses a token that expires before it begins [B4]', async () => {
    const expires = NOW + 60
    for (const claims of [{ nbf: expires + 6 }, { iat: expires + 6 }]) {
      const options = { clockToleranceSeconds: 5 }
      await expect(verify({ ...claims, exp: expires }, options)).rejects.toMatchObject(
        refusal('ERR_TOKEN_NOT_YET_VALID'),
      )
    }
  })

  it.each([
    { jkt: 'x'.repeat(43) },
    { 'x5t#S256': 'x'.repeat(43) },
    {},
    null,
    'x',
  ])('refuses a bound token that comes without proof: %j [B13]', async (cnf) => {
    await expect(verify({ cnf })).rejects.toMatchObject(refusal('ERR_TOKEN_BOUND'))
  })

  it.each(['iat', 'nbf'])('refuses a %s that is not a number [B1]', async (name) => {
    for (const value of [String(NOW), null, [NOW], {}, false]) {
      await expect(verify({ [name]: value }), JSON.stringify(value)).rejects.toMatchObject(refusal('ERR_TOKEN_CLAIM'))
    }
  })
})

describe('maxTokenAgeSeconds', () => {
  const limited = { maxTokenAgeSeconds: 60 }

  it('refuses a token that was issued longer ago, though it has not expired', async () => {
    await expect(verify({ iat: NOW - 66 }, limited)).rejects.toMatchObject(refusal('ERR_TOKEN_TOO_OLD'))
    expect(await verify({ iat: NOW - 65 }, limited)).toMatchObject({ subject: 'alice' })
  })

  it('needs iat, even if requiredClaims does not', async () => {
    await expect(verify({ iat: undefined }, { ...limited, requiredClaims: [] })).rejects.toMatchObject(
      refusal('ERR_TOKEN_CLAIM'),
    )
  })

  it('does not make a future iat acceptable [B4]', async () => {
    await expect(verify({ iat: NOW + 6 }, limited)).rejects.toMatchObject(refusal('ERR_TOKEN_NOT_YET_VALID'))
  })

  it('is not limited by default', async () => {
    expect(await verify({ iat: NOW - 86_400 * 365 })).toMatchObject({ subject: 'alice' })
  })
})

describe('iss', () => {
  it.each([
    ['a slash more', `${ISSUER}/`],
    ['upper case in the host', 'https://ID.example'],
    ['the default port', `${ISSUER}:443`],
    ['an escaped character', 'https://id%2Eexample'],
    ['another scheme', 'http://id.example'],
    ['a trailing dot', `${ISSUER}.`],
    ['a space', ` ${ISSUER}`],
    ['a homograph', 'https://\u0456d.example'],
    ['a longer name', `${ISSUER}.evil.example`],
    ['a list', [ISSUER]],
    ['an object', { toString: ISSUER }],
    ['null', null],
    ['a number', 7],
    ['nothing', undefined],
    ['__proto__', '__proto__'],
    ['constructor', 'constructor'],
  ])('refuses %s: it is compared to the letter [B7]', async (_, iss) => {
    await expect(verify({ iss })).rejects.toMatchObject(refusal('ERR_TOKEN_ISSUER'))
  })

  it('is compared to the letter the other way round, too [B7]', async () => {
    const issuer = `${ISSUER}/`
    await expect(verify({}, { issuer })).rejects.toMatchObject(refusal('ERR_TOKEN_ISSUER'))
    expect(await verify({ iss: issuer }, { issuer })).toMatchObject({ issuer })
  })
})

describe('aud', () => {
  it.each([
    ['another name', 'profile-service'],
    ['a prefix of ours', 'user'],
    ['a name that begins with ours', 'user-service-2'],
    ['another case', 'User-Service'],
    ['a space more', 'user-service '],
    ['a list in one text', 'user-service,profile-service'],
    ['a list without ours', ['a', 'b']],
    ['a list in a list', [['user-service']]],
    ['an empty list', []],
    ['an object', { 'user-service': true }],
    ['a number', 7],
    ['null', null],
    ['true', true],
  ])('refuses %s [B9]', async (_, aud) => {
    await expect(verify({ aud })).rejects.toMatchObject(refusal('ERR_TOKEN_AUDIENCE'))
  })

  it('refuses a token without any [B9]', async () => {
    await expect(verify({ aud: undefined })).rejects.toMatchObject(refusal('ERR_TOKEN_CLAIM'))
  })

  it('refuses a hundred thousand, ours among them, by their size [B9]', async () => {
    const aud = Array.from({ length: 100_000 }, (_, i) => (i === 99_999 ? 'user-service' : `a${i}`))
    await expect(verify({ aud })).rejects.toMatchObject(refusal('ERR_TOKEN_TOO_LARGE'))
  })

  it('accepts a list with ours in it [B9]', async () => {
    expect((await verify({ aud: ['a', 'user-service'] })).audience).toEqual(['a', 'user-service'])
  })

  it('one of several configured names is enough', async () => {
    const audience = ['user-service', 'https://user.example']
    expect((await verify({ aud: 'https://user.example' }, { audience })).audience).toEqual(['https://user.example'])
    await expect(verify({ aud: 'other' }, { audience })).rejects.toMatchObject(refusal('ERR_TOKEN_AUDIENCE'))
  })

  it('null accepts every audience, and none', async () => {
    expect((await verify({ aud: 'anything' }, { audience: null })).audience).toEqual(['anything'])
    expect((await verify({ aud: undefined }, { audience: null })).audience).toEqual([])
  })
})
