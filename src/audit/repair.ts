/** Opens an audit trail after whatever has happened to it: its end is repaired, or it is refused as damaged. */

import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import type { AuditHead } from './head.ts'
import { encodeHead, FIRST_HEAD, readHead } from './head.ts'
import type { AuditKey, AuditLine } from './line.ts'
import { AuditDamageError, recover } from './recovery.ts'

/** Where a trail goes on. */
export interface Repaired {
  readonly last: AuditLine
  /** How long its newest file is. */
  readonly bytes: number
  /** Sequence of the first line of that file. */
  readonly first: number
  /** Which of the two places the newest head is in. */
  readonly place: number
}

/**
 * Synchronous: a service does not start before it is known whether its trail is good.
 *
 * @throws AuditDamageError where acknowledged records are missing or changed, or this is no regular file.
 */
export function repair(file: string, key: AuditKey): Repaired {
  // A pipe that nobody reads must not be waited for.
  const descriptor = openSync(file, constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK, 0o600)
  try {
    if (!fstatSync(descriptor).isFile()) throw new AuditDamageError()
    const content = readFileSync(descriptor)
    const head = headOf(file, key)
    const { last, first, wholeBytes } = recover(content, head, key)
    if (head === undefined) {
      const text = encodeHead(FIRST_HEAD, key)
      writeFileSync(`${file}.head`, `${text}${text}`, { flush: true, mode: 0o600 })
    }
    if (wholeBytes < content.length) ftruncateSync(descriptor, wholeBytes)
    fsyncSync(descriptor)
    syncFolder(file)
    return { last, first, bytes: wholeBytes, place: head?.place ?? 1 }
  } finally {
    closeSync(descriptor)
  }
}

function headOf(file: string, key: AuditKey): (AuditHead & { readonly place: number }) | undefined {
  try {
    return readHead(readFileSync(`${file}.head`, 'latin1'), key)
  } catch {
    return undefined
  }
}

/** A file that was created or renamed is there after a crash only if its folder was synced, too. */
function syncFolder(file: string): void {
  const folder = openSync(dirname(file), constants.O_RDONLY)
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
