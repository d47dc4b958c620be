/** otel-token-relay/bullmq: workers run each job as whoever added it. */

import type { Delivery } from '../propagation/delivery.ts'
import { consume } from './consume.ts'
import type { AdapterOptions } from './options.ts'
import { produce } from './produce.ts'

export type { AdapterOptions } from './options.ts'

/** The parts of a job that are needed. */
export interface BullJob {
  readonly queueName: string
  readonly opts: { readonly telemetry?: { readonly metadata?: string } | undefined }
  moveToDelayed(timestamp: number, token?: string): Promise<void>
}

/** Options of a job, as far as they are ours. */
export interface JobOptions {
  readonly telemetry?: { readonly metadata?: string; readonly omitContext?: boolean }
}

const DELAY_MILLIS = 5_000

/**
 * A processor that runs `handler` as whoever added the job; what it returns is the result of the job. A job whose token is
 * rejected fails for good, with the code as its reason, unless `onRejected` is there and returns. One that is undecided
 * after `undecidedMillis` is delayed, which does not count as an attempt.
 *
 * A job that is attempted again opens its token again: `sealing.maxOpenings` says how often that may be.
 */
export function asCaller<J extends BullJob, R>(
  handler: (job: J, token: string | undefined, delivery: Delivery) => R,
  options: AdapterOptions<J> = {},
): (job: J, token?: string) => Promise<Awaited<R> | undefined> {
  return async (job, token): Promise<Awaited<R> | undefined> => {
    const received = { source: `bullmq:${job.queueName}`, headers: headersOf(job) }
    const consumed = await consume(received, (delivery) => handler(job, token, delivery), options)
    if (consumed.verdict === 'handled') return consumed.result
    if (consumed.verdict === 'undecided') {
      await job.moveToDelayed(Date.now() + DELAY_MILLIS, token)
      throw named('DelayedError', consumed.error.code)
    }
    if (options.onRejected === undefined) throw named('UnrecoverableError', consumed.error.code)
    await options.onRejected(job, consumed.error)
    return undefined
  }
}

/**
 * Calls `add` with the options of a job that is added as the caller of now, for queues without `bullmq-otel`:
 * `addAsCaller('orders', (caller) => queue.add('ship', data, { ...options, ...caller }))`. The token lies where
 * `bullmq-otel` puts it, in `telemetry.metadata`.
 *
 * Makes jobs for `queue.addBulk` too, one call for each: `addAsCaller('orders', (caller) => ({ name, data, opts: caller }))`.
 * Without that, `bullmq-otel` gives all jobs of a bulk the same token, which opens `sealing.maxOpenings` times in all.
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

/** BullMQ knows its own errors by their names: theirs need not be imported. */
function named(name: 'DelayedError' | 'UnrecoverableError', message: string): Error {
  return Object.assign(new Error(message), { name })
}
