/** The files of a trail at one moment, although its writer continues, and puts files aside, while they are read. */

import type { FileHandle } from 'node:fs/promises'
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** What is needed of the file system; a test lets the writer continue in between. */
export interface ReadingDisk {
  open(path: string): Promise<FileHandle>
  /** Rejects if there is no such file. */
  inodeOf(path: string): Promise<number>
  readText(path: string): Promise<string>
  list(folder: string): Promise<readonly string[]>
}

export const realReadingDisk: ReadingDisk = {
  open: (path) => open(path),
  inodeOf: async (path) => (await stat(path)).ino,
  readText: (path) => readFile(path, 'latin1'),
  list: (folder) => readdir(folder),
}

export interface Snapshot extends AsyncDisposable {
  /** The oldest first. All but the last one no longer change. */
  readonly files: readonly string[]
  /** The last one, open, since it may be renamed meanwhile. */
  readonly newest: FileHandle
  /** Those of `files` that were not given, since they were put aside later. */
  readonly added: readonly string[]
  /** Content of the head; `undefined` if there is none. */
  readonly head: string | undefined
}

export const PUT_ASIDE = /\.(\d{15})$/

/** Returns the file that a trail is written to, for any of its files. */
export function currentFileOf(file: string): string {
  return file.replace(PUT_ASIDE, '')
}

/** How often the writer may interfere, or be between two files, before that is an error. */
const MAX_ATTEMPTS = 100
const PAUSE_MILLIS = 20

/**
 * Finds `files`, the oldest first, and those that were put aside since they were listed; opens the newest one, and
 * reads the head of the same moment. `isWhole` says whether a head can be read, which it may not while it is written.
 * Rejects if there is no such file.
 */
export async function takeSnapshot(
  files: readonly string[],
  isWhole: (head: string | undefined) => boolean,
  disk: ReadingDisk,
): Promise<Snapshot> {
  let before: string | undefined
  for (let attempt = 1; ; attempt += 1) {
    const isLast = attempt === MAX_ATTEMPTS
    const snapshot = await trySnapshot(files, disk, isLast)
    // A head that does not change is not being written: if it cannot be read, that is reported.
    const isSettled = isLast || snapshot?.head === before || isWhole(snapshot?.head)
    if (snapshot !== undefined && isSettled) return snapshot
    before = snapshot?.head
    await snapshot?.[Symbol.asyncDispose]()
    await delay(PAUSE_MILLIS)
  }
}

/** Resolves with `undefined` if the writer has put the newest file aside meanwhile. */
async function trySnapshot(
  files: readonly string[],
  disk: ReadingDisk,
  isLast: boolean,
): Promise<Snapshot | undefined> {
  const path = files.at(-1) ?? ''
  let newest: FileHandle | undefined
  try {
    newest = await disk.open(path)
    const head = await headOf(currentFileOf(path), disk)
    const added = await putAsideSince(files, disk)
    if ((await disk.inodeOf(path)) !== (await newest.stat()).ino && !isLast) {
      await newest.close()
      return undefined
    }
    const { close } = newest
    return {
      files: files.toSpliced(-1, 0, ...added),
      newest,
      added,
      head,
      [Symbol.asyncDispose]: close.bind(newest),
    }
  } catch (error) {
    await newest?.close()
    // The newest file was put aside, and the next one does not exist yet.
    if ((error as { code?: unknown }).code === 'ENOENT' && !isLast) return undefined
    throw error
  }
}

async function headOf(file: string, disk: ReadingDisk): Promise<string | undefined> {
  return disk.readText(`${file}.head`).catch(() => undefined)
}

/** Returns the files that were put aside later than those in `files`, the oldest first. */
async function putAsideSince(files: readonly string[], disk: ReadingDisk): Promise<readonly string[]> {
  const newest = files.at(-1) ?? ''
  const before = files.at(-2)
  if (PUT_ASIDE.test(newest) || before === undefined) return []
  const names = await disk.list(dirname(newest))
  return names
    .filter((name) => PUT_ASIDE.test(name) && currentFileOf(name) === basename(newest))
    .filter((name) => name > basename(before))
    .toSorted()
    .map((name) => join(dirname(newest), name))
    .filter((path) => !files.includes(path))
}
