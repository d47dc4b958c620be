/** Runs a program as a user would: another process, the packed artifact, the environment and preloads of the test. */

import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** The two lines of the OpenTelemetry SDK that the package supports. */
export type OtelLine = 'otel-2' | 'otel-3'
export const OTEL_LINES: readonly OtelLine[] = ['otel-3', 'otel-2']

export interface ProgramOptions {
  readonly line?: OtelLine
  /** Where the program and the package are, if not in the folder of `line`. */
  readonly folder?: string
  /** `node` options before the program, such as `['--require', 'otel-token-relay/register']`. */
  readonly preload?: readonly string[]
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export interface Program {
  /** What the program has reported as lines of JSON, merged. */
  readonly reported: Readonly<Record<string, unknown>>
  readonly stdout: () => string
  readonly stderr: () => string
  /** Resolves with the value once the program has reported `name`; rejects when it ends before. */
  report<T>(name: string): Promise<T>
  /** Writes a line to the program and resolves with the next value it reports as `name`. */
  ask<T>(name: string): Promise<T>
  /** Ends the program, politely, and resolves with its exit code. */
  stop(): Promise<number | null>
  /** Resolves with the exit code when it ends by itself. */
  readonly ended: Promise<number | null>
  [Symbol.asyncDispose](): Promise<void>
}

const QUIET = {
  OTEL_METRICS_EXPORTER: 'none',
  OTEL_LOGS_EXPORTER: 'none',
  OTEL_TRACES_EXPORTER: 'none',
  OTEL_NODE_RESOURCE_DETECTORS: 'env',
  OTEL_BSP_SCHEDULE_DELAY: '50',
  OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
}

export function startProgram(program: string, options: ProgramOptions = {}): Program {
  const cwd = options.folder ?? join(import.meta.dirname, '..', options.line ?? 'otel-3')
  const child = spawn(
    process.execPath,
    [...(options.preload ?? []), join('programs', program), ...(options.args ?? [])],
    {
      cwd,
      env: { PATH: process.env['PATH'], ...QUIET, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  )
  return observe(child)
}

const USUAL = /^otel-token-relay: (?:version |[45]\d\d ERR_TOKEN_|withheld from )/

/** The lines on standard error that are neither the relay's start line nor about single tokens. */
export function complaintsIn(stderr: string): readonly string[] {
  return stderr.split('\n').filter((line) => line !== '' && !USUAL.test(line))
}

function observe(child: ChildProcessWithoutNullStreams): Program {
  const reported: Record<string, unknown> = {}
  const waiting = new Map<string, (value: unknown) => void>()
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    const report = parseReport(line)
    Object.assign(reported, report)
    for (const [name, value] of Object.entries(report)) waiting.get(name)?.(value)
  })
  const ended = once(child, 'close').then(([code]) => code as number | null)

  const program: Program = {
    reported,
    stdout: () => stdout,
    stderr: () => stderr,
    ended,
    async report<T>(name: string): Promise<T> {
      if (name in reported) return reported[name] as T
      const value = new Promise<unknown>((resolve) => waiting.set(name, resolve))
      const early = ended.then((code) => {
        throw new Error(`the program ended with ${code} before it reported "${name}":\n${stdout}${stderr}`)
      })
      return (await Promise.race([value, early])) as T
    },
    async ask<T>(name: string): Promise<T> {
      delete reported[name]
      child.stdin.write('\n')
      return program.report<T>(name)
    },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      return ended
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
  // A test that does not wait for the end does not care about it.
  ended.catch(() => undefined)
  return program
}

function parseReport(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
  } catch {
    return {}
  }
}
