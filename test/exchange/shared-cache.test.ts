/** What other processes have exchanged: used as if the issuer had just answered, or not at all. */

import { context } from '@opentelemetry/api'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { OptionError } from '../../src/base/option-checks.ts'
import { parseOptions } from '../../src/config/options.ts'
import { isTracingSuppressed } from '../../src/telemetry/suppression.ts'
import { claimsOf, outcome } from '../support/exchange-rig.ts'
import { waitFor } from '../support/patience.ts'
import { HAS_REDIS } from '../support/redis.ts'
import { P256, randomSecret } from '../support/sealing.ts'
import type { SharedRig } from './shared-rig.ts'
import { startSharedRig } from './shared-rig.ts'

const ENTRIES = { find: async () => undefined, keep: async () => undefined, release: async () => undefined }

describe.runIf(HAS_REDIS)('another process [F16]', () => {
  let shared: SharedRig
  beforeAll(async () => {
    shared = await startSharedRig()
  })
  beforeEach(() => shared.clear())
  afterAll(() => shared[Symbol.asyncDispose]())

  const token = (sub = 'alice', claims = {}): Promise<string> => shared.rig.issuer.token({ sub, ...claims })

  /** Has `token` exchanged and kept, and goes on as another process. */
  async function exchanged(text: string): Promise<string> {
    const before = await shared.direct.keys('*')
    expect(await shared.prepare(text)).toBe('done')
    const after = await shared.kept(before.length + 1)
    await shared.another()
    await shared.outcomes()
    return after.find((key) => !before.includes(key)) ?? ''
  }

  it('uses what the first one got, and does not ask the issuer', async () => {
    const alice = await token()
    await exchanged(alice)
    const [sent] = await shared.rig.as(alice, () => shared.rig.send())
    expect(claimsOf([sent ?? ''])).toMatchObject({ sub: 'alice', aud: 'billing' })
    expect([shared.asked(), await shared.outcomes()]).toEqual([1, { hit: 1 }])
  })

  it.each<readonly [string, Parameters<SharedRig['another']>[0]]>([
    ['another audience', { rule: { audience: 'shipping' } }],
    ['another scope', { rule: { scope: 'invoices:read' } }],
    ['another type', { rule: { tokenType: 'jwt' } }],
    ['another client', { exchange: { clientId: 'order-service' } }],
    ['an actor', { exchange: { actor: true } }],
    ['another claim for the subject', { exchange: { subjectClaim: 'iss' } }],
  ])('with %s asks for itself', async (_, changes) => {
    const alice = await token()
    await exchanged(alice)
    await shared.another(changes)
    shared.rig.endpoint.requests.length = 0
    expect(await shared.prepare(alice)).toBe('done')
    const exchanges = shared.rig.endpoint.requests.filter(({ parameters }) => parameters.has('subject_token'))
    expect([exchanges.length, await shared.outcomes()]).toEqual([1, { miss: 1 }])
  })

  it('never uses what is another caller’s: a value that was moved is replaced [C3]', async () => {
    const [alice, bob] = [await token('alice'), await token('bob')]
    const [ofAlice, ofBob] = [await exchanged(alice), await exchanged(bob)]
    await shared.direct.set(ofBob, (await shared.direct.get(ofAlice)) ?? '')
    const [sent] = await shared.rig.as(bob, () => shared.rig.send())
    expect(claimsOf([sent ?? '']).sub).toBe('bob')
    expect([shared.asked(), await shared.outcomes()]).toEqual([3, { 'unusable ERR_TOKEN_SEAL': 1, miss: 1 }])
    await waitFor(async () => {
      expect(await shared.direct.get(ofBob)).not.toBe(await shared.direct.get(ofAlice))
    })
    await shared.another()
    expect([await shared.prepare(bob), shared.asked(), await shared.outcomes()]).toEqual(['done', 3, { hit: 1 }])
  })

  it.each<readonly [string, (kept: string) => string]>([
    ['is a token', () => `${'a'.repeat(40)}.${'b'.repeat(40)}.${'c'.repeat(40)}`],
    ['was cut', (kept) => kept.slice(0, -1)],
    ['is something else', (kept) => `${kept} `],
  ])('replaces what %s [H9]', async (_, change) => {
    const alice = await token()
    const key = await exchanged(alice)
    await shared.direct.set(key, change((await shared.direct.get(key)) ?? ''))
    expect([await shared.prepare(alice), shared.asked()]).toEqual(['done', 2])
    expect(await shared.outcomes()).toEqual({ 'unusable ERR_TOKEN_SEAL': 1, miss: 1 })
  })

  it('reads what was sealed with an older key, and seals with the newer one [H4]', async () => {
    const [alice, bob] = [await token('alice'), await token('bob')]
    const older = await exchanged(alice)
    const newKey = { kid: 'cache-2', secret: randomSecret() }
    await shared.another({ relay: { sealing: { keys: [newKey, shared.key] } } })
    expect([await shared.prepare(alice), shared.asked()]).toEqual(['done', 1])
    expect(await shared.prepare(bob)).toBe('done')
    const [newer] = (await shared.kept(2)).filter((key) => key !== older)
    expect([await kidAt(older), await kidAt(newer ?? '')]).toEqual(['cache-1', 'cache-2'])
    // Once the older key is gone everywhere, so is what it has sealed.
    await shared.another({ relay: { sealing: { keys: [newKey] } } })
    await shared.outcomes()
    expect([await shared.prepare(alice), shared.asked()]).toEqual(['done', 3])
    expect(await shared.outcomes()).toEqual({ 'unusable ERR_TOKEN_SEAL': 1, miss: 1 })
    await waitFor(async () => expect(await kidAt(older)).toBe('cache-2'))
  })

  async function kidAt(key: string): Promise<unknown> {
    const [header = ''] = ((await shared.direct.get(key)) ?? '').split('.')
    return (JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: unknown }).kid
  }

  it('seals with a secret, whatever key is first [H7]', async () => {
    const alice = await token()
    const jwk = { kid: 'public-1', jwk: P256.jwk }
    await shared.another({ relay: { sealing: { keys: [jwk, shared.key] } } })
    expect(await shared.prepare(alice)).toBe('done')
    const [key = ''] = await shared.kept(1)
    expect(await kidAt(key)).toBe('cache-1')
  })

  it('uses nothing for a token that was revoked, and does not even look [C5]', async () => {
    const alice = await token('alice', { jti: 'alice-1' })
    await exchanged(alice)
    const { issuer } = shared.rig.issuer
    const find = vi.spyOn(shared.cache, 'find')
    const ended = await shared.rig.as(alice, async () => {
      await shared.rig.relay.revoke({ issuer, tokenId: 'alice-1', expiresAtMillis: Date.now() + 60_000 })
      return outcome(shared.rig.relay.prepare(shared.rig.sink.origin))
    })
    expect([ended, shared.asked()]).toEqual(['ERR_TOKEN_REVOKED', 1])
    expect(find).not.toHaveBeenCalled()
    find.mockRestore()
  })

  it('does not use what was revoked itself [C5]', async () => {
    shared.rig.endpoint.answer = () => ({ claims: { jti: `exchanged-${shared.asked()}` } })
    const alice = await token()
    await exchanged(alice)
    const { issuer } = shared.rig.issuer
    await shared.rig.relay.revoke({ issuer, tokenId: 'exchanged-1', expiresAtMillis: Date.now() + 60_000 })
    const sent = await shared.rig.as(alice, () => shared.rig.send())
    expect(claimsOf(sent).jti).toBe('exchanged-2')
    expect(await shared.outcomes()).toEqual({ 'unusable ERR_TOKEN_REVOKED': 1, miss: 1 })
  })

  it('checks by its own rules: what lives too long for it is refused', async () => {
    const alice = await token()
    await exchanged(alice)
    await shared.another({ exchange: { maxLifetimeSeconds: 100 } })
    expect([await shared.prepare(alice), shared.asked()]).toEqual(['ERR_TOKEN_EXCHANGE_RESULT', 2])
    expect(await shared.outcomes()).toEqual({ 'unusable ERR_TOKEN_EXCHANGE_RESULT': 1, miss: 1 })
  })

  it('takes an opaque token for what the issuer said of it', async () => {
    shared.rig.endpoint.answer = { members: { access_token: 'b3BhcXVl', scope: 'invoices:read' } }
    const alice = await token()
    await exchanged(alice)
    const { issuer } = shared.rig.issuer
    const revoked = { issuer, subject: 'alice', expiresAtMillis: Date.now() + 60_000 }
    await shared.rig.as(alice, async () => {
      expect(await shared.rig.send()).toEqual(['b3BhcXVl'])
      await shared.rig.relay.revoke(revoked)
      expect(await shared.rig.send()).toEqual([])
    })
    expect(shared.asked()).toBe(1)
  })

  it('asks Redis without a span [G5]', async () => {
    const { call } = Redis.prototype
    const suppressed: boolean[] = []
    const spy = vi.spyOn(Redis.prototype, 'call').mockImplementation(function (this: Redis, ...words) {
      suppressed.push(isTracingSuppressed(context.active()))
      return Reflect.apply(call, this, words) as Promise<unknown>
    })
    await exchanged(await token())
    spy.mockRestore()
    expect(suppressed).toEqual([true, true])
  })

  it('keeps no refusal of the issuer, and none of the service’s own tokens', async () => {
    shared.rig.endpoint.answer = { status: 400 }
    expect(await shared.prepare(await token())).toBe('ERR_TOKEN_EXCHANGE_REFUSED')
    shared.rig.endpoint.answer = {}
    await shared.rig.relay.tokenSource({ grant: 'client_credentials' }).get()
    expect(await shared.kept(0)).toEqual([])
  })
})

