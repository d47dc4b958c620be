/** Watches over an audit trail: reports each outage once, ends it, and records how many records it has cost. */

import { reportProblem } from '../telemetry/log-entries.ts'
import { measureAuditBacklog, measureAuditFailure } from '../telemetry/metrics.ts'
import type { AuditRecord } from './line.ts'
import { AuditDamageError } from './recovery.ts'
import type { AuditTrail } from './trail.ts'

/** Of a trail that another process has changed: the relay does not repair it. */
const DAMAGED = 'was changed by another process, and is no longer written: verify it, and move it away'

/**
 * How long a failing trail is left alone before it is tried again, in milliseconds: a little longer than it refuses.
 */
const PROBE_MILLIS = 1_100

/** Longest wait for a disk that does not answer, in milliseconds. */
export const MAX_WAIT_MILLIS = 5_000

export class TrailKeeper {
  readonly #trail: AuditTrail
  /** Records that are missing in the trail, or may be. */
  #lost = 0
  #probe: NodeJS.Timeout | undefined

  constructor(trail: AuditTrail) {
    this.#trail = trail
  }

  /** Resolves with whether the record is in the trail for good. Never rejects. */
  async keep(record: AuditRecord): Promise<boolean> {
    const problem = await this.#append(record)
    if (problem !== undefined) this.#fail(problem)
    return problem === undefined
  }

  async close(): Promise<void> {
    clearInterval(this.#probe)
    const closed = this.#trail.close().then(
      () => true,
      () => false,
    )
    // A disk that does not answer must not keep the process alive.
    await resolveWithin(MAX_WAIT_MILLIS, closed)
  }

  /** Resolves with why the record may not be in the trail; with `undefined` if it is. */
  async #append(record: AuditRecord): Promise<Error | undefined> {
    measureAuditBacklog(1)
    try {
      await this.#trail.append(record)
      return undefined
    } catch (error) {
      return error as Error
    } finally {
      measureAuditBacklog(-1)
    }
  }

  #fail({ cause }: Error): void {
    this.#lost += 1
    measureAuditFailure()
    if (this.#probe !== undefined) return
    const what = cause instanceof AuditDamageError ? DAMAGED : 'cannot be written'
    reportProblem({ message: `the audit trail ${what}`, severity: 'error' })
    this.#probe = setInterval(() => this.#resume(), PROBE_MILLIS).unref()
  }

  async #resume(): Promise<void> {
    const missing = this.#lost
    if ((await this.#append(resumption(missing))) !== undefined || this.#probe === undefined) return
    this.#lost -= missing
    if (this.#lost > 0) return
    clearInterval(this.#probe)
    this.#probe = undefined
    reportProblem({ message: 'the audit trail is written again' })
  }
}

/** Tells a reader of the trail how many records are missing before this one, or may be. */
function resumption(lost: number): AuditRecord {
  const attributes = { 'auth.audit.lost': lost }
  return { timeMillis: Date.now(), event: 'auth.audit.resumed', traceId: undefined, spanId: undefined, attributes }
}

/** Resolves as `promise` does, and with `false` after `millis`. */
export async function resolveWithin(millis: number, promise: Promise<boolean>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, millis, false)
  })
  const result = await Promise.race([promise, late])
  clearTimeout(timer)
  return result
}
