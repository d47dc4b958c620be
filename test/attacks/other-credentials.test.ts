/** Credentials beside the bearer token, and proofs of possession: none is taken for a token, and none travels. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { statuses } from '../support/raw.ts'
import type { Service } from '../support/service.ts'
import { bearer, signer, startService, tokenOf } from '../support/service.ts'

const ALICE = tokenOf()
const BOB = tokenOf({ sub: 'bob' })
const PROOF = signer.token({ htm: 'GET', htu: 'http://service/', jti: 'x', ath: 'y' }, { typ: 'dpop+jwt' })

let service: Service
beforeAll(async () => {
  service = await startService({
    handler: async (_, response) => void response.end(await (await fetch(service.sink.origin)).text()),
  })
})
afterAll(() => service[Symbol.asyncDispose]())
beforeEach(() => service.sink.clear())

async function status(fields: readonly string[], target = '/'): Promise<number | undefined> {
  return statuses(await service.send(fields, target))[0]
}

describe('another credential [F2]', () => {
  const others = [
    `Cookie: access_token=${BOB}; session=${BOB}`,
    `X-Forwarded-Access-Token: ${BOB}`,
    `X-Auth-Token: ${BOB}`,
    `Proxy-Authorization: Bearer ${BOB}`,
    `Txn-Token: ${BOB}`,
    `DPoP: ${BOB}`,
    `X-Amzn-Oidc-Data: ${BOB}`,
  ]
  it.each(others)('is no token (%#)', async (field) => {
    expect(await status([field])).toBe(401)
  })
  it.each(others)('does not travel beside one (%#)', async (field) => {
    expect(await status([bearer(ALICE), field])).toBe(200)
    expect(service.sink.received.map(({ authorization }) => authorization)).toEqual([[`Bearer ${ALICE}`]])
    expect(service.sink.bytes()).not.toContain(BOB.slice(-40))
  })
  it('in the query is none (RFC 6750 §2.3)', async () => {
    expect(await status([], `/?access_token=${BOB}`)).toBe(401)
  })
})

describe('a proof of possession [F18, F19]', () => {
  it('makes no bound token good: none can be checked yet, so none is accepted [F18]', async () => {
    const bound = tokenOf({ cnf: { jkt: 'x'.repeat(43) } })
    for (const fields of [
      [bearer(bound), `DPoP: ${PROOF}`],
      [`Authorization: DPoP ${bound}`, `DPoP: ${PROOF}`],
    ]) {
      expect(await status(fields)).toBe(401)
    }
    expect(service.sink.received).toEqual([])
  })
  it('is no token itself [F18]', async () => {
    expect(await status([bearer(PROOF)])).toBe(401)
  })
  it('is not forwarded [F19]', async () => {
    expect(await status([bearer(ALICE), `DPoP: ${PROOF}`])).toBe(200)
    expect(service.sink.bytes()).not.toContain(PROOF.slice(-40))
    expect(service.sink.bytes().toLowerCase()).not.toContain('dpop')
  })
})
