/** Several issuers: each with its own keys and audience, and its own tokens only. */

import { describe, expect, it } from 'vitest'
import type { TokenRelayOptions } from '../../src/index.ts'
import { refusal, withRelay } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const A = 'https://a.example'
const B = 'https://b.example'
// Both publish a key of this name.
const [keyOfA, keyOfB] = [createSigner('ES256', 'key-1'), createSigner('ES256', 'key-1')]
const OPTIONS: TokenRelayOptions = {
  issuers: [
    { issuer: A, audience: 'user-service', jwks: { keys: [keyOfA.jwk] } },
    { issuer: B, audience: 'other-service', jwks: { keys: [keyOfB.jwk] }, requiredClaims: ['exp'] },
  ],
}

it('each issuer vouches for its own tokens', async () => {
  await withRelay(OPTIONS, async (relay) => {
    expect(await relay.verify(keyOfA.token(goodClaims(A)))).toMatchObject({ issuer: A })
    expect(await relay.verify(keyOfB.token(goodClaims(B, { aud: 'other-service' })))).toMatchObject({ issuer: B })
  })
})

describe('an issuer cannot speak for another one [B8]', () => {
  it.each([
    [A, 'user-service', keyOfB],
    [B, 'other-service', keyOfA],
  ])('%s', async (issuer, aud, wrongKey) => {
    await withRelay(OPTIONS, async (relay) => {
      await expect(relay.verify(wrongKey.token(goodClaims(issuer, { aud })))).rejects.toMatchObject(
        refusal('ERR_TOKEN_SIGNATURE'),
      )
    })
  })
})

it('the rules of one issuer are not those of another [C2]', async () => {
  await withRelay(OPTIONS, async (relay) => {
    const forOther = keyOfA.token(goodClaims(A, { aud: 'other-service' }))
    await expect(relay.verify(forOther)).rejects.toMatchObject(refusal('ERR_TOKEN_AUDIENCE'))
    const anonymous = { sub: undefined, iat: undefined }
    await expect(relay.verify(keyOfA.token(goodClaims(A, anonymous)))).rejects.toMatchObject(refusal('ERR_TOKEN_CLAIM'))
    const token = keyOfB.token(goodClaims(B, { ...anonymous, aud: 'other-service' }))
    expect(await relay.verify(token)).toMatchObject({ subject: undefined })
  })
})

it('an issuer that is not configured is refused, whatever its key [B8]', async () => {
  await withRelay(OPTIONS, async (relay) => {
    await expect(relay.verify(keyOfA.token(goodClaims('https://c.example')))).rejects.toMatchObject(
      refusal('ERR_TOKEN_ISSUER'),
    )
  })
})
