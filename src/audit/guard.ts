/** A lock that the operating system releases when the process or the thread ends, even after a crash. */

import { chmodSync, statSync } from 'node:fs'
import process from 'node:process'

export interface Guard {
  /** Distinguishes its file from one that replaced it. */
  readonly inode: string
  release(): void
}

/** SQLite: another connection, in this process or another one, has the lock. */
const BUSY = 5

/**
 * Takes the guard at `path`. Returns `'busy'` if another process or thread has it, `undefined` if that cannot be known.
 *
 * Node has no file locks, but its SQLite takes them (`fcntl`, `LockFileEx`). The kernel knows the holder across all of
 * its containers, and releases the lock with the process; SQLite distinguishes the threads of one process. The database
 * stays empty.
 *
 * Nothing else in this process may open the file: closing it would release the lock (POSIX).
 */
export function takeGuard(path: string, waitMillis: number): Guard | 'busy' | undefined {
  const sqlite = loadSqlite()
  if (sqlite === undefined) return undefined
  let database: InstanceType<typeof sqlite.DatabaseSync> | undefined
  try {
    database = new sqlite.DatabaseSync(path)
    database.exec(`PRAGMA busy_timeout = ${waitMillis}; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE`)
    chmodSync(path, 0o600)
    const held = database
    return { inode: String(statSync(path).ino), release: () => held.close() }
  } catch (error) {
    database?.close()
    return resultOf(error) === BUSY ? 'busy' : undefined
  }
}

/** Returns `undefined` if this Node has no SQLite. Suppresses the warning of Node 22: only the lock is used. */
function loadSqlite() {
  const { emitWarning } = process
  process.emitWarning = () => undefined
  try {
    return process.getBuiltinModule('node:sqlite')
  } finally {
    process.emitWarning = emitWarning
  }
}

/** Returns the primary result code, without the details in the higher bytes. */
function resultOf(error: unknown): number {
  return Number((error as { errcode?: unknown }).errcode) & 0xff
}
