/** Writes the files of an audit trail: lines, heads, and new files, so that a power cut takes nothing acknowledged. */

import type { AuditDisk, AuditFile } from './disk.ts'
import { writeWhole } from './disk.ts'
import type { AuditHead, AuditKey, AuditLine, AuditRecord, HeadPlace } from './line.ts'
import { encodeHead, encodeHeads, encodeLine, HEAD_BYTES } from './line.ts'
import type { Lock } from './lock.ts'
import type { Recovered } from './recovery.ts'
import { AuditDamageError } from './recovery.ts'

export interface Writer {
  /** Resolves when the disk has all of the records. */
  write(records: readonly AuditRecord[]): Promise<void>
  /** Closes the files; the next group opens them again. */
  release(): Promise<void>
  /** Closes the trail so that no file of it can be reset to an older head. */
  finish(): Promise<void>
}

export interface WriterOptions {
  readonly file: string
  readonly maxBytes: number
  readonly key: AuditKey
  readonly disk: AuditDisk
  readonly lock: Lock
}

export function createWriter(options: WriterOptions, found: Recovered): Writer {
  return new TrailWriter(options, found)
}

interface Handles {
  readonly lines: AuditFile
  readonly head: AuditFile
}

class TrailWriter implements Writer {
  readonly #file: string
  readonly #headFile: string
  readonly #maxBytes: number
  readonly #key: AuditKey
  readonly #disk: AuditDisk
  readonly #lock: Lock
  readonly #trail: string
  /** The last line that the disk has. */
  #last: AuditLine
  /** Sequence of the first line of the newest file. */
  #first: number
  /** Length of the newest file. */
  #bytes: number
  /** May follow after `#bytes`, since it was written here and never acknowledged: only that is ever truncated. */
  #unacknowledged: Buffer
  #handles: Handles | undefined
  /** Inode of the newest file. */
  #inode: number | undefined
  /** Place of the next head. */
  #place: HeadPlace = 0

  constructor({ file, maxBytes, key, disk, lock }: WriterOptions, found: Recovered) {
    this.#file = file
    this.#headFile = `${file}.head`
    this.#maxBytes = maxBytes
    this.#key = key
    this.#disk = disk
    this.#lock = lock
    this.#trail = found.trail
    this.#last = found.last
    this.#first = found.first
    this.#bytes = found.bytes
    this.#unacknowledged = found.torn
  }

  async write(records: readonly AuditRecord[]): Promise<void> {
    if (this.#bytes > this.#maxBytes) await this.#rotate()
    const { lines, head } = await this.#open()
    await this.#throwIfForeign({ lines, head })
    const { content, end } = this.#encodeGroup(records)
    this.#unacknowledged = content
    await writeWhole(lines, content)
    await lines.sync()
    // From here on the disk has them, acknowledged or not: a head may name them.
    this.#last = end
    this.#bytes += content.length
    this.#unacknowledged = Buffer.alloc(0)
    await this.#writeHead(head)
  }

  async release(): Promise<void> {
    await this.#handles?.lines.close().catch(() => undefined)
    await this.#handles?.head.close().catch(() => undefined)
    this.#handles = undefined
  }

  async finish(): Promise<void> {
    await this.#lock.check()
    await this.release()
    await this.#open()
    await this.release()
  }

  get #head(): AuditHead {
    return { trail: this.#trail, ...this.#last, first: this.#first }
  }

  async #open(): Promise<Handles> {
    if (this.#handles !== undefined) return this.#handles
    // A file that had lines and is gone must not come back empty.
    const lines = await this.#disk.open(this.#file, this.#bytes === 0 ? 'append-or-create' : 'append')
    try {
      await this.#truncateUnacknowledged(lines)
      // A head may only name lines that the disk has.
      await lines.sync()
      await this.#replaceHeads(this.#head)
      this.#handles = { lines, head: await this.#disk.open(this.#headFile, 'edit') }
    } catch (error) {
      await lines.close().catch(() => undefined)
      throw error
    }
    return this.#handles
  }

  async #truncateUnacknowledged(lines: AuditFile): Promise<void> {
    const { size, ino } = await lines.stat()
    // A copy in its place, even an equal one, is not the file that was acknowledged.
    this.#inode ??= ino
    if (ino !== this.#inode) throw new AuditDamageError()
    const length = size - this.#bytes
    if (length === 0) return
    if (length < 0 || length > this.#unacknowledged.length) throw new AuditDamageError()
    const rest = await lines.read(this.#bytes, length)
    if (!rest.equals(this.#unacknowledged.subarray(0, length))) throw new AuditDamageError()
    await lines.truncate(this.#bytes)
  }

  /** Replaces both heads at once, so that a crash tears neither of them. */
  async #replaceHeads(head: AuditHead): Promise<void> {
    const whole = await this.#disk.open(`${this.#headFile}.new`, 'replace')
    try {
      await writeWhole(whole, Buffer.from(encodeHeads(head, this.#key)))
      await whole.sync()
    } finally {
      await whole.close()
    }
    await this.#disk.rename(`${this.#headFile}.new`, this.#headFile)
    // Otherwise a power cut may take a new file with all that is in it.
    await this.#disk.syncFolder(this.#file)
    this.#place = 0
  }

  /** If another process has moved, removed, truncated or written a file, what would be written now might be lost. */
  async #throwIfForeign({ lines, head }: Handles): Promise<void> {
    await this.#lock.check()
    const size = await this.#sizeIfSame(lines, this.#file)
    await this.#sizeIfSame(head, this.#headFile)
    if (size !== this.#bytes) throw new AuditDamageError()
  }

  /** Resolves with the length of the file; rejects if `path` is another one, or none. */
  async #sizeIfSame(handle: AuditFile, path: string): Promise<number> {
    const [opened, named] = await Promise.all([handle.stat(), this.#disk.stat(path)])
    if (opened.ino !== named.ino || opened.dev !== named.dev) throw new AuditDamageError()
    return opened.size
  }

  /** Writes the head first: a missing file then was put aside, if the head says so, and is damage otherwise. */
  async #rotate(): Promise<void> {
    const aside = `${this.#file}.${String(this.#last.sequence).padStart(15, '0')}`
    if (await this.#disk.exists(aside)) throw new AuditDamageError()
    await this.#throwIfForeign(await this.#open())
    const first = this.#last.sequence + 1
    await this.#replaceHeads({ ...this.#head, first })
    await this.release()
    await this.#disk.rename(this.#file, aside)
    this.#bytes = 0
    this.#inode = undefined
    this.#unacknowledged = Buffer.alloc(0)
    this.#first = first
  }

  #encodeGroup(records: readonly AuditRecord[]): { content: Buffer; end: AuditLine } {
    const group = { trail: this.#trail, end: this.#last.sequence + records.length }
    let end = this.#last
    const texts = records.map((record) => {
      const { text, line } = encodeLine(record, end, group, this.#key)
      end = line
      return text
    })
    return { content: Buffer.from(texts.join(''), 'latin1'), end }
  }

  async #writeHead(handle: AuditFile): Promise<void> {
    const head = Buffer.from(encodeHead(this.#head, this.#place, this.#key))
    await writeWhole(handle, head, this.#place * HEAD_BYTES)
    await handle.sync()
    this.#place = this.#place === 0 ? 1 : 0
  }
}
