/** Finds the line of the application that made a call, also if only callbacks and promises lead back to it. */

import { createHook, executionAsyncId } from 'node:async_hooks'
import { dirname, isAbsolute } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const MODULES = /[\\/]node_modules[\\/]/
const MAX_FRAMES = 60
/** What is remembered at once: the oldest goes first. */
const MAX_ORIGINS = 200_000
const MAX_STEPS = 500

/** Where an asynchronous resource was created. Its stack is only read if it is asked for. */
interface Origin {
  readonly parent: number
  readonly at: Error
}

/** Finds lines of the application. Slow: it remembers where every promise and timer was created. For tests. */
export interface CallSites {
  /** `src/orders.ts:12:5 (sendOrder)`; `undefined` if only libraries are on the way here. */
  current(): string | undefined
  stop(): void
}

export function watchCallSites(): CallSites {
  const origins = new Map<number, Origin>()
  const hook = createHook({
    init(id, _type, trigger) {
      const running = executionAsyncId()
      origins.set(id, { parent: running === 0 ? trigger : running, at: capture() })
      if (origins.size > MAX_ORIGINS) origins.delete(origins.keys().next().value ?? 0)
    },
  }).enable()

  return {
    current() {
      let site = firstFrame(capture())
      let id = executionAsyncId()
      for (let step = 0; site === undefined && step < MAX_STEPS; step += 1) {
        const origin = origins.get(id)
        if (origin === undefined || origin.parent === id) break
        site = firstFrame(origin.at)
        id = origin.parent
      }
      return site
    },
    stop() {
      hook.disable()
      origins.clear()
    },
  }
}

function capture(): Error {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = MAX_FRAMES
  const error = new Error('here')
  Error.stackTraceLimit = stackTraceLimit
  return error
}

/** The first frame that is neither of Node.js, nor of a package, nor of this one. */
function firstFrame({ stack = '' }: Error): string | undefined {
  for (const line of stack.split('\n').slice(1)) {
    const frame = parseFrame(line)
    if (frame !== undefined && isOfApplication(frame.file)) return describe(frame)
  }
  return undefined
}

interface Frame {
  readonly name: string | undefined
  readonly file: string
  readonly position: string
}

/** `at async name (file:line:column)`, or without the name and the brackets. */
const FRAME = /^\s*at (?:async )?(?:(.*) \()?((?:file:\/\/)?[^()]*?):(\d+:\d+)\)?$/

function parseFrame(line: string): Frame | undefined {
  const [, name, place = '', position = ''] = FRAME.exec(line) ?? []
  if (position === '') return undefined
  return { name, file: place.startsWith('file://') ? fileURLToPath(place) : place, position }
}

/** The folder of this package, `src` or `dist`. */
const OWN = ownFolder()

function ownFolder(): string | undefined {
  const file = parseFrame((new Error('here').stack ?? '').split('\n')[1] ?? '')?.file
  return file === undefined ? undefined : /^.*[\\/](?:src|dist)(?=[\\/])/.exec(dirname(file))?.[0]
}

function isOfApplication(file: string): boolean {
  return isAbsolute(file) && !MODULES.test(file) && (OWN === undefined || !file.startsWith(OWN))
}

function describe({ name, file, position }: Frame): string {
  const root = `${process.cwd()}/`
  const shown = file.startsWith(root) ? file.slice(root.length) : file
  return `${shown}:${position}${name === undefined || name.startsWith('<') ? '' : ` (${name})`}`
}