describe('a shared cache', () => {
  const exchange = { tokenEndpoint: 'https://id.example/token', clientId: 'a', clientSecret: 'b', sharedCache: ENTRIES }
  const parse = (keys: readonly object[], changes = {}) => {
    const issuers = [{ issuer: 'https://id.example', audience: 'a', exchange: { ...exchange, ...changes } }]
    return parseOptions({ issuers, sealing: { keys } })
  }
  const path = 'issuers[0].exchange.sharedCache'

  it('needs a secret: the holder of a public key may put no tokens there [H7]', () => {
    const [jwk, secret] = [
      { kid: 'a', jwk: P256.jwk },
      { kid: 'b', secret: randomSecret() },
    ]
    for (const keys of [[], [jwk]]) {
      expect(() => parse(keys)).toThrow(new OptionError(path, 'needs a secret among sealing.keys'))
    }
    expect(parse([jwk, secret]).exchanges.get('https://id.example')?.sharedCache).toBe(ENTRIES)
  })

  it.each([null, 'redis', {}, { find: ENTRIES.find, keep: ENTRIES.keep }])('is not %o', (sharedCache) => {
    const keys = [{ kid: 'b', secret: randomSecret() }]
    expect(() => parse(keys, { sharedCache })).toThrow(new OptionError(path, 'expected a shared cache of tokens'))
  })
})
