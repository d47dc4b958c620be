/** One audit trail has one writer: across processes, threads and containers, after any crash, and under any name. */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { takeGuard } from '../../src/audit/guard.ts'
import { openAuditTrail } from '../../src/audit/trail.ts'
import { verifyAuditTrail } from '../../src/audit/verify.ts'
import { waitFor } from '../support/patience.ts'

let folder: string
let file: string
let opened: Opener[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'audit-lock-'))
  file = join(folder, 'audit.jsonl')
})
afterEach(async () => {
  for (const opener of opened) await opener.kill()
  opened = []
  rmSync(folder, { recursive: true, force: true })
})

interface Opener {
  /** The next line that it says. */
  next(): Promise<string>
  /** What comes of opening the trail. */
  go(): Promise<string>
  kill(): Promise<void>
}

/** A process that opens the trail when it is asked to; `within` is what it is started with. */
async function opener(within: readonly string[] = [], ...args: readonly string[]): Promise<Opener> {
  const [command = '', ...rest] = [...within, process.execPath, join(import.meta.dirname, 'opener.ts'), file, ...args]
  const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] })
  // Of a container this is when the last process in it has ended.
  const ended = once(child, 'close')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => String((await lines.next()).value)
  const made: Opener = {
    next,
    go() {
      child.stdin.write('go\n')
      return next()
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
  opened.push(made)
  expect(await next()).toBe('ready')
  return made
}

const CONTAINER = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc', '--net', '--ipc', '--uts']
const OTHER_HOST = [...CONTAINER, 'sh', '-c', 'hostname another && exec "$0" "$@"']
/** Runs a command after `mount`, which only it and its children see. */
const withMount = (mount: string) => [
  'unshare',
  '--mount',
  '--kill-child',
  '--fork',
  'sh',
  '-c',
  `${mount} && exec "$0" "$@"`,
]
const canUnshare = spawnSync('unshare', [...CONTAINER.slice(1), '--mount', 'true']).status === 0

async function write(count = 1): Promise<void> {
  const trail = openAuditTrail({ file, maxBytes: 1_000_000, key: undefined })
  const record = { timeMillis: 0, event: 'auth.token.verified', traceId: undefined, spanId: undefined, attributes: {} }
  for (let i = 0; i < count; i += 1) await trail.append(record)
  await trail.close()
}
/** A process that is killed ends a moment later in its container. */
const untilFree = (): Promise<void> =>
  waitFor(() => {
    const guard = takeGuard(`${file}.guard`, 0)
    if (guard === 'busy') throw new Error('still held')
    guard?.release()
  })
const lock = (): string => readFileSync(`${file}.lock`, 'utf8')
const LOCKED = { name: 'AuditLockedError', code: 'EEXIST' }

describe('a trail that has a writer [H19]', () => {
  it('is not opened again in its process, under whatever name', async () => {
    mkdirSync(join(folder, 'real'))
    const real = join(folder, 'real', 'audit.jsonl')
    symlinkSync(join(folder, 'real'), join(folder, 'alias'))
    const trail = openAuditTrail({ file: real, maxBytes: 1_000_000, key: undefined })
    symlinkSync(real, join(folder, 'link.jsonl'))
    for (const name of [real, join(folder, 'alias', 'audit.jsonl'), join(folder, 'link.jsonl')]) {
      expect(() => openAuditTrail({ file: name, maxBytes: 1_000_000, key: undefined })).toThrow(
        expect.objectContaining(LOCKED),
      )
    }
    await trail.close()
    openAuditTrail({ file: join(folder, 'link.jsonl'), maxBytes: 1_000_000, key: undefined })
  })

  it('is not opened again by another process, however often it is tried', async () => {
    const first = await opener()
    expect(await first.go()).toBe('written')
    for (let i = 0; i < 3; i += 1) {
      expect(await (await opener()).go()).toBe('AuditLockedError alive')
      await expect(write()).rejects.toMatchObject(LOCKED)
    }
    expect(await verifyAuditTrail([file], undefined)).toMatchObject({ lines: 1, findings: [] })
  })

  it('is not opened again by another thread of its process, nor by itself if /proc is hidden', async () => {
    const hidden = canUnshare ? [withMount('mount -t tmpfs none /proc')] : []
    for (const within of [[], ...hidden]) {
      const both = await opener(within, 'threads')
      expect(await both.next()).toBe('written')
      expect(await both.next()).toBe('thread AuditLockedError')
      await expect(write()).rejects.toMatchObject(LOCKED)
      await both.kill()
    }
    await write()
    expect(await verifyAuditTrail([file], undefined)).toMatchObject({ findings: [] })
  })

  it.runIf(canUnshare)('is not opened again in another container, of this host name or another', async () => {
    for (const within of [CONTAINER, OTHER_HOST]) {
      const holder = await opener(within)
      expect(await holder.go()).toBe('written')
      for (const other of [CONTAINER, OTHER_HOST, []]) {
        expect(await (await opener(other)).go()).toBe('AuditLockedError alive')
      }
      await holder.kill()
      await untilFree()
    }
    await write()
    expect(await verifyAuditTrail([file], undefined)).toMatchObject({ lines: 3, findings: [] })
  })

  it('stops writing if its lock is taken away, and leaves what the next one writes', async () => {
    const first = openAuditTrail({ file, maxBytes: 1_000_000, key: undefined })
    const record = {
      timeMillis: 0,
      event: 'auth.token.verified',
      traceId: undefined,
      spanId: undefined,
      attributes: {},
    }
    await first.append(record)
    rmSync(`${file}.lock`)
    rmSync(`${file}.guard`)
    const second = openAuditTrail({ file, maxBytes: 1_000_000, key: undefined })
    await expect(first.append(record)).rejects.toMatchObject({ cause: { name: 'AuditLockedError' } })
    await second.append(record)
    await first.close()
    await second.append(record)
    await second.close()
    expect(await verifyAuditTrail([file], undefined)).toMatchObject({ lines: 3, findings: [] })
  })
})

describe('a trail whose writer was killed', () => {
  it('is free', async () => {
    const first = await opener()
    expect(await first.go()).toBe('written')
    await first.kill()
    expect(lock()).toContain(`"host":"${hostname()}"`)
    await write()
  })

  it.runIf(canUnshare)('is free for a container of any name, in which processes have the same numbers', async () => {
    for (const [before, after] of [
      [CONTAINER, CONTAINER],
      [CONTAINER, OTHER_HOST],
      [OTHER_HOST, CONTAINER],
    ]) {
      const first = await opener(before)
      expect(await first.go()).toBe('written')
      await first.kill()
      await untilFree()
      const second = await opener(after)
      expect(await second.go()).toBe('written')
      await second.kill()
      await untilFree()
    }
    expect(await verifyAuditTrail([file], undefined)).toMatchObject({ lines: 6, findings: [] })
  })

  it('is free though no one has asked yet how it ended', async () => {
    const node = [process.execPath, join(import.meta.dirname, 'opener.ts'), file]
    // The shell becomes a program that knows nothing of its child, which stays as a zombie.
    const shell = spawn('sh', ['-c', `echo go | "$0" "$@" & echo $!; exec sleep 600`, ...node])
    const lines = createInterface({ input: shell.stdout })[Symbol.asyncIterator]()
    const pid = Number((await lines.next()).value)
    expect([await lines.next(), await lines.next()].map(({ value }) => value)).toEqual(['ready', 'written'])
    process.kill(pid, 'SIGKILL')
    await waitFor(() => expect(readFileSync(`/proc/${pid}/stat`, 'latin1')).toMatch(/\) Z /))
    await write()
    shell.kill('SIGKILL')
  })

  it('is free for one of those that start at once, and never for two', async () => {
    let writers = 0
    for (let run = 0; run < 4; run += 1) {
      const all = await Promise.all([1, 2, 3, 4].map(() => opener()))
      const answers = await Promise.all(all.map((each) => each.go()))
      const written = answers.filter((answer) => answer === 'written').length
      expect(written).toBeLessThanOrEqual(1)
      writers += written
      for (const each of all) await each.kill()
      expect(lock()).not.toBe('')
    }
    expect(writers).toBeGreaterThan(0)
    expect(await verifyAuditTrail([file], undefined)).toMatchObject({ lines: writers, findings: [] })
    expect(readdirSync(folder).toSorted()).toEqual(['', '.guard', '.head', '.lock'].map((end) => `audit.jsonl${end}`))
  })

  it('is free after the thread that wrote it was ended', async () => {
    const source = new URL('../../src/audit/trail.ts', import.meta.url).href
    const options = { file, maxBytes: 1_000_000 }
    const thread = new Worker(
      `import(${JSON.stringify(source)}).then(({ openAuditTrail }) => {
        globalThis.trail = openAuditTrail(${JSON.stringify(options)})
        require('node:worker_threads').parentPort.postMessage('open')
        setInterval(() => undefined, 1000)
      })`,
      { eval: true },
    )
    await once(thread, 'message')
    await expect(write()).rejects.toMatchObject(LOCKED)
    await thread.terminate()
    await write()
  })
})

