/** The tests of a handler, in node:test: no server, no relay, no network. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { asCaller } = require('otel-token-relay/testing')
const { describeCaller } = require('./handler.cjs')

test('knows the caller', async () => {
  const text = await asCaller({ subject: 'alice', scopes: ['orders:read'] }, describeCaller)
  assert.equal(text, 'alice may orders:read')
})

test('knows that there is none', async () => {
  assert.equal(await describeCaller(), 'nothing known')
})
