/** Errors of a verification are ours, and hold nothing of the token, of our configuration or of the libraries below. */

import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { TokenErrorCode } from '../../src/index.ts'
import { TokenError } from '../../src/index.ts'
import { ISSUER, optionsFor, refusal, withRelay } from '../support/relay.ts'
import type { Part } from '../support/signer.ts'
import { createSigner, goodClaims, segment } from '../support/signer.ts'

const MARKER = 'm4rk3r0fS3cr3t'
const signer = createSigner()
const attacker = createSigner('ES256', 'ES256-1')
const past = Math.floor(Date.now() / 1000) - 3_600
const marked = (changes: Record<string, unknown> = {}, header: Part = {}): string =>
  signer.token(goodClaims(ISSUER, { sub: MARKER, [MARKER]: MARKER, ...changes }), header)

const CASES: Readonly<Partial<Record<TokenErrorCode, string>>> = {
  ERR_TOKEN_MALFORMED: `${segment(`{"${MARKER}":1}`)}.${MARKER}.${MARKER}`,
  ERR_TOKEN_TOO_LARGE: marked({ p: MARKER.repeat(1_000) }),
  ERR_TOKEN_HEADER: marked({}, { crit: [MARKER], [MARKER]: 1 }),
  ERR_TOKEN_ALGORITHM: marked({}, { alg: MARKER }),
  ERR_TOKEN_TYPE: marked({}, { typ: MARKER }),
  ERR_TOKEN_ISSUER: marked({ iss: `https://${MARKER}.example` }),
  ERR_TOKEN_KEY: marked({}, { kid: MARKER }),
  ERR_TOKEN_SIGNATURE: attacker.token(goodClaims(ISSUER, { sub: MARKER })),
  ERR_TOKEN_AUDIENCE: marked({ aud: MARKER }),
  ERR_TOKEN_EXPIRED: marked({ exp: past }),
  ERR_TOKEN_NOT_YET_VALID: marked({ nbf: 4_000_000_000 }),
  ERR_TOKEN_TOO_OLD: marked({ iat: past }),
  ERR_TOKEN_CLAIM: marked({ exp: MARKER }),
}

async function errorOf(token: string): Promise<unknown> {
  return withRelay(optionsFor([signer.jwk], { maxTokenAgeSeconds: 60 }), (relay) =>
    relay.verify(token).then(
      () => undefined,
      (error: unknown) => error,
    ),
  )
}

describe.each(Object.entries(CASES) as [TokenErrorCode, string][])('%s', (code, token) => {
  it('has the code and the message of the table', async () => {
    const error = await errorOf(token)
    expect(error).toBeInstanceOf(TokenError)
    expect(error).toMatchObject(refusal(code))
  })

  it('holds nothing of the token, of what was expected, or of a cause [G5, G8]', async () => {
    const error = await errorOf(token)
    const printed = [
      inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true }),
      JSON.stringify(error),
      JSON.stringify(Object.getOwnPropertyDescriptors(error)),
      String(error),
      (error as Error).stack,
    ].join('\n')
    for (const secret of [MARKER, ISSUER, 'user-service', signer.jwk['x'] as string])
      expect(printed).not.toContain(secret)
    for (const part of token.split('.')) expect(printed).not.toContain(part.slice(0, 16))
    expect('cause' in (error as object)).toBe(false)
  })
})

it('each refused token gets another error [C11]', async () => {
  await withRelay(optionsFor([signer.jwk]), async (relay) => {
    const fail = (): Promise<unknown> => relay.verify('a.b.c').catch((error: unknown) => error)
    expect(await fail()).not.toBe(await fail())
  })
})
