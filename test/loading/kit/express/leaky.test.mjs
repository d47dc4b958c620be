/** A service that copies the token into another request: this test has to fail. */

import { asCaller, createTestDestination, createTestRelay, watchTokens } from 'otel-token-relay/testing'
import { test } from 'vitest'
import { sendOrder } from '../leaky.cjs'

test('the token goes only to billing', async () => {
  await using billing = await createTestDestination()
  await using audit = await createTestDestination()
  await using _ = await createTestRelay({ destinations: [billing] })
  await using watch = watchTokens()
  await asCaller({ subject: 'alice' }, () => sendOrder(billing.origin, audit.origin))
  watch.expectOnly([billing])
})
