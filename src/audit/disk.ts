/** What an audit trail needs of the file system: little enough that a test can lose writes and fail. */

import { closeSync, constants, fstatSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { access, open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface FileIdentity {
  readonly dev: number
  readonly ino: number
  readonly size: number
}

export interface AuditFile {
  stat(): Promise<FileIdentity>
  /** Reads from `position` on, at most `length` bytes. */
  read(position: number, length: number): Promise<Buffer>
  /** Resolves with the number of bytes written, which may be fewer. Without `position` they are appended. */
  write(content: Buffer, position: number | undefined): Promise<number>
  /** Resolves when a power cut can no longer take the content. */
  sync(): Promise<void>
  truncate(bytes: number): Promise<void>
  close(): Promise<void>
}

/** How a file is opened. */
export type OpenMode = 'append' | 'append-or-create' | 'edit' | 'replace'

export interface AuditDisk {
  /**
   * Returns the content; `undefined` if there is no such file. Throws if it cannot be read or written, or is no regular
   * file.
   */
  readNow(path: string): Buffer | undefined
  /** Creates a file, or replaces it as a whole, so that a crash leaves all of it or nothing. */
  createNow(path: string, content: string): void
  open(path: string, mode: OpenMode): Promise<AuditFile>
  stat(path: string): Promise<FileIdentity>
  exists(path: string): Promise<boolean>
  rename(from: string, to: string): Promise<void>
  /** A created or renamed file survives a power cut only if its folder was synced, too. */
  syncFolder(file: string): Promise<void>
}

/** The name of a trail belongs to something other than a regular file. */
export class NoRegularFileError extends Error {
  override readonly name = 'NoRegularFileError'
}

const FLAGS: Readonly<Record<OpenMode, number>> = {
  append: constants.O_RDWR | constants.O_APPEND,
  'append-or-create': constants.O_RDWR | constants.O_APPEND | constants.O_CREAT,
  edit: constants.O_RDWR,
  replace: constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC,
}
const PRIVATE = 0o600

export const realDisk: AuditDisk = {
  readNow,
  createNow,
  open: async (path, mode) => auditFileOf(await open(path, FLAGS[mode], PRIVATE)),
  stat,
  exists: (path) =>
    access(path).then(
      () => true,
      () => false,
    ),
  rename,
  async syncFolder(file) {
    const folder = await open(dirname(file), constants.O_RDONLY)
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  },
}

function readNow(path: string): Buffer | undefined {
  try {
    // Without this, opening a pipe waits for its reader.
    const descriptor = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
    try {
      if (!fstatSync(descriptor).isFile()) throw new NoRegularFileError()
      return readFileSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined
    throw error
  }
}

function createNow(path: string, content: string): void {
  const descriptor = openSync(`${path}.new`, FLAGS.replace, PRIVATE)
  try {
    writeFileSync(descriptor, content)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(`${path}.new`, path)
}

function auditFileOf(handle: FileHandle): AuditFile {
  return {
    stat: () => handle.stat(),
    async read(position, length) {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position)
      return buffer.subarray(0, bytesRead)
    },
    write: async (content, position) => (await handle.write(content, 0, content.length, position ?? null)).bytesWritten,
    sync: () => handle.datasync(),
    truncate: (bytes) => handle.truncate(bytes),
    close: () => handle.close(),
  }
}

/** Writes all of `content`, even if the disk takes only a part at once. */
export async function writeWhole(file: AuditFile, content: Buffer, position?: number): Promise<void> {
  for (let at = 0; at < content.length; ) {
    const rest = content.subarray(at)
    at += await file.write(rest, position === undefined ? undefined : position + at)
  }
}
