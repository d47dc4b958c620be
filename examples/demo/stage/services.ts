/** Starts a service as an operator would: `node --require otel-token-relay/register`, set up by its environment. */

import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { keepLatest } from './keep-latest.ts'

export interface Service extends AsyncDisposable {
  readonly name: string
  readonly url: string
  /** The latest 1000 lines that it has written to its standard output and error streams. */
  readonly output: readonly string[]
}

export interface ServiceOptions {
  readonly name: string
  /** Its main file, below `folder`. */
  readonly file: string
  /** The program and its arguments, if it is not Node.js with `file`. */
  readonly command?: readonly [string, ...string[]]
  /** Where it runs; by default the folder `services` of the demo. */
  readonly folder?: string
  readonly env: Readonly<Record<string, string | undefined>>
}

const PRELOAD = ['--require', 'otel-token-relay/register']
const SERVICES = join(import.meta.dirname, '..', 'services')
const READY = / listens on (\w+:\/\/[\w.:]+)$/
const READY_MILLIS = 60_000
const STOP_MILLIS = 5_000
const MAX_LINES = 1_000

/** Resolves when the service listens; rejects with what it said when it does not. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { name, file, folder = SERVICES, env } = options
  const [program, ...args] = options.command ?? [process.execPath, ...PRELOAD, join(folder, file)]
  const child = spawn(program, args, {
    // The package is found from here by its own name.
    cwd: folder,
    env: { ...inheritedEnvironment(), ...env, OTEL_SERVICE_NAME: name },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  // The last resort, for an end of the demo that awaits nothing.
  const kill = (): unknown => child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))

  const output: string[] = []
  try {
    return { name, url: await untilReady(child, output), output, [Symbol.asyncDispose]: () => stop(child) }
  } catch {
    await stop(child)
    throw new Error([`${name} does not start`, ...output].join('\n  '))
  }
}

const SETTINGS = /^(?:TOKEN_RELAY|OTEL)_/

/** Ours, but for what would change the story: how a service is set up is said by its options alone. */
function inheritedEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !SETTINGS.test(name)))
}

/** Collects what `child` writes, from now on, and resolves with the URL in the line that says that it listens. */
function untilReady(child: ChildProcess, output: string[]): Promise<string> {
  return new Promise<string>((resolve, reject) => {
    setTimeout(reject, READY_MILLIS).unref()
    child.once('error', reject)
    child.once('close', reject)
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue
      createInterface(stream).on('line', (line) => {
        keepLatest(output, [line], MAX_LINES)
        const url = READY.exec(line)?.[1]
        if (url !== undefined) resolve(url)
      })
    }
  })
}

/** Asks it to end, which lets it export its last spans, and insists when it does not. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const ended = once(child, 'exit')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MILLIS)
  child.kill('SIGTERM')
  await ended
  clearTimeout(timer)
}
