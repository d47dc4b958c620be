/** An audit trail in a file: lines are appended in groups, and acknowledged when the disk has them. */

import { closeSync, constants, fsyncSync, ftruncateSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import process from 'node:process'
import { encodeHead, HEAD_BYTES, readHead } from './head.ts'
import type { AuditKey, AuditLine, AuditRecord } from './line.ts'
import { encodeLine } from './line.ts'
import { recover } from './recovery.ts'

export interface AuditTrail {
  /** Resolves when the record cannot be lost any more. Rejects where it could not be written; others may be, later. */
  append(record: AuditRecord): Promise<void>
  /** Whether the last attempt to write has succeeded. */
  readonly writable: boolean
  /** Records that are not acknowledged yet. */
  readonly backlog: number
  /** Writes what is waiting, and gives the file free. */
  close(): Promise<void>
}

export interface AuditTrailOptions {
  readonly file: string
  /** A file that has become larger is put aside, and a new one goes on from it. */
  readonly maxBytes: number
  readonly key: AuditKey
}

/** Most records that wait for the disk: whatever is more is not written, and its promise rejects. */
const MAX_BACKLOG = 10_000
const MAX_GROUP = 1_000
/** How long after a failure the disk is not asked again, in milliseconds: records of the meantime are refused at once. */
const RETRY_MILLIS = 1_000

interface Waiting {
  readonly record: AuditRecord
  readonly resolve: () => void
  readonly reject: (reason: Error) => void
}

/** A record that is not in the trail. */
export class AuditWriteError extends Error {
  override readonly name = 'AuditWriteError'
  readonly code = 'ERR_RELAY_AUDIT'

  constructor() {
    super('the audit trail cannot be written')
  }
}

/**
 * Opens the trail, repairs its end after a crash, and locks it for this process.
 *
 * @throws AuditDamageError where acknowledged records are missing or changed, Error where the file cannot be used.
 */
export function openAuditTrail({ file, maxBytes, key }: AuditTrailOptions): AuditTrail {
  const unlock = lock(`${file}.lock`)
  let { last, bytes } = repairOr(unlock, file, key)
  let handles: { readonly lines: FileHandle; readonly head: FileHandle } | undefined
  let headWrites = 0
  let writing: Promise<void> | undefined
  let failedAt = Number.NEGATIVE_INFINITY
  let writable = true
  const waiting: Waiting[] = []

  async function opened() {
    handles ??= {
      lines: await open(file, 'a', 0o600),
      head: await open(`${file}.head`, constants.O_RDWR | constants.O_CREAT, 0o600),
    }
    return handles
  }

  /** Lines that were written but not acknowledged are cut away: the next group takes their place. */
  async function writeGroup(group: readonly Waiting[]): Promise<void> {
    const { lines, head } = await opened()
    let line = last
    const texts = group.map(({ record }) => {
      const encoded = encodeLine(record, line, key)
      line = encoded.line
      return encoded.text
    })
    const content = Buffer.from(texts.join(''))
    try {
      await writeWhole(lines, content)
      await lines.datasync()
      await writeHead(head, line)
    } catch (error) {
      await lines.truncate(bytes).catch(() => undefined)
      throw error
    }
    last = line
    bytes += content.length
    if (bytes > maxBytes) await rotate()
  }

  async function writeHead(head: FileHandle, line: AuditLine): Promise<void> {
    await head.write(encodeHead(line, key), (headWrites % 2) * HEAD_BYTES)
    await head.datasync()
    headWrites += 1
  }

  async function rotate(): Promise<void> {
    await handles?.lines.close()
    await handles?.head.close()
    handles = undefined
    await rename(file, `${file}.${String(last.sequence).padStart(15, '0')}`)
    bytes = 0
    syncFolder(file)
  }

  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      const group = waiting.splice(0, MAX_GROUP)
      try {
        await writeGroup(group)
        writable = true
        for (const { resolve } of group) resolve()
      } catch {
        writable = false
        failedAt = performance.now()
        await handles?.lines.close().catch(() => undefined)
        await handles?.head.close().catch(() => undefined)
        handles = undefined
        for (const { reject } of [...group, ...waiting.splice(0)]) reject(new AuditWriteError())
      }
    }
    writing = undefined
  }

  return {
    get writable() {
      return writable
    },
    get backlog() {
      return waiting.length
    },
    append(record) {
      const isFull = waiting.length >= MAX_BACKLOG
      if (isFull || (!writable && performance.now() - failedAt < RETRY_MILLIS))
        return Promise.reject(new AuditWriteError())
      return new Promise((resolve, reject) => {
        waiting.push({ record, resolve, reject })
        writing ??= Promise.resolve().then(drain)
      })
    },
    async close() {
      await writing
      await handles?.lines.close()
      await handles?.head.close()
      handles = undefined
      unlock()
    },
  }
}

async function writeWhole(handle: FileHandle, content: Buffer): Promise<void> {
  for (let at = 0; at < content.length; ) at += (await handle.write(content, at)).bytesWritten
}

function repairOr(unlock: () => void, file: string, key: AuditKey): { last: AuditLine; bytes: number } {
  try {
    return repair(file, key)
  } catch (error) {
    unlock()
    throw error
  }
}

/** Synchronous: a service does not start before it is known whether its trail is good. */
function repair(file: string, key: AuditKey): { last: AuditLine; bytes: number } {
  const descriptor = openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600)
  try {
    const content = readFileSync(descriptor)
    const head = headOf(file, key)
    const { last, wholeBytes } = recover(content, head, key)
    if (head === undefined) writeFileSync(`${file}.head`, encodeHead(last, key), { flush: true, mode: 0o600 })
    if (wholeBytes < content.length) ftruncateSync(descriptor, wholeBytes)
    fsyncSync(descriptor)
    syncFolder(file)
    return { last, bytes: wholeBytes }
  } finally {
    closeSync(descriptor)
  }
}

function headOf(file: string, key: AuditKey): AuditLine | undefined {
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

/** Two writers would break each other's chain. The lock of a process that is gone is nobody's. */
function lock(path: string): () => void {
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EEXIST' || isHeld(path)) throw error
    rmSync(path, { force: true })
    writeFileSync(path, String(process.pid), { flag: 'wx', mode: 0o600 })
  }
  return () => rmSync(path, { force: true })
}

function isHeld(path: string): boolean {
  const holder = Number(readFileSync(path, 'latin1'))
  // In a container every process is the first one.
  if (!Number.isSafeInteger(holder) || holder < 1 || holder === process.pid) return false
  try {
    process.kill(holder, 0)
    return true
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM'
  }
}
