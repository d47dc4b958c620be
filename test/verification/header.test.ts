/** What a token header may not say, however well the token is signed. */

import { createHmac } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { IssuerOptions } from '../../src/index.ts'
import { ISSUER, optionsFor, refusal, withRelay } from '../support/relay.ts'
import type { Part, SigningAlgorithm } from '../support/signer.ts'
import { createSigner, goodClaims, segment } from '../support/signer.ts'
import { startSink } from '../support/sink.ts'

const signer = createSigner()
const attacker = createSigner('ES256', signer.jwk['kid'] as string)
const verify = (token: string, issuer: Partial<IssuerOptions> = {}): Promise<unknown> =>
  withRelay(optionsFor([signer.jwk], issuer), (relay) => relay.verify(token))
/** Signed by the real key, so that nothing but the header can be the reason. */
const signedWith = (header: Part): string => signer.token(goodClaims(ISSUER), header)

describe('refuses a token without an algorithm [A1]', () => {
  const SPELLINGS: readonly (readonly [string, unknown])[] = [
    ['none', 'none'],
    ['None', 'None'],
    ['nOnE', 'nOnE'],
    ['NONE', 'NONE'],
    ['an empty name', ''],
    ['no alg', undefined],
    ['null', null],
    ['a list', ['none']],
    ['a list with a good one', ['ES256']],
    ['a good one with a space', ' ES256'],
    ['a good one in lower case', 'es256'],
    ['an object', { name: 'ES256' }],
  ]

  it.each(SPELLINGS)('%s, with a real signature', async (_, alg) => {
    await expect(verify(signedWith({ alg }))).rejects.toMatchObject(refusal('ERR_TOKEN_ALGORITHM'))
  })

  it.each(SPELLINGS)('%s, with an empty signature', async (_, alg) => {
    const token = signedWith({ alg })
    await expect(verify(token.slice(0, token.lastIndexOf('.') + 1))).rejects.toMatchObject(
      refusal('ERR_TOKEN_MALFORMED'),
    )
  })
})

