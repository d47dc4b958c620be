/** The lock that lets one writer at a time into an audit trail: two would break each other's chain. */

import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Guard } from './guard.ts'
import { takeGuard } from './guard.ts'
import type { Holder } from './holder.ts'
import { holderText, isOfThisBoot, readHolder } from './holder.ts'

export interface Lock {
  /** Rejects if the lock's file no longer belongs to this lock. */
  check(): Promise<void>
  release(): void
}

/** The trail has a writer, or may still have one. */
export class AuditLockedError extends Error {
  override readonly name = 'AuditLockedError'
  readonly code = 'EEXIST'
  /** The writer; `undefined` if the lock does not name it. */
  readonly holder: Holder | undefined
  /** Whether the holder is known to be alive. If not, it may have ended, which only an operator can know. */
  readonly isAlive: boolean

  constructor(holder: Holder | undefined, isAlive: boolean) {
    super('the audit trail is locked')
    this.holder = holder
    this.isAlive = isAlive
  }
}

/** When two processes start at once: how long the other may need to see that it has lost. */
const WAIT_MILLIS = 250

/**
 * Takes the lock of the trail in `file` for this process and this thread. The lock has two parts: a guard, which the
 * operating system releases when its holder ends, and a file that names the holder, for other machines on a shared
 * volume, which the guard does not reach.
 *
 * @throws AuditLockedError if another has it.
 */
export function lockTrail(file: string, waitMillis = WAIT_MILLIS): Lock {
  const path = `${file}.lock`
  const guard = takeGuard(`${file}.guard`, waitMillis)
  if (guard === 'busy') throw new AuditLockedError(holderIn(path), true)
  try {
    const text = holderText(guard?.inode ?? '')
    if (!createByLink(path, text)) takeOver(path, text, guard)
    return createLock(path, text, guard)
  } catch (error) {
    guard?.release()
    throw error
  }
}

function createLock(path: string, text: string, guard: Guard | undefined): Lock {
  return {
    async check() {
      if ((await readFile(path, 'latin1')) !== text) throw new AuditLockedError(holderIn(path), true)
    },
    release() {
      if (textOf(path) === text) rmSync(path, { force: true })
      guard?.release()
    },
  }
}

/** The holder of the guard is alone on this kernel, so no other process takes over the same file meanwhile. */
function takeOver(path: string, text: string, guard: Guard | undefined): void {
  const holder = holderIn(path)
  if (holder === undefined || !isGone(holder, path, guard)) throw new AuditLockedError(holder, false)
  rmSync(path, { force: true })
  if (!createByLink(path, text)) throw new AuditLockedError(holderIn(path), true)
}

/**
 * Whether the holder has surely ended. A live holder on this kernel would hold the guard, which we hold. A holder on
 * another kernel has ended if only one kernel can mount this file system at a time. Otherwise it counts as alive.
 */
function isGone(holder: Holder, path: string, guard: Guard | undefined): boolean {
  if (guard === undefined || holder.guard === '') return false
  const isLocal = isOfThisBoot(holder)
  if (isLocal === false) return isOfOneKernel(path)
  return holder.guard === guard.inode && (isLocal === true || isOfOneKernel(path))
}

/** Linux file systems (statfs(2)) that one kernel at a time can mount: ext, XFS, Btrfs, F2FS, ZFS, tmpfs, overlay. */
const OF_ONE_KERNEL = [0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x2fc12fc1, 0x01021994, 0x794c7630]

function isOfOneKernel(path: string): boolean {
  return OF_ONE_KERNEL.includes(statfsSync(dirname(path)).type)
}

/** `link` either creates the file with its whole content, or fails because it exists. */
function createByLink(path: string, text: string): boolean {
  const written = `${path}.${randomBytes(6).toString('hex')}`
  try {
    // Flushed, so that a power cut leaves no empty lock, whose holder would be unknown.
    writeFileSync(written, text, { flag: 'wx', mode: 0o600, flush: true })
    linkSync(written, path)
    return true
  } catch (error) {
    if ((error as { code?: unknown }).code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(written, { force: true })
  }
}

function holderIn(path: string): Holder | undefined {
  return readHolder(textOf(path))
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
