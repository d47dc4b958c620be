/** Starts a program with the probe, collects what it reports, and ends it. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { setTimeout } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { packageUrl } from '../../base/package-url.ts'
import type { Environment } from '../../config/environment.ts'
import type { Explanation } from '../../destination/explain.ts'
import { UsageError } from '../report.ts'

interface Reported {
  readonly pid: number
  /** Of the thread; 0 is the main one. */
  readonly thread: number
}

export interface ReportedStart extends Reported {
  readonly kind: 'start'
  readonly node: string
}

export interface ReportedServer extends Reported {
  readonly kind: 'server'
  readonly type: 'http' | 'https' | 'http2'
  /** Both are absent if it listens on a path. */
  readonly host?: string
  readonly port?: number
}

export interface ReportedState extends Reported {
  readonly kind: 'state'
  /** The version of the active relay, if there is one. */
  readonly relay?: string
  /** Whether requests are refused; `open` if a gate lets all of them pass. */
  readonly gate: 'closed' | 'open' | 'none'
  readonly hasAdapter: boolean
  readonly egressMode?: string
  /** The clients that are loaded, such as `undici 8.12.4`. */
  readonly clients: readonly string[]
}

export interface ReportedCall extends Reported {
  readonly kind: 'call'
  readonly client: string
  readonly destination: string
  readonly explanation?: Explanation
}

export type Entry = ReportedStart | ReportedServer | ReportedState | ReportedCall

/** A program that has been started. */
export interface Observed {
  /** What it has reported so far. */
  entries(): readonly Entry[]
  /** Resolves once `isDone` says so of what was reported, or with `false` if the program or the time ends before. */
  until(isDone: (entries: readonly Entry[]) => boolean, deadlineMillis: number): Promise<boolean>
  hasEnded(): boolean
  exitCode(): number | null
  end(): Promise<void>
}

const POLL_MILLIS = 50
const GRACE_MILLIS = 5_000

/** Its output goes to standard error, so that standard output has the report only. */
export async function startObserved(program: readonly string[], env: Environment): Promise<Observed> {
  const folder = mkdtempSync(join(tmpdir(), 'otel-token-relay-doctor-'))
  const file = join(folder, 'reports')
  const [command = '', ...args] = program
  const options = [env['NODE_OPTIONS'], `--import=${probeUrl()}`].filter(Boolean).join(' ')
  const child = spawn(command, args, {
    stdio: ['ignore', 2, 2],
    env: { ...env, NODE_OPTIONS: options, OTEL_TOKEN_RELAY_DOCTOR_FILE: file },
    // A group of its processes, so that all of them can be ended.
    detached: process.platform !== 'win32',
  })
  await once(child, 'spawn').catch(() => {
    rmSync(folder, { recursive: true, force: true })
    throw new UsageError('the program after -- cannot be started')
  })
  const ended = once(child, 'exit')
  const kill = (signal: NodeJS.Signals): void => killGroup(child.pid ?? 0, signal)
  const onSignal = (): void => kill('SIGTERM')
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null
  const entries = (): readonly Entry[] => readEntries(file)

  return {
    entries,
    hasEnded,
    exitCode: () => child.exitCode,
    async until(isDone, deadlineMillis) {
      for (;;) {
        if (isDone(entries())) return true
        if (hasEnded() || Date.now() >= deadlineMillis) return isDone(entries())
        await setTimeout(POLL_MILLIS)
      }
    },
    async end() {
      kill('SIGTERM')
      await Promise.race([ended, setTimeout(GRACE_MILLIS, undefined, { ref: false })])
      // Also the processes that its own has left behind.
      kill('SIGKILL')
      await ended
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, signal)
  } catch {
    // It has ended.
  }
}

function probeUrl(): string {
  const manifest = createRequire(packageUrl).resolve('otel-token-relay/package.json')
  return pathToFileURL(join(dirname(manifest), 'dist', 'cli', 'probe.js')).href
}

function readEntries(file: string): readonly Entry[] {
  let text = ''
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    // Nothing has been reported yet.
  }
  // The last line may be on its way.
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Entry]))
}
