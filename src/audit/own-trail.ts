/** Chooses the file of a relay's audit trail: the configured one, or one beside it for a thread or child process. */

import cluster from 'node:cluster'
import { parse } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { isAncestor } from './holder.ts'
import { AuditLockedError } from './lock.ts'
import type { AuditTrail, AuditTrailOptions } from './trail.ts'
import { openAuditTrail } from './trail.ts'

/** Most files for threads and child processes beside the configured one. */
const MAX_WORKERS = 10_000

/**
 * Opens the trail in `file`. Worker threads and workers of a cluster, which run under the same options, write
 * `NAME.worker-N.EXTENSION` with the first number that is free, and so do child processes of the one that writes
 * `file`.
 *
 * @throws what {@link openAuditTrail} does.
 */
export function openOwnTrail(options: AuditTrailOptions): AuditTrail {
  if (!isMainThread || cluster.isWorker) return openWorkerTrail(options)
  try {
    return openAuditTrail(options)
  } catch (error) {
    const holder = error instanceof AuditLockedError && error.isAlive ? error.holder : undefined
    if (holder === undefined || !isAncestor(holder)) throw error
    return openWorkerTrail(options)
  }
}

function openWorkerTrail(options: AuditTrailOptions): AuditTrail {
  const { dir, name, ext } = parse(options.file)
  for (let number = 1; ; number += 1) {
    const file = `${dir === '' ? '' : `${dir}/`}${name}.worker-${number}${ext}`
    try {
      return openAuditTrail({ ...options, file, lockWaitMillis: 0 })
    } catch (error) {
      if (!(error instanceof AuditLockedError) || number === MAX_WORKERS) throw error
    }
  }
}
