/** A service that copies the token into another request: this test has to fail. */

const { test } = require('node:test')
const { asCaller, createTestDestination, createTestRelay, watchTokens } = require('otel-token-relay/testing')
const { sendOrder } = require('../leaky.cjs')

test('the token goes only to billing', async (t) => {
  const billing = await createTestDestination()
  const audit = await createTestDestination()
  const kit = await createTestRelay({ destinations: [billing] })
  const watch = watchTokens()
  t.after(async () => {
    for (const part of [watch, kit, audit, billing]) await part[Symbol.asyncDispose]()
  })
  await asCaller({ subject: 'alice' }, () => sendOrder(billing.origin, audit.origin))
  watch.expectOnly([billing])
})
