/** Hands the current caller over to a worker, as a text that opens once, only there, and only for a short time. */

import { context } from '@opentelemetry/api'
import { setSealedUntil } from '../context/destination-context.ts'
import { isWorker } from '../destination/pattern.ts'
import { announcedTarget } from '../destination/target.ts'
import { activeRelay } from '../ingress/active-relay.ts'
import { createHeaders } from '../messaging/produce.ts'

/** Options of {@link handOver}. */
export interface HandOverOptions {
  /** How long the text can be opened, in seconds: 1 to 300, and up to one second longer. Default 30. */
  readonly maxAgeSeconds?: number
}

const DEFAULT_MAX_AGE_SECONDS = 30
const MAX_AGE_SECONDS = 300

/**
 * Returns the current trace and caller for `receiver`, for example `worker:thumbnails`, which a rule must name. The
 * text is for `postMessage`, `workerData`, `process.send`, a file or an environment variable. The token in it is
 * sealed; if no rule names the receiver or there is no caller, the text has no token. It stays valid after the request
 * of the caller ends.
 *
 * @throws TypeError if `receiver` or an option is wrong, and Error if no relay is active. A token that is unavailable
 * is withheld and never throws.
 */
export async function handOver(receiver: string, options: HandOverOptions = {}): Promise<string> {
  const relay = activeRelay()
  checkReceiver(receiver)
  const maxAgeSeconds = checkMaxAge(options)
  // A token that cannot be fetched is withheld at injection, which records the reason.
  await relay.prepare(receiver, {}).catch(() => undefined)
  const untilMillis = (Math.ceil(Date.now() / 1000) + maxAgeSeconds) * 1000
  return JSON.stringify(createHeaders(setSealedUntil(context.active(), untilMillis), receiver, relay))
}

/** Throws a TypeError if `receiver` does not name a worker as a rule does: `worker:thumbnails`. */
export function checkReceiver(receiver: string): void {
  const target = typeof receiver === 'string' ? announcedTarget(receiver) : undefined
  if (target === undefined || !isWorker(target)) throw new TypeError('receiver: expected worker:name, without *')
}

function checkMaxAge({ maxAgeSeconds = DEFAULT_MAX_AGE_SECONDS }: HandOverOptions): number {
  if (Number.isSafeInteger(maxAgeSeconds) && maxAgeSeconds >= 1 && maxAgeSeconds <= MAX_AGE_SECONDS)
    return maxAgeSeconds
  throw new TypeError(`maxAgeSeconds: expected 1 to ${MAX_AGE_SECONDS} whole seconds`)
}
