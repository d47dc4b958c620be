/** `getActiveRelay`: the relay of this thread, for code that has not created it. */

import { findActiveRelay } from '../ingress/active-relay.ts'
import type { TokenRelay } from './relay.ts'

/**
 * The relay that `otel-token-relay/register` or `createTokenRelay` has started in this thread; `undefined` before that,
 * after `shutdown`, and if `register` did not start one (`TOKEN_RELAY_ON_CONFIG_ERROR=disable`). There is at most one
 * per thread, whichever copy of this package has created it: the same object also in another realm, such as a test file
 * of Jest. A worker thread has a relay only if it has started one itself.
 *
 * Do not keep the result for longer than a request or a job: a relay that was shut down stays shut down.
 */
export function getActiveRelay(): TokenRelay | undefined {
  return findActiveRelay()?.relay as TokenRelay | undefined
}
