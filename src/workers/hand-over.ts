/** Hands the caller of now over to a worker: in a text that opens there and nowhere else, once, and soon. */

import { context } from '@opentelemetry/api'
import { setSealedUntil } from '../context/destination-context.ts'
import { activeRelay } from '../ingress/active-relay.ts'
import { headersFor } from '../messaging/produce.ts'
import { checkReceiver } from './receiver.ts'

/** How long a caller may be taken over. */
export interface HandOverOptions {
  /** How long what was handed over can be opened, in seconds: 1 to 300, a second more at most. Default 30. */
  readonly maxAgeSeconds?: number
}

const DEFAULT_MAX_AGE_SECONDS = 30
const MAX_AGE_SECONDS = 300

/**
 * The trace and the caller of now for `receiver`, `worker:thumbnails` for instance, which a rule must name: a text for
 * `postMessage`, `workerData`, `process.send`, a file or a variable. The token in it is sealed; where no rule names the
 * receiver, or nobody is calling, there is none. It was handed over while its request lived, and serves after that.
 *
 * @throws TypeError where `receiver` or an option is wrong, and Error where no relay is active. A token is never a reason to
 * throw.
 */
export async function handOver(receiver: string, options: HandOverOptions = {}): Promise<string> {
  const relay = activeRelay()
  checkReceiver(receiver)
  const maxAgeSeconds = maxAgeOf(options)
  // What cannot be had is withheld, and told as that.
  await relay.prepare(receiver, {}).catch(() => undefined)
  const untilMillis = (Math.ceil(Date.now() / 1000) + maxAgeSeconds) * 1000
  return JSON.stringify(headersFor(setSealedUntil(context.active(), untilMillis), receiver, relay))
}

function maxAgeOf({ maxAgeSeconds = DEFAULT_MAX_AGE_SECONDS }: HandOverOptions): number {
  if (Number.isSafeInteger(maxAgeSeconds) && maxAgeSeconds >= 1 && maxAgeSeconds <= MAX_AGE_SECONDS)
    return maxAgeSeconds
  throw new TypeError(`maxAgeSeconds: expected 1 to ${MAX_AGE_SECONDS} whole seconds`)
}
