/** Watches what this thread writes to standard output and standard error. */

import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import process from 'node:process'
import type { Undo } from '../base/patch-method.ts'
import { patchMethod } from '../base/patch-method.ts'

export type OutputStream = 'stdout' | 'stderr'

/** Called with the text before it is written. */
export type WatchText = (stream: OutputStream, written: string) => void

type Write = (this: unknown, ...args: unknown[]) => unknown
type Replacement = (args: readonly unknown[], write: () => unknown) => unknown

/** The file names and descriptors of standard output and standard error. */
const STREAMS = new Map<unknown, OutputStream>([
  ...([1, '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1'] as const).map((name) => [name, 'stdout'] as const),
  ...([2, '/dev/stderr', '/dev/fd/2', '/proc/self/fd/2'] as const).map((name) => [name, 'stderr'] as const),
])

const STREAM_METHODS = ['write', 'end'] as const
const FILE_FUNCTIONS = [
  ...['write', 'writeSync', 'writev', 'writevSync'],
  ...['writeFile', 'writeFileSync', 'appendFile', 'appendFileSync'],
] as const

/** Passes everything that is written to `watch`. Returns a function that undoes this. */
export function watchOutput(watch: WatchText): Undo {
  // A stream may write through `node:fs`: its text must count once.
  let isWriting = false

  function writeWatched(stream: OutputStream, [written, ...others]: readonly unknown[], write: () => unknown): unknown {
    if (isWriting) return write()
    watch(stream, textOf(written, others))
    isWriting = true
    try {
      return write()
    } finally {
      isWriting = false
    }
  }
  const writeFile: Replacement = ([name, ...written], write) => {
    const stream = STREAMS.get(name)
    return stream === undefined ? write() : writeWatched(stream, written, write)
  }
  const restore = [
    ...(['stdout', 'stderr'] as const).flatMap((stream) =>
      STREAM_METHODS.map((name) =>
        watchMethod(process[stream], name, (args, write) => writeWatched(stream, args, write)),
      ),
    ),
    ...FILE_FUNCTIONS.map((name) => watchMethod(fs, name, writeFile)),
    watchMethod(process, '_rawDebug', (args, write) => writeWatched('stderr', [args.map(String).join(' ')], write)),
  ]
  // Updates functions of `node:fs` that were imported by name.
  syncBuiltinESMExports()
  return () => {
    for (const undo of restore) undo()
    syncBuiltinESMExports()
  }
}

function watchMethod(owner: object, name: string, replacement: Replacement): Undo {
  return patchMethod<Write>(
    owner,
    name,
    (previous, patch) =>
      function watched(this: unknown, ...args: unknown[]): unknown {
        const write = (): unknown => Reflect.apply(previous, this, args)
        return patch.isActive ? replacement(args, write) : write()
      },
  )
}

/** Returns the written text: a string, bytes or a part of them, or a list of them. */
function textOf(written: unknown, others: readonly unknown[]): string {
  if (typeof written === 'string') return decodeString(written, others)
  if (Array.isArray(written)) return written.map((part) => textOf(part, [])).join('')
  if (!ArrayBuffer.isView(written)) return ''
  const bytes = Buffer.from(written.buffer, written.byteOffset, written.byteLength)
  const [from, length] = others
  const start = typeof from === 'number' ? from : 0
  return bytes.subarray(start, typeof length === 'number' ? start + length : undefined).toString('latin1')
}

function decodeString(written: string, others: readonly unknown[]): string {
  const encoding = others.find((other) => typeof other === 'string' && Buffer.isEncoding(other))
  return encoding === undefined ? written : Buffer.from(written, encoding as BufferEncoding).toString('latin1')
}
