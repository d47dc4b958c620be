/** A service that copies the token into another request: this test has to fail. */

import { getActiveCredential } from 'otel-token-relay'
import { asCaller, createTestDestination, createTestRelay, watchTokens } from 'otel-token-relay/testing'

async function sendOrder(billing: string, audit: string): Promise<void> {
  await fetch(`${billing}/orders`, { method: 'POST' })
  const headers = { authorization: `Bearer ${getActiveCredential()?.reveal()}` }
  await fetch(`${audit}/records`, { method: 'POST', headers })
}

test('the token goes only to billing', async () => {
  const billing = await createTestDestination()
  const audit = await createTestDestination()
  const kit = await createTestRelay({ destinations: [billing] })
  const watch = watchTokens()
  try {
    await asCaller({ subject: 'alice' }, () => sendOrder(billing.origin, audit.origin))
    watch.expectOnly([billing])
  } finally {
    for (const part of [watch, kit, audit, billing]) await part[Symbol.asyncDispose]()
  }
})
