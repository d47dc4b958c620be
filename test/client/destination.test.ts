/** With a relay, a client calls named destinations only; without one, it calls any baseUrl. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { createServiceClient, get } from '../../src/client/index.ts'
import type { TokenRelayOptions } from '../../src/index.ts'
import { runWithToken } from '../../src/index.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { withRelay } from '../support/relay.ts'
import type { Service } from '../support/scripted-service.ts'
import { startService } from '../support/scripted-service.ts'

let issuer: TestIssuer
let service: Service
beforeAll(async () => {
  issuer = await startIssuer()
  service = await startService()
})
afterAll(() => Promise.all([issuer, service].map((resource) => resource[Symbol.asyncDispose]())))

const create = (fallback?: () => undefined) =>
  createServiceClient({ baseUrl: service.origin, endpoints: { read: get('/', fallback ? { fallback } : {}) } })

function optionsFor(to: readonly string[], more: object = {}): TokenRelayOptions {
  return {
    issuers: [{ issuer: issuer.issuer, audience: 'user-service', jwks: issuer.jwks }],
    destinations: to.map((destination) => ({ to: destination })),
    ...more,
  }
}

it('a client works without a relay, and sends no token', async () => {
  expect(await create().read()).toBeUndefined()
  expect(service.asked.at(-1)?.headers.authorization).toBeUndefined()
})

it('a client for a service that no rule names is not created, and an existing one fails at the call', async () => {
  const early = create(() => undefined)
  const before = service.asked.length
  const unnamed = { code: 'ERR_SERVICE_DESTINATION', retryable: false }
  await withRelay(optionsFor([service.origin.replace('127.0.0.1', 'localhost')]), async () => {
    expect(() => create()).toThrow(expect.objectContaining({ ...unnamed, endpoint: undefined }))
    // The fallback must not hide this error of the configuration.
    await expect(early.read()).rejects.toMatchObject({ ...unnamed, endpoint: 'read' })
  })
  expect(service.asked).toHaveLength(before)
  expect(await early.read()).toBeUndefined()
})

it('a client for a named destination sends the caller’s token', async () => {
  await withRelay(optionsFor([service.origin]), async () => {
    const token = await issuer.token()
    const client = create()
    await runWithToken(token, () => client.read())
    expect(service.asked.at(-1)?.headers.authorization).toBe(`Bearer ${token}`)
  })
})

it('a client calls an unnamed service in report mode, without a token', async () => {
  await withRelay(optionsFor([], { egress: { mode: 'report' } }), async (relay) => {
    const client = create()
    await runWithToken(await issuer.token(), () => client.read())
    expect(service.asked.at(-1)?.headers.authorization).toBeUndefined()
    expect(relay.observedDestinations().map(({ to }) => to)).toEqual([service.origin])
  })
})
