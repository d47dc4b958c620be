/** The tests of the service with Fastify, in node:test, by `inject` and without a port. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asCaller, createTestDestination, createTestRelay, expectTokenAt, watchTokens } from 'otel-token-relay/testing'
import { createApp } from './app.mjs'

test('answers the caller, and asks billing as the caller', async () => {
  await using billing = await createTestDestination()
  await using _ = await createTestRelay({ destinations: [billing] })
  await using watch = watchTokens()
  const app = await createApp({ billing: billing.origin })
  const alice = { subject: 'alice', scopes: ['orders:read'] }
  const response = await asCaller(alice, ({ headers }) => app.inject({ url: '/orders', headers }))
  assert.deepEqual(response.json(), { subject: 'alice', invoices: {} })
  expectTokenAt(billing, alice)
  watch.expectOnly([billing])
})

test('refuses a caller without the scope', async () => {
  await using _ = await createTestRelay()
  const app = await createApp({ billing: 'http://127.0.0.1:1' })
  const response = await asCaller({ subject: 'bob' }, ({ headers }) => app.inject({ url: '/orders', headers }))
  assert.equal(response.statusCode, 403)
})
