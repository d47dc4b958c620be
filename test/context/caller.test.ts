/** The caller of a request: what was decided about its token holds as long as the request, and shows nothing of the token. */

import { EventEmitter } from 'node:events'
import { inspect } from 'node:util'
import type { Context } from '@opentelemetry/api'
import { defaultTextMapGetter, ROOT_CONTEXT } from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AdmissionOptions, AdmissionRequest, TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getCredential } from '../../src/index.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const TOKEN = signer.token(goodClaims(ISSUER, { sub: 'alice' }))
const FORGED = createSigner().token(goodClaims(ISSUER, { sub: 'alice' }))

let relay: TokenRelay
beforeEach(() => {
  relay = createTokenRelay(optionsFor([signer.jwk]))
})
afterEach(() => relay.shutdown())

const requestWith = (authorization?: string): AdmissionRequest => ({
  headers: authorization === undefined ? {} : { authorization },
  lifetime: new EventEmitter(),
})
const extract = ({ headers }: AdmissionRequest): Context =>
  relay.propagator.extract(ROOT_CONTEXT, headers, defaultTextMapGetter)

async function admit(request: AdmissionRequest, options?: AdmissionOptions): Promise<string | undefined> {
  const admission = await relay.admit(request, options)
  return admission.admitted ? admission.credential?.subject : admission.error.code
}

describe('a request', () => {
  it.each([
    ['no token', undefined, 'ERR_TOKEN_MISSING'],
    ['two tokens in one field', `Bearer ${TOKEN}, Bearer ${TOKEN}`, 'ERR_TOKEN_REQUEST'],
    ['more than a token may have', `Bearer ${'a'.repeat(100_000)}`, 'ERR_TOKEN_TOO_LARGE'],
    ['a forged token', `Bearer ${FORGED}`, 'ERR_TOKEN_SIGNATURE'],
    ['a good token', `Bearer ${TOKEN}`, 'alice'],
  ])('with %s is decided the same however often it is admitted', async (_, authorization, expected) => {
    const request = requestWith(authorization)
    expect([await admit(request), await admit(request)]).toEqual([expected, expected])
  })

  it('with a token that is refused is refused where none is required, too', async () => {
    const request = requestWith(`Bearer ${FORGED}`)
    expect(await admit(request, { mode: 'optional' })).toBe('ERR_TOKEN_SIGNATURE')
    expect(await admit(requestWith(), { mode: 'optional' })).toBeUndefined()
  })

  it('whose extraction saw the first of two lines is refused', async () => {
    const request = requestWith(`Bearer ${TOKEN}`)
    extract(request)
    const line = ['Authorization', `Bearer ${TOKEN}`]
    expect(await admit({ ...request, rawHeaders: [...line, ...line] })).toBe('ERR_TOKEN_REQUEST')
  })
})

describe('an extraction from a request', () => {
  it('finds a caller that is not verified, until the request is admitted', async () => {
    const request = requestWith(`Bearer ${TOKEN}`)
    const before = extract(request)
    expect(getCredential(before)).toBeUndefined()
    expect(await admit(request)).toBe('alice')
    expect([getCredential(before)?.subject, getCredential(extract(request))?.subject]).toEqual(['alice', 'alice'])
  })

  it('finds no verified caller once the request is over', async () => {
    const request = requestWith(`Bearer ${TOKEN}`)
    expect(await admit(request)).toBe('alice')
    request.lifetime?.emit('close')
    expect(getCredential(extract(request))).toBeUndefined()
  })

  it('prints nothing of the token, verified or not [G5]', async () => {
    const request = requestWith(`Bearer ${TOKEN}`)
    const everything = { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true } as const
    const print = (): string => [inspect(extract(request), everything), JSON.stringify(extract(request))].join()
    const printed = [print(), await admit(request), print()].join()
    for (const part of TOKEN.split('.')) expect(printed).not.toContain(part)
  })
})
