/** What is measured of verification, sending and sealing; and that nothing of what a stranger sends becomes an attribute. */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { get } from 'node:http'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import { consume, produce } from '../../src/messaging/index.ts'
import { findToken } from '../support/exports.ts'
import type { RecordedMetrics } from '../support/metrics.ts'
import { recordMetrics } from '../support/metrics.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import type { Service } from '../support/scripted-service.ts'
import { json, startService } from '../support/scripted-service.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const LIFE_SECONDS = 240
const tokenOf = (claims = {}): string => {
  const now = Math.floor(Date.now() / 1000)
  return signer.token(goodClaims(ISSUER, { iat: now, exp: now + LIFE_SECONDS, ...claims }))
}

let service: Service
let relay: TokenRelay
let recorded: RecordedMetrics
beforeEach(async () => {
  service = await startService()
  recorded = recordMetrics()
  relay = createTokenRelay({
    ...optionsFor([signer.jwk]),
    destinations: [{ to: service.origin }, { to: 'kafka:orders' }],
    sealing: { keys: [{ kid: 'orders-1', secret: randomSecret() }] },
  })
})
afterEach(async () => {
  await relay.shutdown()
  await recorded[Symbol.asyncDispose]()
  await service[Symbol.asyncDispose]()
})

const admit = async (token: string): Promise<unknown> => relay.admit({ headers: { authorization: `Bearer ${token}` } })
const outcome = (name: string, others = {}): object => ({ 'auth.verification.outcome': name, ...others })

it('verifications by outcome and code, remembered or not, and how long those took that were not', async () => {
  const token = tokenOf()
  for (const presented of [token, token, token, tokenOf({ aud: 'another' })]) await admit(presented)
  const code = { 'error.type': 'ERR_TOKEN_AUDIENCE' }
  expect(await recorded.values('auth.verifications')).toEqual([
    [outcome('verified', { 'auth.verification.cached': false }), 1],
    [outcome('verified', { 'auth.verification.cached': true }), 2],
    [outcome('rejected', { ...code, 'auth.verification.cached': false }), 1],
  ])
  expect(await recorded.counts('auth.verification.duration')).toEqual([
    [outcome('verified'), 1],
    [outcome('rejected', code), 1],
  ])
  expect(findToken(await recorded.everything(), token)).toBeUndefined()
})

it('a token that cannot be checked is undecided', async () => {
  await relay.shutdown()
  relay = createTokenRelay({
    issuers: [{ issuer: ISSUER, audience: 'user-service', jwksUri: 'http://127.0.0.1:1/keys' }],
  })
  await admit(tokenOf())
  const expected = outcome('undecided', {
    'error.type': 'ERR_TOKEN_KEYS_UNAVAILABLE',
    'auth.verification.cached': false,
  })
  expect(await recorded.values('auth.verifications')).toEqual([[expected, 1]])
})

it('how long sent tokens have left, and that their destination did not accept them', async () => {
  const rule = { 'auth.decision.rule': service.origin }
  await runWithToken(tokenOf(), async () => {
    await (await fetch(service.origin)).text()
    service.answer((response) => json(response, {}, 401))
    await (await fetch(service.origin)).text()
    const [response] = (await once(get(service.origin), 'response')) as [IncomingMessage]
    await once(response.resume(), 'end')
    // Its own credential, so that nothing was sent that could have been refused.
    await (await fetch(service.origin, { headers: { authorization: 'Basic YTpi' } })).text()
  })
  await (await fetch(service.origin)).text()

  expect(await recorded.counts('auth.token.remaining_lifetime')).toEqual([[rule, 3]])
  const [[, total = 0] = []] = await recorded.sums('auth.token.remaining_lifetime')
  expect(total / 3).toBeGreaterThan(LIFE_SECONDS - 60)
  expect(total / 3).toBeLessThanOrEqual(LIFE_SECONDS)
  expect(await recorded.values('auth.downstream.rejections')).toEqual([[rule, 2]])
})

it('the lifetime of every sent token, however many there are between two collections', async () => {
  await runWithToken(tokenOf(), async () => {
    for (let i = 0; i < 300; i += 1) await (await fetch(service.origin)).text()
  })
  expect(await recorded.counts('auth.token.remaining_lifetime')).toEqual([
    [{ 'auth.decision.rule': service.origin }, 300],
  ])
  await runWithToken(tokenOf(), async () => (await fetch(service.origin)).text())
  expect(await recorded.counts('auth.token.remaining_lifetime')).toEqual([
    [{ 'auth.decision.rule': service.origin }, 301],
  ])
})

it('no lifetime from the time of another provider', async () => {
  await runWithToken(tokenOf(), async () => (await fetch(service.origin)).text())
  await recorded[Symbol.asyncDispose]()
  recorded = recordMetrics()
  await runWithToken(tokenOf(), async () => (await fetch(service.origin)).text())
  expect(await recorded.counts('auth.token.remaining_lifetime')).toEqual([
    [{ 'auth.decision.rule': service.origin }, 1],
  ])
})

it('what is sealed and opened, and what is not', async () => {
  const headers = await runWithToken(tokenOf(), () =>
    produce('kafka:orders', (fields): Record<string, string> => fields),
  )
  await consume({ source: 'kafka:orders', headers }, () => undefined)
  await consume({ source: 'kafka:orders', headers }, () => undefined)
  await consume({ source: 'kafka:orders', headers: { authorization: 'Sealed a.b.c.d.e' } }, () => undefined)
  const operation = (name: string, result: string, others = {}): object => ({
    'auth.sealing.operation': name,
    'auth.sealing.outcome': result,
    ...others,
  })
  expect(await recorded.values('auth.sealing.operations')).toEqual([
    [operation('seal', 'success'), 1],
    [operation('open', 'success'), 1],
    [operation('open', 'failure', { 'error.type': 'ERR_TOKEN_SEAL' }), 2],
  ])
})

it('whatever strangers send, there are no more attributes than outcomes and codes [G7]', async () => {
  for (let i = 0; i < 3_000; i += 1) {
    const garbage = randomBytes(6).toString('hex')
    const header = { kid: garbage, ...(i % 3 === 0 ? { alg: garbage } : {}) }
    await admit(signer.token(goodClaims(i % 2 === 0 ? ISSUER : `https://${garbage}.example`, { sub: garbage }), header))
  }
  const points = await recorded.values('auth.verifications')
  expect(points.reduce((sum, [, count]) => sum + Number(count), 0)).toBe(3_000)
  expect(points.length).toBeLessThan(6)
  expect(JSON.stringify(points)).not.toMatch(/[0-9a-f]{12}/)
})
