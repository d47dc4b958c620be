/** Tokens that are as they should be. */

import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { IssuerOptions, VerifiedCredential } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { ISSUER, optionsFor, refusal, withRelay } from '../support/relay.ts'
import type { SigningAlgorithm } from '../support/signer.ts'
import { createSigner, goodClaims, LIFE_SECONDS } from '../support/signer.ts'

const ALGORITHMS: readonly SigningAlgorithm[] = ['ES256', 'RS256', 'PS256', 'EdDSA']
const signer = createSigner()
const verify = (token: string, issuer: Partial<IssuerOptions> = {}): Promise<VerifiedCredential> =>
  withRelay(optionsFor([signer.jwk], issuer), (relay) => relay.verify(token))

beforeEach(() => vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-01-02T03:04:05Z') }))
afterEach(() => vi.useRealTimers())

describe.each(ALGORITHMS)('%s', (alg) => {
  const own = createSigner(alg)

  it('is verified with the published key', async () => {
    await withRelay(optionsFor([own.jwk]), async (relay) => {
      const credential = await relay.verify(own.token(goodClaims(ISSUER, { scope: 'a b' })))
      expect(credential).toMatchObject({
        issuer: ISSUER,
        subject: 'alice',
        audience: ['user-service'],
        scopes: ['a', 'b'],
        expiresAtMillis: Date.now() + LIFE_SECONDS * 1000,
      })
    })
  })

  it('is refused with another key of the same name', async () => {
    const other = createSigner(alg)
    await withRelay(optionsFor([own.jwk]), async (relay) => {
      await expect(relay.verify(other.token(goodClaims(ISSUER)))).rejects.toMatchObject(refusal('ERR_TOKEN_SIGNATURE'))
    })
  })
})

it('every algorithm has its key in one set', async () => {
  const signers = ALGORITHMS.map((alg) => createSigner(alg))
  await withRelay(optionsFor(signers.map(({ jwk }) => jwk)), async (relay) => {
    for (const own of signers) {
      expect(await relay.verify(own.token(goodClaims(ISSUER)))).toMatchObject({ subject: 'alice' })
    }
  })
})

describe('every algorithm that can be configured', () => {
  const MORE = ['RS384', 'RS512', 'PS384', 'PS512', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const

  it.each(MORE)('%s', async (alg) => {
    const { publicKey, privateKey } = await generateKeyPair(alg)
    const key = { ...(await exportJWK(publicKey)), alg }
    const token = await new SignJWT(goodClaims(ISSUER)).setProtectedHeader({ alg, typ: 'at+jwt' }).sign(privateKey)
    await withRelay(optionsFor([key], { algorithms: [alg] }), async (relay) => {
      expect(await relay.verify(token)).toMatchObject({ subject: 'alice' })
    })
  })

  it.each([
    ['EdDSA', 'Ed25519'],
    ['Ed25519', 'EdDSA'],
  ])('a key for %s verifies %s, which is the same (RFC 9864)', async (name, alg) => {
    const { publicKey, privateKey } = await generateKeyPair(alg)
    const key = { ...(await exportJWK(publicKey)), alg: name }
    const token = await new SignJWT(goodClaims(ISSUER)).setProtectedHeader({ alg, typ: 'at+jwt' }).sign(privateKey)
    await withRelay(optionsFor([key], { algorithms: [alg] }), async (relay) => {
      expect(await relay.verify(token)).toMatchObject({ subject: 'alice' })
    })
  })
})

it('keeps all claims, also those it does not know', async () => {
  const claims = goodClaims(ISSUER, { email: 'alice@example.com', nested: { list: [1, { a: null }] }, äöü: '✓' })
  expect((await verify(signer.token(claims))).claims).toEqual(claims)
})

it('the fingerprint is the same for one token in two services, and another for another token', async () => {
  const [first, second] = [signer.token(goodClaims(ISSUER)), signer.token(goodClaims(ISSUER, { sub: 'bob' }))]
  const [one, again, other] = [await verify(first), await verify(first), await verify(second)]
  expect(one.fingerprint).toMatch(/^[0-9a-f]{16}$/)
  expect(again.fingerprint).toBe(one.fingerprint)
  expect(other.fingerprint).not.toBe(one.fingerprint)
})

it('the second spelling of an ECDSA signature has the same fingerprint [A14]', async () => {
  const token = signer.token(goodClaims(ISSUER))
  const signature = Buffer.from(token.slice(token.lastIndexOf('.') + 1), 'base64url')
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const s = order - BigInt(`0x${signature.subarray(32).toString('hex')}`)
  const twin = Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')])
  const twinToken = token.slice(0, token.lastIndexOf('.') + 1) + twin.toString('base64url')
  expect(twinToken).not.toBe(token)
  expect((await verify(twinToken)).fingerprint).toBe((await verify(token)).fingerprint)
})

describe('algorithms', () => {
  it('an algorithm that is not in the list is refused before any key is looked up', async () => {
    await expect(verify(signer.token(goodClaims(ISSUER)), { algorithms: ['RS256', 'EdDSA'] })).rejects.toMatchObject(
      refusal('ERR_TOKEN_ALGORITHM'),
    )
  })

  it('an algorithm in the list is accepted', async () => {
    expect(await verify(signer.token(goodClaims(ISSUER)), { algorithms: ['ES256'] })).toMatchObject({
      subject: 'alice',
    })
  })

  it.each(['ES384', 'RS512', 'PS384'])('%s is refused by default', async (alg) => {
    const token = signer.token(goodClaims(ISSUER), { alg })
    await expect(verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_ALGORITHM'))
  })

  it.each([
    ['RS256', 'PS256'],
    ['PS256', 'RS256'],
  ] as const)('a key for %s verifies no %s [A3]', async (keyAlg, tokenAlg) => {
    const own = createSigner(tokenAlg, 'rsa')
    await withRelay(optionsFor([{ ...own.jwk, alg: keyAlg }]), async (relay) => {
      await expect(relay.verify(own.token(goodClaims(ISSUER)))).rejects.toMatchObject(refusal('ERR_TOKEN_KEY'))
    })
  })

  it('a key for encryption verifies nothing [A3]', async () => {
    const options = optionsFor([{ ...signer.jwk, use: 'enc' }])
    expect(() => createTokenRelay(options)).toThrow('issuers[0].jwks.keys[0]: expected a public signature key')
  })
})

describe('typ', () => {
  const RFC_9068 = ['at+jwt', 'AT+JWT', 'application/at+jwt', 'Application/At+Jwt']

  it.each([...RFC_9068, 'JWT', 'jwt', 'application/jwt', undefined])('accepts %s by default', async (typ) => {
    const token = signer.token(goodClaims(ISSUER), { typ })
    expect(await verify(token)).toMatchObject({ subject: 'alice' })
    expect(await verify(token, { typ: null })).toMatchObject({ subject: 'alice' })
  })

  it.each(RFC_9068)('at+jwt alone accepts %s', async (typ) => {
    expect(await verify(signer.token(goodClaims(ISSUER), { typ }), { typ: 'at+jwt' })).toMatchObject({
      subject: 'alice',
    })
  })

  it('a list accepts each of its types, and no token without one', async () => {
    const own = { typ: ['at+jwt', 'application/custom+jwt'] }
    for (const typ of ['at+jwt', 'custom+jwt']) {
      expect(await verify(signer.token(goodClaims(ISSUER), { typ }), own)).toMatchObject({ subject: 'alice' })
    }
    for (const typ of ['JWT', undefined]) {
      await expect(verify(signer.token(goodClaims(ISSUER), { typ }), own)).rejects.toMatchObject(
        refusal('ERR_TOKEN_TYPE'),
      )
    }
  })

  it('another typ can be asked for, and is then the only one', async () => {
    const own = { typ: 'application/Custom+jwt' }
    expect(await verify(signer.token(goodClaims(ISSUER), { typ: 'custom+JWT' }), own)).toMatchObject({
      subject: 'alice',
    })
    await expect(verify(signer.token(goodClaims(ISSUER)), own)).rejects.toMatchObject(refusal('ERR_TOKEN_TYPE'))
  })
})

describe('maxTokenBytes', () => {
  const padded = (length: number): string => {
    const token = signer.token(goodClaims(ISSUER, { p: '' }))
    return signer.token(goodClaims(ISSUER, { p: 'x'.repeat(Math.ceil(((length - token.length) * 3) / 4)) }))
  }

  it('a longer token is refused, even with a good signature', async () => {
    const token = padded(600)
    await expect(verify(token, { maxTokenBytes: token.length - 1 })).rejects.toMatchObject(
      refusal('ERR_TOKEN_TOO_LARGE'),
    )
    expect(await verify(token, { maxTokenBytes: token.length })).toMatchObject({ subject: 'alice' })
  })

  it('is 8192 by default [B12]', async () => {
    await expect(verify(padded(8_200))).rejects.toMatchObject(refusal('ERR_TOKEN_TOO_LARGE'))
    expect(await verify(padded(8_100))).toMatchObject({ subject: 'alice' })
  })

  it('is kept for each issuer, when several have their own', async () => {
    const other = createSigner('ES256', 'other')
    const small = { issuer: 'https://small.example', audience: null, jwks: { keys: [other.jwk] }, maxTokenBytes: 256 }
    const issuers = [...optionsFor([signer.jwk]).issuers, small]
    await withRelay({ issuers }, async (relay) => {
      const token = other.token(goodClaims(small.issuer, { p: 'x'.repeat(200) }))
      await expect(relay.verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_TOO_LARGE'))
    })
  })
})

it.each([[undefined], [null], [7], [{}], [['a.b.c']], ['']])('%j is not a token', async (value) => {
  await expect(verify(value as string)).rejects.toMatchObject(refusal('ERR_TOKEN_MALFORMED'))
})
