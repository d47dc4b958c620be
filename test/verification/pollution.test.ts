/** An application whose `Object.prototype` is polluted: nothing that was put there is an option, a header or a claim. */

import { afterEach, describe, expect, it } from 'vitest'
import { parseOptions } from '../../src/config/options.ts'
import type { TokenRelayOptions } from '../../src/index.ts'
import { ISSUER, optionsFor, verdict, withRelay } from '../support/relay.ts'
import { createSigner, goodClaims, segment } from '../support/signer.ts'

const signer = createSigner()
const attacker = createSigner()

const POLLUTED: Readonly<Record<string, unknown>> = {
  issuers: [],
  issuer: 'https://evil.example',
  audience: null,
  jwks: { keys: [attacker.jwk] },
  jwksUri: 'https://evil.example/jwks',
  algorithms: ['none', 'HS256'],
  typ: null,
  requiredClaims: [],
  clockToleranceSeconds: 300,
  maxTokenAgeSeconds: 1,
  maxTokenBytes: 65_536,
  keySet: { timeoutMillis: 1 },
  timeoutMillis: 1,
  maxAgeMillis: 1,
  destinations: [{ to: 'https://evil.example' }],
  to: 'https://evil.example',
  allowCleartext: true,
  seal: false,
  ingress: { mode: 'off' },
  mode: 'off',
  publicPaths: ['/*'],
  fingerprintKey: 'a key of an attacker',
}

let polluted: string | undefined
function pollute(name: string, value: unknown, enumerable: boolean): void {
  polluted = name
  Object.defineProperty(Object.prototype, name, { value, enumerable, configurable: true, writable: true })
}
afterEach(() => {
  if (polluted !== undefined) Reflect.deleteProperty(Object.prototype, polluted)
  polluted = undefined
})

const ISSUERS = [{ issuer: ISSUER, audience: 'user-service' }]
const SHORT: TokenRelayOptions = { issuers: ISSUERS }
const LONG: TokenRelayOptions = { ...SHORT, issuers: [{ ...ISSUERS[0], keySet: {} } as never], ingress: {} }

describe.each([
  ['enumerable', true],
  ['not enumerable', false],
] as const)('what was put on Object.prototype, %s, is no option [H15]', (_, enumerable) => {
  describe.each([
    ['short', SHORT],
    ['long', LONG],
  ] as const)('of %s options', (_length, options) => {
    it.each(Object.keys(POLLUTED))('%s', (name) => {
      const clean = JSON.stringify(parseOptions(options))
      pollute(name, POLLUTED[name], enumerable)
      expect(JSON.stringify(parseOptions(options))).toBe(clean)
      const { issuers, ingress, fingerprintKey } = parseOptions(options)
      const [issuer] = issuers
      expect([issuer?.jwks, issuer?.jwksUri, issuer?.maxTokenAgeSeconds, ingress.mode, fingerprintKey]).toEqual([
        undefined,
        undefined,
        undefined,
        'require',
        undefined,
      ])
    })
  })
})

describe('no bad token becomes good [H15]', () => {
  const names = { alg: 'ES256', kid: 'ES256-1', typ: 'at+jwt', exp: 4e9, iat: 1, sub: 'mallory', aud: 'user-service' }
  const NAMES: Readonly<Record<string, unknown>> = {
    ...POLLUTED,
    ...names,
    iss: ISSUER,
    crit: {},
    b64: false,
    nbf: 1,
    token_use: 'access',
  }
  const BAD: readonly (readonly [string, string])[] = [
    ['unsigned', `${segment({ alg: 'none', typ: 'at+jwt' })}.${segment(goodClaims(ISSUER))}.AA`],
    ['by an attacker', attacker.token(goodClaims(ISSUER))],
    ['without alg', signer.token(goodClaims(ISSUER), { alg: undefined })],
    ['an ID token', signer.token(goodClaims(ISSUER, { nonce: 'x' }), { typ: undefined })],
    ['a logout token', signer.token(goodClaims(ISSUER), { typ: 'logout+jwt' })],
    ['without iss', signer.token(goodClaims(ISSUER, { iss: undefined }))],
    ['without exp', signer.token(goodClaims(ISSUER, { exp: undefined }))],
    ['without iat', signer.token(goodClaims(ISSUER, { iat: undefined }))],
    ['without sub', signer.token(goodClaims(ISSUER, { sub: undefined }))],
    ['without aud', signer.token(goodClaims(ISSUER, { aud: undefined }))],
    ['for others', signer.token(goodClaims(ISSUER, { aud: 'other' }))],
    ['expired', signer.token(goodClaims(ISSUER, { exp: 1 }))],
  ]

  it.each(Object.keys(NAMES))('through %s', async (name) => {
    await withRelay(optionsFor([signer.jwk]), async (relay) => {
      pollute(name, NAMES[name], false)
      const verdicts = await Promise.all(BAD.map(async ([what, token]) => [what, await verdict(relay.verify(token))]))
      expect(verdicts.filter(([, verdict]) => verdict === 'verified')).toEqual([])
    })
  })
})

it.each([
  'typ',
  'subject',
  'issuer',
  'audience',
  'maxTokenAge',
  'clockTolerance',
  'currentDate',
])('a good token stays good through %s [H15]', async (name) => {
  const token = signer.token(goodClaims(ISSUER))
  await withRelay(optionsFor([signer.jwk]), async (relay) => {
    pollute(name, name === 'currentDate' ? new Date(0) : 'polluted', false)
    expect(await verdict(relay.verify(token))).toBe('verified')
  })
})
