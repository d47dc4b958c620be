/** A folder inside of an application that has the packed artifact installed, for the length of one test file. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../docs/markdown.ts'
import type { OtelLine } from '../support/process.ts'

/** The packed artifact, as the application has it. */
export const PACKED = join(ROOT, 'test', 'otel-3', 'node_modules', 'otel-token-relay')

export interface Scratch {
  readonly folder: string
  write(files: Readonly<Record<string, string>>): void
  [Symbol.dispose](): void
}

export function createScratch(line: OtelLine = 'otel-3'): Scratch {
  const programs = join(ROOT, 'test', line, 'programs')
  mkdirSync(programs, { recursive: true })
  const folder = mkdtempSync(join(programs, 'scratch-'))
  return {
    folder,
    write(files) {
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** The environment of a program: nothing of ours, this Node.js first, no exporters. */
export function quietEnvironment(env: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    PATH: `${join(process.execPath, '..')}:${process.env['PATH'] ?? ''}`,
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_LOGS_EXPORTER: 'none',
    OTEL_TRACES_EXPORTER: 'none',
    OTEL_NODE_RESOURCE_DETECTORS: 'env',
    ...env,
  }
}
