/** otel-token-relay/bullmq: workers run each job as the caller who added it. */

import type { Delivery } from '../propagation/delivery.ts'
import type { AdapterOptions } from './options.ts'
import { processMessage } from './process-message.ts'
import { produce } from './produce.ts'
import type { WaitOptions } from './undecided-wait.ts'
import { checkUndecidedMillis } from './undecided-wait.ts'

export type { AdapterOptions } from './options.ts'

/** The members of a job that the adapter uses. */
export interface BullJob {
  readonly queueName: string
  readonly opts: { readonly telemetry?: { readonly metadata?: string } | undefined }
  moveToDelayed(timestamp: number, token?: string): Promise<void>
}

/** The job options that the adapter sets. */
export interface JobOptions {
  readonly telemetry?: { readonly metadata?: string; readonly omitContext?: boolean }
}

/** Shortest delay of a job that must run again. */
const RETRY_MILLIS = 5_000

/**
 * Returns a processor that runs `handler` as the caller who added the job; its return value is the result of the job. A
 * job whose token is rejected fails for good, with the code as its reason, unless `onRejected` succeeds. A job that is
 * undecided after `undecidedMillis`, or that `onRejected` failed to store, is delayed by five seconds, or longer if the
 * error says so. The delay does not count as an attempt. A job that waits occupies one of the `concurrency` slots.
 *
 * A job that is attempted again opens its token again: `sealing.maxOpenings` limits how often.
 */
export function asCaller<J extends BullJob, R>(
  handler: (job: J, token: string | undefined, delivery: Delivery) => R,
  options: AdapterOptions<J> = {},
): (job: J, token?: string) => Promise<Awaited<R> | undefined> {
  checkUndecidedMillis(options)
  const waiting: WaitOptions = { signal: options.signal, ref: false }
  return async (job, token): Promise<Awaited<R> | undefined> => {
    const received = { source: `bullmq:${job.queueName}`, headers: headersOf(job) }
    const processed = await processMessage(job, received, (delivery) => handler(job, token, delivery), options, waiting)
    switch (processed.status) {
      case 'done':
        return processed.result
      case 'failed':
        throw processed.error
      case 'rejected':
        throw createBullError('UnrecoverableError', processed.error.code)
      case 'undecided':
      case 'unprocessed':
        await job.moveToDelayed(Date.now() + Math.max(RETRY_MILLIS, processed.retryAfterMillis), token)
        throw createBullError('DelayedError', processed.status === 'undecided' ? processed.error.code : 'unprocessed')
    }
  }
}

/**
 * Calls `add` with the options for a job that is added as the current caller, for queues without `bullmq-otel`:
 * `addAsCaller('orders', (caller) => queue.add('ship', data, { ...options, ...caller }))`. The token is in
 * `telemetry.metadata`, where `bullmq-otel` puts it too.
 *
 * It also creates jobs for `queue.addBulk`, one call for each: `addAsCaller('orders', (caller) => ({ name, data, opts:
 * caller }))`. Without it, `bullmq-otel` gives all jobs of a bulk the same token, which opens only
 * `sealing.maxOpenings` times in all.
 */
export function addAsCaller<T>(queueName: string, add: (options: JobOptions) => T): Promise<Awaited<T>> {
  return produce(`bullmq:${queueName}`, (headers) => add({ telemetry: { metadata: JSON.stringify(headers) } }))
}

function headersOf({ opts }: BullJob): Record<string, unknown> | undefined {
  try {
    const headers: unknown = JSON.parse(opts.telemetry?.metadata ?? '{}')
    return typeof headers === 'object' && headers !== null ? (headers as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** Creates an error that BullMQ recognizes by its name, so that the package need not import BullMQ. */
function createBullError(name: 'DelayedError' | 'UnrecoverableError', message: string): Error {
  return Object.assign(new Error(message), { name })
}
