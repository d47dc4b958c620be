/** The tests of the service with Express, in Vitest. */

import { once } from 'node:events'
import {
  createTestDestination,
  createTestRelay,
  expectNoToken,
  expectTokenAt,
  tokenMatchers,
  watchTokens,
} from 'otel-token-relay/testing'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createApp } from './app.mjs'

expect.extend(tokenMatchers)

let billing
let kit
let server
let origin
beforeEach(async () => {
  billing = await createTestDestination()
  kit = await createTestRelay({ destinations: [billing] })
  server = createApp({ billing: billing.origin }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${server.address().port}`
})
afterEach(async () => {
  server.close()
  server.closeAllConnections()
  await kit[Symbol.asyncDispose]()
  await billing[Symbol.asyncDispose]()
})

function getOrders(token) {
  return fetch(`${origin}/orders`, { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } })
}

test('answers the caller, and asks billing as the caller', async () => {
  const response = await getOrders(kit.issuer.token({ subject: 'alice', scopes: ['orders:read'] }))
  expect(await response.json()).toEqual({ subject: 'alice', invoices: {} })
  expectTokenAt(billing, { subject: 'alice', scopes: ['orders:read'] })
  expect(billing).toHaveToken({ subject: 'alice' })
})

test.each([
  ['without a token', undefined, 401],
  ['without the scope', { subject: 'alice', scopes: ['orders:write'] }, 403],
])('%s nothing is asked for', async (_, options, status) => {
  const response = await getOrders(options && kit.issuer.token(options))
  expect(response.status).toBe(status)
  expect(billing.received).toEqual([])
  expectNoToken(billing)
  expect(billing).toHaveNoToken()
})

test('the token goes only to billing', async () => {
  await using watch = watchTokens()
  await getOrders(kit.issuer.token({ subject: 'alice', scopes: ['orders:read'] }))
  watch.expectOnly([billing], { allow: [origin] })
})
