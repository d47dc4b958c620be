/** An audit trail in a file: records are written in groups, and acknowledged when the disk has them. */

import { realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { monotonicNow } from '../base/clock.ts'
import type { AuditDisk } from './disk.ts'
import { NoRegularFileError, realDisk } from './disk.ts'
import type { AuditKey, AuditRecord } from './line.ts'
import { encodeHeads, newTrail, readHeads } from './line.ts'
import { lockTrail } from './lock.ts'
import type { Recovered } from './recovery.ts'
import { AuditDamageError, recover } from './recovery.ts'
import type { Writer } from './writer.ts'
import { createWriter } from './writer.ts'

export interface AuditTrail {
  /** Random, and the same for as long as the trail continues. */
  readonly id: string
  /**
   * Resolves when the record cannot be lost any more. Rejects if that is not sure; later records may still be written.
   */
  append(record: AuditRecord): Promise<void>
  /** Whether the last write succeeded, none takes too long, and there is room for more. */
  readonly writable: boolean
  /** Number of records that are not acknowledged yet. */
  readonly backlog: number
  /** Writes the records that wait, and releases the file. */
  close(): Promise<void>
}

export interface AuditTrailOptions {
  readonly file: string
  /** A file that exceeds this size is put aside, and a new one continues it. */
  readonly maxBytes: number
  readonly key: AuditKey
  /** How long to wait for another writer to end, in milliseconds. */
  readonly lockWaitMillis?: number
  /** For tests with a failing disk. */
  readonly disk?: AuditDisk
}

/** Most records that wait for the disk: more are not written, and their promises reject. */
const MAX_BACKLOG = 10_000
const MAX_GROUP = 1_000
/** How long the disk is left alone after a failure, in milliseconds: records are refused at once meanwhile. */
const RETRY_MILLIS = 1_000
/** A write that takes longer counts as failed, in milliseconds, even if it succeeds later. */
const MAX_WRITE_MILLIS = 5_000

/** The record may not be in the trail. The cause says whether the trail is damaged. */
export class AuditWriteError extends Error {
  override readonly name = 'AuditWriteError'

  constructor(cause?: unknown) {
    super('the audit trail cannot be written', { cause })
  }
}

/**
 * Opens the trail, finds its end after a crash, and locks it for this process and thread.
 *
 * @throws AuditLockedError if it has another writer, AuditDamageError if acknowledged records are missing or changed,
 * or the files hold anything that no writer of it has left, Error if the file cannot be used.
 */
export function openAuditTrail({ disk = realDisk, ...options }: AuditTrailOptions): AuditTrail {
  // One trail has one lock, whichever of its names is used.
  const file = realPathOf(options.file)
  const lock = lockTrail(file, options.lockWaitMillis)
  try {
    const found = findEnd(file, options.key, disk)
    return new FileTrail(found.trail, createWriter({ ...options, file, disk, lock }, found), () => lock.release())
  } catch (error) {
    lock.release()
    throw error
  }
}

function realPathOf(file: string): string {
  try {
    return realpathSync(file)
  } catch {
    return join(realpathSync(dirname(file)), basename(file))
  }
}

/** Synchronous: a service does not start before it is known whether its trail is intact. */
function findEnd(file: string, key: AuditKey, disk: AuditDisk): Recovered {
  const content = readRegularFile(file, disk)
  const heads = readRegularFile(`${file}.head`, disk)
  if (heads === undefined) {
    if (content !== undefined && content.length > 0) throw new AuditDamageError()
    disk.createNow(`${file}.head`, encodeHeads(newTrail(), key))
  }
  if (content === undefined && heads === undefined) disk.createNow(file, '')
  const read = readHeads((heads ?? readRegularFile(`${file}.head`, disk) ?? '').toString('latin1'), key)
  if (read === undefined) throw new AuditDamageError()
  return recover(content ?? Buffer.alloc(0), read, key)
}

function readRegularFile(file: string, disk: AuditDisk): Buffer | undefined {
  try {
    return disk.readNow(file)
  } catch (error) {
    throw error instanceof NoRegularFileError ? new AuditDamageError() : error
  }
}

interface QueuedRecord {
  readonly record: AuditRecord
  readonly resolve: () => void
  readonly reject: (reason: Error) => void
}

/** Times are on the monotonic clock. */
interface WriteFailure {
  readonly error: AuditWriteError
  readonly at: number
}

class FileTrail implements AuditTrail {
  readonly id: string
  readonly #writer: Writer
  readonly #unlock: () => void
  readonly #waiting: QueuedRecord[] = []
  /** The group that is being written. */
  #group: { readonly size: number; readonly startedAt: number } | undefined
  #failure: WriteFailure | undefined
  #draining: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(id: string, writer: Writer, unlock: () => void) {
    this.id = id
    this.#writer = writer
    this.#unlock = unlock
  }

  get writable(): boolean {
    const isSlow = this.#group !== undefined && monotonicNow() - this.#group.startedAt >= MAX_WRITE_MILLIS
    return this.#failure === undefined && this.#waiting.length < MAX_BACKLOG && !isSlow
  }

  get backlog(): number {
    return this.#waiting.length + (this.#group?.size ?? 0)
  }

  append(record: AuditRecord): Promise<void> {
    const failure = this.#failure
    const isPaused = failure !== undefined && monotonicNow() - failure.at < RETRY_MILLIS
    if (this.#closing !== undefined || isPaused || this.#waiting.length >= MAX_BACKLOG) {
      return Promise.reject(failure?.error ?? new AuditWriteError())
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ record, resolve, reject })
      this.#draining ??= Promise.resolve().then(() => this.#drain())
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish()
    return this.#closing
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) await this.#writeGroup(this.#waiting.splice(0, MAX_GROUP))
    this.#draining = undefined
  }

  async #writeGroup(group: readonly QueuedRecord[]): Promise<void> {
    this.#group = { size: group.length, startedAt: monotonicNow() }
    try {
      await this.#writer.write(group.map(({ record }) => record))
      this.#failure = undefined
      for (const { resolve } of group) resolve()
    } catch (cause) {
      const error = new AuditWriteError(cause)
      this.#failure = { error, at: monotonicNow() }
      await this.#writer.release()
      for (const { reject } of [...group, ...this.#waiting.splice(0)]) reject(error)
    }
    this.#group = undefined
  }

  async #finish(): Promise<void> {
    await this.#draining
    try {
      await this.#writer.finish()
    } catch {
      // The disk has what was acknowledged. If something is wrong, the next writer that opens the trail finds it.
    } finally {
      await this.#writer.release()
      this.#unlock()
    }
  }
}
