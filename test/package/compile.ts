/** Compiles programs against the packed artifact, with strict settings. */

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { ROOT } from '../docs/markdown.ts'
import type { OtelLine } from '../support/process.ts'
import { createScratch, quietEnvironment } from './scratch.ts'

const scratches = { 'otel-2': createScratch('otel-2'), 'otel-3': createScratch('otel-3') }
afterAll(() => {
  for (const scratch of Object.values(scratches)) scratch[Symbol.dispose]()
})

interface Resolution {
  readonly module: string
  readonly moduleResolution: string
}

/** The errors that the compiler finds in `files`, one line each. Declarations of all packages are checked, too. */
export function compile(
  files: Readonly<Record<string, string>>,
  resolution: Partial<Resolution> = {},
  line: OtelLine = 'otel-3',
): readonly string[] {
  const scratch = scratches[line]
  const config = {
    compilerOptions: {
      target: 'es2023',
      lib: ['es2023'],
      module: 'nodenext',
      moduleResolution: 'nodenext',
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      types: ['node'],
      noEmit: true,
      ...resolution,
    },
    files: Object.keys(files),
  }
  scratch.write({ ...files, 'tsconfig.json': JSON.stringify(config) })
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
  const { stdout } = spawnSync(tsc, ['-p', scratch.folder, '--pretty', 'false'], {
    cwd: scratch.folder,
    env: quietEnvironment(),
    encoding: 'utf8',
  })
  return stdout.split('\n').filter((line) => line.includes('error TS'))
}