describe.each([
  'RS256',
  'ES256',
  'EdDSA',
] as SigningAlgorithm[])('refuses HMAC over the public key of %s [A2]', (alg) => {
  const own = createSigner(alg)
  const pem = own.publicKey.export({ type: 'spki', format: 'pem' }) as string
  const jwk = JSON.stringify(own.jwk)

  it.each<readonly [string, string | Buffer]>([
    ['PEM', pem],
    ['PEM with CRLF', pem.replaceAll('\n', '\r\n')],
    ['PEM without the last line break', pem.trimEnd()],
    ['PEM after a space', ` ${pem}`],
    ['DER', own.publicKey.export({ type: 'spki', format: 'der' })],
    ['a JWK', jwk],
    ['a JWK Set', `{"keys":[${jwk}]}`],
    ['the bare number', Buffer.from(String(own.jwk['n'] ?? own.jwk['x']), 'base64url')],
  ])('as %s', async (_, secret) => {
    for (const [name, hash] of [
      ['HS256', 'sha256'],
      ['HS384', 'sha384'],
      ['HS512', 'sha512'],
    ] as const) {
      const input = `${segment({ alg: name, kid: own.jwk['kid'], typ: 'at+jwt' })}.${segment(goodClaims(ISSUER))}`
      const token = `${input}.${createHmac(hash, secret).update(input).digest('base64url')}`
      await withRelay(optionsFor([own.jwk]), async (relay) => {
        await expect(relay.verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_ALGORITHM'))
      })
    }
  })
})

it('refuses a token that brings its own key [A4]', async () => {
  const token = attacker.token(goodClaims(ISSUER), { jwk: attacker.jwk })
  await expect(verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_HEADER'))
  await expect(verify(signedWith({ jwk: signer.jwk }))).rejects.toMatchObject(refusal('ERR_TOKEN_HEADER'))
})

describe('asks no server that the token names [A5]', () => {
  it.each(['jku', 'x5u'])('%s of a server that would answer', async (name) => {
    await using sink = await startSink()
    const token = attacker.token(goodClaims(ISSUER), { [name]: `${sink.origin}/jwks` })
    await expect(verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_HEADER'))
    expect(sink.received).toEqual([])
    expect(sink.bytes()).toBe('')
  })

  it.each([
    'https://id.example.evil.example/jwks',
    'https://id.example@evil.example/jwks',
    'file:///etc/passwd',
    'http://169.254.169.254/latest/meta-data',
    '',
    null,
    7,
  ])('jku %j', async (jku) => {
    await expect(verify(signedWith({ jku }))).rejects.toMatchObject(refusal('ERR_TOKEN_HEADER'))
  })
})

describe('takes no key from a certificate [A6]', () => {
  it('x5c is refused', async () => {
    const x5c = [attacker.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')]
    await expect(verify(attacker.token(goodClaims(ISSUER), { x5c }))).rejects.toMatchObject(refusal('ERR_TOKEN_HEADER'))
  })

  it('x5t is ignored', async () => {
    const x5t = 'x'.repeat(27)
    await expect(verify(attacker.token(goodClaims(ISSUER), { x5t }))).rejects.toMatchObject(
      refusal('ERR_TOKEN_SIGNATURE'),
    )
    expect(await verify(signedWith({ x5t }))).toMatchObject({ subject: 'alice' })
  })
})

describe('finds no key for [A7]', () => {
  it.each([
    ['a path', '../../dev/null'],
    ['SQL', "' UNION SELECT 'x' --"],
    ['a NUL', 'ES256-1\0'],
    ['a line break', 'ES256-1\r\nx: y'],
    ['__proto__', '__proto__'],
    ['constructor', 'constructor'],
    ['an empty name', ''],
    ['another case', 'es256-1'],
    ['a space more', 'ES256-1 '],
  ])('%s', async (_, kid) => {
    await expect(verify(signedWith({ kid }))).rejects.toMatchObject(refusal('ERR_TOKEN_KEY'))
  })

  it.each([
    ['a number', 1],
    ['null', null],
    ['an object', { toString: 'ES256-1' }],
    ['a list', ['ES256-1']],
    ['a long text', 'x'.repeat(257)],
  ])('%s: the header is refused [A7]', async (_, kid) => {
    await expect(verify(signedWith({ kid }))).rejects.toMatchObject(refusal('ERR_TOKEN_HEADER'))
  })

  it('a megabyte', async () => {
    await expect(verify(signedWith({ kid: 'x'.repeat(1_048_576) }))).rejects.toMatchObject(
      refusal('ERR_TOKEN_TOO_LARGE'),
    )
  })
})

it('a token without kid is verified with the only key', async () => {
  expect(await verify(signedWith({ kid: undefined }))).toMatchObject({ subject: 'alice' })
})

it.each([
  ['an unknown name', { crit: ['exp'], exp: 1 }],
  ['an empty list', { crit: [] }],
  ['a text', { crit: 'exp' }],
  ['a registered name', { crit: ['alg'] }],
  ['a name twice', { crit: ['x', 'x'], x: 1 }],
  ['an absent parameter', { crit: ['x'] }],
  ['__proto__', { crit: ['__proto__'] }],
  ['null', { crit: null }],
])('refuses crit: %s [A8]', async (_, header) => {
  await expect(verify(signedWith(header))).rejects.toMatchObject(refusal('ERR_TOKEN_HEADER'))
})

describe('refuses an unencoded payload (RFC 7797) [A9]', () => {
  it.each([
    ['b64 false with crit', { b64: false, crit: ['b64'] }],
    ['b64 false without crit', { b64: false }],
    ['b64 true', { b64: true }],
  ])('%s', async (_, header) => {
    await expect(verify(signedWith(header))).rejects.toMatchObject(refusal('ERR_TOKEN_HEADER'))
  })

  it('with the raw payload', async () => {
    const header = segment({ alg: 'ES256', kid: 'ES256-1', typ: 'at+jwt', b64: false, crit: ['b64'] })
    const input = `${header}.${JSON.stringify(goodClaims(ISSUER))}`
    await expect(verify(`${input}.${signer.signature(input)}`)).rejects.toMatchObject(refusal('ERR_TOKEN_MALFORMED'))
  })
})

it('inflates nothing [A10]', async () => {
  const deflated = deflateRawSync(JSON.stringify(goodClaims(ISSUER)))
  await expect(verify(signer.token(deflated, { zip: 'DEF' }))).rejects.toMatchObject(refusal('ERR_TOKEN_MALFORMED'))
  await expect(verify(signedWith({ zip: 'DEF' }))).rejects.toMatchObject(refusal('ERR_TOKEN_HEADER'))
})

it('refuses a token in a token, and an encrypted one [A11]', async () => {
  const inner = signer.token(goodClaims(ISSUER))
  await expect(verify(signer.token(inner, { cty: 'JWT' }))).rejects.toMatchObject(refusal('ERR_TOKEN_MALFORMED'))
  const jwe = [segment({ alg: 'RSA-OAEP', enc: 'A128GCM' }), 'AA', 'AA', segment(inner), 'AA'].join('.')
  await expect(verify(jwe)).rejects.toMatchObject(refusal('ERR_TOKEN_MALFORMED'))
})

it.each(['JWT', 'jwt', 'application/jwt'])('refuses claims that say to be another token: cty %s [A11]', async (cty) => {
  await expect(verify(signer.token(goodClaims(ISSUER), { cty }))).rejects.toMatchObject(refusal('ERR_TOKEN_HEADER'))
})

const OTHER_TYPES = [
  ...['dpop+jwt', 'logout+jwt', 'secevent+jwt', 'txntoken+jwt', 'oauth-id-jag+jwt', 'token-introspection+jwt'],
  ...['oauth-authz-req+jwt', 'client-authentication+jwt', 'id_token', 'JOSE', 'at+jwt ', 'x/at+jwt', 'JWT ', 'at'],
  ...['', null, 7, ['at+jwt'], ['JWT']],
]

it.each(OTHER_TYPES)('refuses typ %j [A12]', async (typ) => {
  await expect(verify(signedWith({ typ }))).rejects.toMatchObject(refusal('ERR_TOKEN_TYPE'))
})

it.each([
  ...OTHER_TYPES,
  'JWT',
  'jwt',
  'application/jwt',
  undefined,
])('at+jwt alone refuses typ %j [A12]', async (typ) => {
  await expect(verify(signedWith({ typ }), { typ: 'at+jwt' })).rejects.toMatchObject(refusal('ERR_TOKEN_TYPE'))
})

describe('refuses the signature [A13]', () => {
  const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
  const zero = Buffer.alloc(32)
  const token = signer.token(goodClaims(ISSUER))
  const input = token.slice(0, token.lastIndexOf('.'))
  const real = Buffer.from(token.slice(input.length + 1), 'base64url')
  const [r, s] = [real.subarray(0, 32), real.subarray(32)]
  const integer = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([2, 33, 0]), bytes])

  it.each([
    ['r = s = 0', [zero, zero]],
    ['r = 0', [zero, s]],
    ['s = 0', [r, zero]],
    ['r = n', [order, s]],
    ['s = n', [r, order]],
    ['r = s = n', [order, order]],
    ['all ones', [Buffer.alloc(64, 0xff)]],
    ['r and s exchanged', [s, r]],
    ['one byte less', [real.subarray(0, 63)]],
    ['one byte more', [real, Buffer.alloc(1)]],
    ['one byte alone', [Buffer.alloc(1)]],
    ['DER', [Buffer.from([0x30, 70]), integer(r), integer(s)]],
    ['twice', [real, real]],
    ['of another token', [Buffer.from(attacker.signature(input), 'base64url')]],
  ])('%s', async (_, parts) => {
    const forged = `${input}.${Buffer.concat(parts).toString('base64url')}`
    await expect(verify(forged)).rejects.toMatchObject(refusal('ERR_TOKEN_SIGNATURE'))
  })

  it('after any change of the claims', async () => {
    const changed = `${input.split('.')[0]}.${segment(goodClaims(ISSUER, { sub: 'mallory' }))}`
    await expect(verify(`${changed}.${real.toString('base64url')}`)).rejects.toMatchObject(
      refusal('ERR_TOKEN_SIGNATURE'),
    )
  })
})

it('refuses a good token in another spelling [A15]', async () => {
  const token = signer.token(goodClaims(ISSUER))
  for (const respelled of [`${token}=`, `${token}\n`, ` ${token}`, token.replaceAll('.', '\uff0e'), `${token}.`]) {
    await expect(verify(respelled)).rejects.toMatchObject(refusal('ERR_TOKEN_MALFORMED'))
  }
})
