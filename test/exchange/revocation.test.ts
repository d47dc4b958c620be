/** C5 What was revoked is exchanged for nothing, and nothing that it was exchanged for is used. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RevocationEntry } from '../../src/index.ts'
import type { Rig } from '../support/exchange-rig.ts'
import { outcome, startRig } from '../support/exchange-rig.ts'
import { waitFor } from '../support/patience.ts'

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
beforeEach(async () => {
  rig.endpoint.requests.length = 0
  rig.endpoint.answer = {}
  rig.sink.clear()
  await rig.relayWith({})
})
afterAll(() => rig[Symbol.asyncDispose]())

const asked = (): number => rig.endpoint.requests.length
const prepare = (): Promise<unknown> => outcome(rig.relay.prepare(rig.sink.origin))

const entries = (): readonly (readonly [string, RevocationEntry])[] => {
  const common = { issuer: rig.issuer.issuer, expiresAtMillis: Date.now() + 3_600_000 }
  return [
    ['the token', { ...common, tokenId: 'token-1' }],
    ['its session', { ...common, sessionId: 'session-1' }],
    ['its subject', { ...common, subject: 'alice' }],
  ]
}

describe.each(['the token', 'its session', 'its subject'])('the caller’s own: %s is revoked [C5]', (name) => {
  const revoke = (): Promise<void> =>
    rig.relay.revoke(entries().find(([each]) => each === name)?.[1] as RevocationEntry)
  const token = () => rig.issuer.token({ jti: 'token-1', sid: 'session-1' })

  it('before: nothing is exchanged', async () => {
    await rig.as(await token(), async () => {
      await revoke()
      expect([await prepare(), await rig.send(), asked()]).toEqual(['ERR_TOKEN_REVOKED', [], 0])
    })
  })

  it('after: what was got is not used, and not renewed', async () => {
    await rig.as(await token(), async () => {
      expect(await rig.send()).toHaveLength(1)
      await revoke()
      expect([await rig.send(), await prepare(), await rig.send(), asked()]).toEqual([[], 'ERR_TOKEN_REVOKED', [], 1])
    })
  })

  it('while the exchange is under way: its result is not used', async () => {
    await rig.as(await token(), async () => {
      const ready = Promise.withResolvers<void>()
      rig.endpoint.answer = { after: ready.promise }
      const [prepared, sent] = [prepare(), rig.send()]
      await waitFor(() => expect(asked()).toBe(1))
      await revoke()
      ready.resolve()
      expect([await prepared, await sent]).toEqual(['ERR_TOKEN_REVOKED', []])
    })
  })
})

describe('the exchanged one is revoked [C5]', () => {
  it('it does not leave any more, and neither does the caller’s own', async () => {
    await rig.relayWith({ rule: { onFailure: 'forward' } })
    rig.endpoint.answer = { claims: { jti: 'exchanged-1' } }
    await rig.as(await rig.issuer.token(), async () => {
      expect(await rig.send()).toHaveLength(1)
      const { issuer } = rig.issuer
      await rig.relay.revoke({ issuer, tokenId: 'exchanged-1', expiresAtMillis: Date.now() + 3_600_000 })
      expect([await rig.send(), await prepare()]).toEqual([[], 'ERR_TOKEN_REVOKED'])
    })
  })

  it('an opaque one goes with its subject', async () => {
    rig.endpoint.answer = { members: { access_token: 'b3BhcXVl' } }
    await rig.as(await rig.issuer.token(), async () => {
      expect(await rig.send()).toEqual(['b3BhcXVl'])
      const { issuer } = rig.issuer
      await rig.relay.revoke({ issuer, subject: 'alice', expiresAtMillis: Date.now() + 3_600_000 })
      expect(await rig.send()).toEqual([])
    })
  })
})

it('a list that cannot be trusted: nothing is exchanged and nothing used [C5]', async () => {
  let available = true
  const list = {
    isRevoked: () => false,
    revoke: async () => undefined,
    get available() {
      return available
    },
  }
  await rig.relayWith({ relay: { revocation: { list } } })
  await rig.as(await rig.issuer.token(), async () => {
    expect(await rig.send()).toHaveLength(1)
    available = false
    expect([await rig.send(), await prepare(), asked()]).toEqual([[], 'ERR_TOKEN_REVOCATION_UNAVAILABLE', 1])
  })
})
