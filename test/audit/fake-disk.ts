/** A disk in memory that answers with faults, and that a power cut takes everything from which was not synced. */

import { basename, dirname } from 'node:path'
import type { AuditDisk, AuditFile, FileIdentity, OpenMode } from '../../src/audit/disk.ts'

/** What is done to the disk, in order: `sync audit.jsonl`. */
export type Fault = (operation: string) => 'fail' | 'short' | undefined

interface Inode {
  readonly ino: number
  content: Buffer
  /** What a power cut leaves of it for certain. */
  synced: Buffer
  /** Each state since then: a power cut may leave any of them. */
  states: Buffer[]
}

type Names = Map<string, Inode>

export interface FakeDisk extends AuditDisk {
  readonly operations: string[]
  fault: Fault
  /** What is there after a power cut. `keep` chooses among the states that it may leave: 0 is the oldest, 1 the newest. */
  afterPowerCut(keep: () => number): FakeDisk
  /** What is there after the process was killed. */
  afterKill(): FakeDisk
  textOf(path: string): string
  names(): readonly string[]
  truncate(path: string, bytes: number): void
  /** What another process appends. */
  append(path: string, text: string): void
}

class DiskError extends Error {
  readonly code: string

  constructor(code: string) {
    super(code)
    this.code = code
  }
}

let inodes = 0

export function createFakeDisk(initial: Names = new Map()): FakeDisk {
  const operations: string[] = []
  let names: Names = initial
  /** Each state of the folder since it was synced. */
  let folders: Names[] = [new Map(names)]

  function happen(operation: string, path: string): 'short' | undefined {
    const what = `${operation} ${basename(path)}`
    operations.push(what)
    const fault = disk.fault(what)
    if (fault === 'fail') throw new DiskError('EIO')
    return fault
  }
  function create(path: string): Inode {
    inodes += 1
    const inode = { ino: inodes, content: Buffer.alloc(0), synced: Buffer.alloc(0), states: [] }
    names = new Map(names).set(path, inode)
    folders.push(names)
    return inode
  }
  function change(inode: Inode, content: Buffer): void {
    inode.content = content
    inode.states.push(content)
  }
  function rename(from: string, to: string): void {
    happen('rename', from)
    const inode = names.get(from)
    if (inode === undefined) throw new DiskError('ENOENT')
    names = new Map(names).set(to, inode)
    names.delete(from)
    folders.push(names)
  }
  function find(path: string): Inode {
    const inode = names.get(path)
    if (inode === undefined) throw new DiskError('ENOENT')
    return inode
  }
  const identityOf = ({ ino, content }: Inode): FileIdentity => ({ dev: 1, ino, size: content.length })

  function open(path: string, mode: OpenMode): AuditFile {
    happen('open', path)
    const inode = mode === 'append' || mode === 'edit' ? find(path) : (names.get(path) ?? create(path))
    if (mode === 'replace') change(inode, Buffer.alloc(0))
    return fileOf(path, inode)
  }
  function fileOf(path: string, inode: Inode): AuditFile {
    return {
      stat: async () => identityOf(inode),
      read: async (position, length) => inode.content.subarray(position, position + length),
      async write(content, position = inode.content.length) {
        const fault = happen('write', path)
        const taken = fault === 'short' ? content.subarray(0, Math.ceil(content.length / 2)) : content
        const end = position + taken.length
        change(inode, Buffer.concat([inode.content.subarray(0, position), taken, inode.content.subarray(end)]))
        return taken.length
      },
      async sync() {
        happen('sync', path)
        inode.synced = inode.content
        inode.states = []
      },
      async truncate(bytes) {
        happen('truncate', path)
        change(inode, inode.content.subarray(0, bytes))
      },
      close: async () => undefined,
    }
  }
  function stateAfter(folder: Names, contentOf: (inode: Inode) => Buffer): FakeDisk {
    const kept = new Map<Inode, Inode>()
    return createFakeDisk(
      new Map(
        [...folder].map(([path, inode]) => {
          const content = contentOf(inode)
          const copy = kept.get(inode) ?? { ino: inode.ino, content, synced: content, states: [] }
          kept.set(inode, copy)
          return [path, copy]
        }),
      ),
    )
  }

  const disk: FakeDisk = {
    operations,
    fault: () => undefined,
    readNow: (path) => names.get(path)?.content,
    createNow(path, content) {
      const inode = create(`${path}.new`)
      change(inode, Buffer.from(content))
      inode.synced = inode.content
      inode.states = []
      rename(`${path}.new`, path)
    },
    open: async (path, mode) => open(path, mode),
    stat: async (path) => identityOf(find(path)),
    exists: async (path) => names.has(path),
    rename: async (from, to) => rename(from, to),
    async syncFolder(path) {
      happen('sync', dirname(path))
      folders = [names]
    },
    afterPowerCut(keep) {
      const choose = <T>(states: readonly T[]): T => states[Math.round(keep() * (states.length - 1))] as T
      return stateAfter(choose(folders), ({ synced, states }) => choose([synced, ...states]))
    },
    afterKill: () => stateAfter(names, ({ content }) => content),
    textOf: (path) => find(path).content.toString('latin1'),
    names: () => [...names.keys()],
    append: (path, text) => void change(find(path), Buffer.concat([find(path).content, Buffer.from(text)])),
    truncate: (path, bytes) => void change(find(path), find(path).content.subarray(0, bytes)),
  }
  return disk
}
