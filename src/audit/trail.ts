/** An audit trail in a file: lines are appended in groups, and acknowledged when the disk has them. */

import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { access, open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { AuditHead } from './head.ts'
import { encodeHead, HEAD_BYTES } from './head.ts'
import type { AuditKey, AuditLine, AuditRecord } from './line.ts'
import { encodeLine } from './line.ts'
import { lock } from './lock.ts'
import { AuditDamageError } from './recovery.ts'
import type { Repaired } from './repair.ts'
import { repair } from './repair.ts'

export interface AuditTrail {
  /** Resolves when the record cannot be lost any more. Rejects where that is not sure; later ones may be written. */
  append(record: AuditRecord): Promise<void>
  /** Whether the last attempt to write has succeeded, none takes too long, and there is room for more. */
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
/** A disk that has not answered for so long has failed, in milliseconds, whatever it may still say. */
const MAX_WRITE_MILLIS = 5_000

interface Waiting {
  readonly record: AuditRecord
  readonly resolve: () => void
  readonly reject: (reason: Error) => void
}

/** A record of which it is not sure that it is in the trail. */
export class AuditWriteError extends Error {
  override readonly name = 'AuditWriteError'

  constructor() {
    super('the audit trail cannot be written')
  }
}

/**
 * Opens the trail, repairs its end after a crash, and locks it for this process.
 *
 * @throws AuditDamageError where acknowledged records are missing or changed, Error where the file cannot be used.
 */
export function openAuditTrail(options: AuditTrailOptions): AuditTrail {
  const unlock = lock(`${options.file}.lock`)
  const writer = createWriter(options, repairOr(unlock, options))
  let writing: Promise<void> | undefined
  let failedAt = Number.NEGATIVE_INFINITY
  let startedAt = Number.POSITIVE_INFINITY
  let isFailing = false
  let isClosed = false
  let underWay = 0
  const waiting: Waiting[] = []

  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      const group = waiting.splice(0, MAX_GROUP)
      underWay = group.length
      startedAt = performance.now()
      try {
        await writer.write(group.map(({ record }) => record))
        isFailing = false
        for (const { resolve } of group) resolve()
      } catch {
        isFailing = true
        failedAt = performance.now()
        await writer.release()
        for (const { reject } of [...group, ...waiting.splice(0)]) reject(new AuditWriteError())
      }
      underWay = 0
    }
    startedAt = Number.POSITIVE_INFINITY
    writing = undefined
  }

  return {
    get writable() {
      return !isFailing && waiting.length < MAX_BACKLOG && performance.now() - startedAt < MAX_WRITE_MILLIS
    },
    get backlog() {
      return waiting.length + underWay
    },
    append(record) {
      const isWaiting = isFailing && performance.now() - failedAt < RETRY_MILLIS
      if (isClosed || isWaiting || waiting.length >= MAX_BACKLOG) return Promise.reject(new AuditWriteError())
      return new Promise((resolve, reject) => {
        waiting.push({ record, resolve, reject })
        writing ??= Promise.resolve().then(drain)
      })
    },
    async close() {
      isClosed = true
      await writing
      await writer.release()
      unlock()
    },
  }
}

function repairOr(unlock: () => void, { file, key }: AuditTrailOptions): Repaired {
  try {
    return repair(file, key)
  } catch (error) {
    unlock()
    throw error
  }
}

interface Handles {
  readonly lines: FileHandle
  readonly head: FileHandle
}

interface Writer {
  /** Fulfilled when the disk has all of them. */
  write(records: readonly AuditRecord[]): Promise<void>
  /** Closes the files: the next group opens them again. */
  release(): Promise<void>
}

function createWriter({ file, maxBytes, key }: AuditTrailOptions, repaired: Repaired): Writer {
  let { last, first, bytes, place }: Repaired = repaired
  let handles: Handles | undefined

  async function opened(): Promise<Handles> {
    if (handles === undefined) {
      const lines = await open(file, 'a', 0o600)
      const head = await open(`${file}.head`, constants.O_RDWR | constants.O_CREAT, 0o600).catch(async (error) => {
        await lines.close()
        throw error
      })
      handles = { lines, head }
      // Without this a new file, and all that is in it, may be gone after a power cut.
      await syncFolder(file)
      const { size } = await lines.stat()
      // Of a group that could not be written, and could not be cut away then.
      if (size > bytes) await lines.truncate(bytes)
    }
    await refuseForeign(handles)
    return handles
  }

  /** Whoever has moved, removed, cut or written a file meanwhile: what would be written now might be lost. */
  async function refuseForeign({ lines, head }: Handles): Promise<void> {
    const size = await sizeIfThere(lines, file)
    await sizeIfThere(head, `${file}.head`)
    if (size !== bytes) throw new AuditDamageError()
  }

  /** Lines of a group that could not be written are cut away: the next one takes their place. */
  async function writeLines({ lines }: Handles, content: Buffer): Promise<void> {
    try {
      await writeWhole(lines, content)
      await lines.datasync()
    } catch (error) {
      await lines.truncate(bytes).catch(() => undefined)
      throw error
    }
  }

  async function writeHead({ head }: Handles, next: AuditHead): Promise<void> {
    await writeWhole(head, Buffer.from(encodeHead(next, key)), (1 - place) * HEAD_BYTES)
    await head.datasync()
    place = 1 - place
  }

  /** The head comes first, so that a file that is not there was put aside, or its absence is damage. */
  async function rotate(): Promise<void> {
    const aside = `${file}.${String(last.sequence).padStart(15, '0')}`
    const isTaken = await access(aside).then(
      () => true,
      () => false,
    )
    if (isTaken) throw new AuditDamageError()
    await writeHead(await opened(), { ...last, first: last.sequence + 1 })
    await release()
    await rename(file, aside)
    bytes = 0
    first = last.sequence + 1
  }

  async function release(): Promise<void> {
    await handles?.lines.close().catch(() => undefined)
    await handles?.head.close().catch(() => undefined)
    handles = undefined
  }

  return {
    release,
    async write(records) {
      if (bytes > maxBytes) await rotate()
      const open = await opened()
      let line: AuditLine = last
      const texts = records.map((record) => {
        const encoded = encodeLine(record, line, key)
        line = encoded.line
        return encoded.text
      })
      const content = Buffer.from(texts.join(''), 'latin1')
      await writeLines(open, content)
      // From here on they are there, acknowledged or not: a head may name them.
      last = line
      bytes += content.length
      await writeHead(open, { ...line, first })
    },
  }
}

async function writeWhole(handle: FileHandle, content: Buffer, position?: number): Promise<void> {
  for (let at = 0; at < content.length; ) {
    const where = position === undefined ? null : position + at
    at += (await handle.write(content, at, content.length - at, where)).bytesWritten
  }
}

/** How long the file is; rejects where `path` is another one, or none. */
async function sizeIfThere(handle: FileHandle, path: string): Promise<number> {
  const [own, there] = await Promise.all([handle.stat(), stat(path)])
  if (own.ino !== there.ino || own.dev !== there.dev) throw new AuditDamageError()
  return own.size
}

async function syncFolder(file: string): Promise<void> {
  const folder = await open(dirname(file), constants.O_RDONLY)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