describe('the lock that is left behind', () => {
  const left = (changes: object): void =>
    writeFileSync(`${file}.lock`, JSON.stringify({ ...JSON.parse(lock()), ...changes }))
  const OTHER_MACHINE = { host: 'another', boot: 'c0ffee', namespace: 'pid:[1]', pid: 1, started: '1' }
  beforeEach(async () => {
    const writer = await opener()
    await writer.go()
    await writer.kill()
  })

  it('is no one’s after a power cut, though another process has the number of the one that had it', async () => {
    const kept = lock()
    for (const pid of [process.pid, process.ppid, 1]) {
      writeFileSync(`${file}.lock`, kept)
      left({ boot: 'before the power cut', pid })
      await write()
    }
  })

  it('counts as held if it says nothing, or not enough', async () => {
    const whole = lock()
    const { guard: _, ...unguarded } = JSON.parse(whole) as Record<string, unknown>
    for (const text of [
      '',
      ' ',
      'null',
      '[]',
      '1',
      `${process.pid} 1`,
      whole.slice(0, -3),
      JSON.stringify(unguarded),
    ]) {
      writeFileSync(`${file}.lock`, text)
      await expect(write()).rejects.toMatchObject({ ...LOCKED, isAlive: false })
      expect(lock()).toBe(text)
    }
    for (const changes of [{ guard: '' }, { guard: '1' }, { pid: '1' }]) {
      writeFileSync(`${file}.lock`, whole)
      left(changes)
      await expect(write()).rejects.toMatchObject({ ...LOCKED, isAlive: false })
    }
  })

  it('counts as held if its writer had another guard than the one that is there now', async () => {
    // A second name keeps the number of the file from being given to the next one.
    linkSync(`${file}.guard`, `${file}.kept`)
    rmSync(`${file}.guard`)
    await expect(write()).rejects.toMatchObject({ ...LOCKED, isAlive: false })
    expect(statSync(`${file}.guard`).ino).not.toBe(statSync(`${file}.kept`).ino)
  })

  it('counts as held in a Node without SQLite, until it is removed', async () => {
    const { env } = process
    env['NODE_OPTIONS'] = '--no-experimental-sqlite'
    try {
      expect(await (await opener()).go()).toBe('AuditLockedError unknown')
      rmSync(`${file}.lock`)
      const first = await opener()
      expect(await first.go()).toBe('written')
      expect(await (await opener()).go()).toBe('AuditLockedError unknown')
      await expect(write()).rejects.toMatchObject({ ...LOCKED, isAlive: false })
      await first.kill()
      expect(await (await opener()).go()).toBe('AuditLockedError unknown')
      rmSync(`${file}.lock`)
      await write()
    } finally {
      delete env['NODE_OPTIONS']
    }
  })

  it.runIf(canUnshare)('counts as held by another machine if several machines may share the disk', async () => {
    const kept = lock()
    // A file system that is not known to be of one kernel at a time, as NFS is not.
    const shared = (text: string) =>
      withMount(`mount -t ramfs none ${folder} && printf %s '${text.trim()}' > ${file}.lock`)
    const started = await opener(shared(JSON.stringify({ ...JSON.parse(kept), ...OTHER_MACHINE })))
    expect(await started.go()).toBe('AuditLockedError unknown')
    // On a disk of this machine alone the other one is this one, before it was started again.
    left(OTHER_MACHINE)
    await write()
  })
})
