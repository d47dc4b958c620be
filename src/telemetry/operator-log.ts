/** What the relay tells its operator: lines on standard error, or records for a function of the application. */

import { writeSync } from 'node:fs'
import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import { ignoreErrors } from '../base/ignore-errors.ts'
import { LogLimits } from './log-limits.ts'
import type { LogEntry, LogLevel, LogRecord, RelayLogger } from './log-record.ts'
import { suppressTracing } from './suppression.ts'

export interface OperatorLog {
  /** Whether decisions that are in order are written, too. */
  readonly hasDecisions: boolean
  /** Never throws. */
  write(entry: LogEntry): void
  /** Writes how many records were left out. */
  close(): void
}

/** Of the one relay of this thread; `undefined` if it is off. */
export let operatorLog: OperatorLog | undefined

export function setOperatorLog(next: OperatorLog | undefined): void {
  operatorLog?.close()
  operatorLog = next
}

export interface OperatorLogOptions {
  readonly log: LogLevel | RelayLogger
  readonly logFormat: 'text' | 'json'
}

/** Returns `undefined` if nothing is to be written. A function gets the decisions, too. */
export function createOperatorLog({ log, logFormat }: OperatorLogOptions): OperatorLog | undefined {
  if (log === 'off') return undefined
  const write = typeof log === 'function' ? log : logFormat === 'json' ? writeJson : writeText
  const hasDecisions = log !== 'problems'
  const limits = new LogLimits((entry, omitted) => ignoreErrors(() => emit(write, entry, omitted)))
  return {
    hasDecisions,
    write(entry) {
      const isWanted = hasDecisions || entry.severity !== 'info' || entry.event === 'start'
      if (isWanted) ignoreErrors(() => limits.add(entry))
    },
    close: () => limits.close(),
  }
}

function emit(write: RelayLogger, entry: LogEntry, omitted: number): void {
  const { severity, event, message } = entry
  const attributes = entry.attributes?.() ?? {}
  // A logger may send its records over HTTP, which is no work of the caller.
  context.with(suppressTracing(ROOT_CONTEXT), () =>
    write({ severity, event, message: oneLine(message), omitted, attributes }),
  )
}

/** Longer than any line that the relay makes of sensible options. */
const MAX_CHARS = 1_000

/** Escapes what a terminal or a reader of lines would take for more than text. */
function oneLine(text: string): string {
  return escapeControls(text.slice(0, MAX_CHARS))
}

/** The escapes are those of JSON. */
function escapeControls(text: string): string {
  return text.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function writeText({ message, omitted }: LogRecord): void {
  writeLine(`otel-token-relay: ${message}${omitted === 0 ? '' : ` (${omitted} more)`}`)
}

function writeJson({ severity, event, message, omitted, attributes }: LogRecord): void {
  const time = new Date().toISOString()
  const record = { time, severity, name: 'otel-token-relay', event, message, omitted, attributes }
  writeLine(escapeControls(JSON.stringify(record)))
}

/** Without `process.stderr`, which need not be open yet, and may be replaced. A line that finds no room is dropped. */
function writeLine(line: string): void {
  writeSync(2, `${line}\n`)
}
