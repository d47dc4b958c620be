/** A token in clear text is none where it has to be sealed, and a sealed one is none where bearer tokens are read. */

import type { Context } from '@opentelemetry/api'
import { context, defaultTextMapGetter, defaultTextMapSetter, propagation, ROOT_CONTEXT } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import {
  createTokenRelay,
  getActiveCredential,
  runAsCaller,
  setCredential,
  setDestination,
  setSource,
} from '../../src/index.ts'
import { ISSUER, optionsFor, verdict } from '../support/relay.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const token = signer.token(goodClaims(ISSUER))

let relay: TokenRelay
let alices: Context
beforeAll(async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  relay = createTokenRelay({
    ...optionsFor([signer.jwk]),
    destinations: [{ to: 'kafka:orders' }, { to: 'kafka:clear', seal: false }, { to: 'grpcs://grpc.example' }],
    sealing: { keys: [{ kid: 'orders-1', secret: randomSecret() }] },
  })
  propagation.setGlobalPropagator(relay.propagator)
  alices = setCredential(ROOT_CONTEXT, await relay.verify(token))
})
afterAll(async () => {
  await relay.shutdown()
  propagation.disable()
  context.disable()
})

type Headers = Record<string, unknown>

function produce(): Headers {
  const headers: Headers = {}
  propagation.inject(setDestination(alices, 'kafka:orders'), headers, defaultTextMapSetter)
  return headers
}
const consume = (headers: Headers, source = 'kafka:orders'): Context =>
  propagation.extract(setSource(ROOT_CONTEXT, source), headers, defaultTextMapGetter)
/** Who the handler of a message runs as, or the code of the error that kept it from running. */
const outcomeOf = (ctx: Context): Promise<unknown> =>
  runAsCaller(ctx, () => getActiveCredential()?.subject).catch((error: { code?: unknown }) => error.code)

describe('no downgrade', () => {
  const clear = (): Headers => ({ authorization: `Bearer ${token}` })

  it.each([
    'kafka:orders',
    'kafka:not-named',
    'grpcs://grpc.example',
    'not a source',
    'kafka:*',
  ])('a token in clear text from %s is refused', async (source) => {
    expect(await outcomeOf(consume(clear(), source))).toBe('ERR_TOKEN_SEAL')
  })

  it('is accepted where the rule says seal: false; one that was sealed for elsewhere is not, there either', async () => {
    expect(await outcomeOf(consume(clear(), 'kafka:clear'))).toBe('alice')
    expect(await outcomeOf(consume(produce(), 'kafka:clear'))).toBe('ERR_TOKEN_SEAL')
  })

  it.each<readonly [string, unknown]>([
    ['two tokens', ['Sealed a', 'Sealed b']],
    ['a list in a text', 'Sealed a, Bearer b'],
    ['the scheme alone', 'Sealed'],
    ['a number', 7],
  ])('%s: refused', async (_, authorization) => {
    expect(await outcomeOf(consume({ authorization }))).toBe('ERR_TOKEN_SEAL')
    expect(String(await outcomeOf(consume({ authorization }, 'kafka:clear')))).toMatch(/^ERR_TOKEN_(SEAL|REQUEST)$/)
  })

  it('a sealed token is none to a server, or to code that does not say where it was read from', async () => {
    const { authorization } = produce()
    const headers = { authorization: String(authorization) }
    expect(await relay.admit({ headers })).toMatchObject({ admitted: false, error: { code: 'ERR_TOKEN_MISSING' } })
    expect(await relay.admit({ headers: { ...headers } }, { mode: 'optional' })).toMatchObject({
      credential: undefined,
    })
    const ctx = propagation.extract(ROOT_CONTEXT, { authorization }, defaultTextMapGetter)
    expect(await outcomeOf(ctx)).toBe('ERR_TOKEN_MISSING')
    const jwe = String(authorization).slice('Sealed '.length)
    expect(await verdict(relay.verify(jwe))).toBe('ERR_TOKEN_MALFORMED')
    const bearer = await relay.admit({ headers: { authorization: `Bearer ${jwe}` } })
    expect(bearer).toMatchObject({ admitted: false, error: { code: 'ERR_TOKEN_MALFORMED' } })
  })
})
