/** An application outside of this repository that has the packed artifact and the named packages installed, no others. */

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ROOT, readDocument } from '../docs/markdown.ts'
import { PACKED, quietEnvironment } from './scratch.ts'

export interface Standalone {
  write(files: Readonly<Record<string, string>>): void
  /** What the program prints. */
  run(file: string): string
  /** The errors of TypeScript in `files` and in our declarations, one line each. */
  compile(files: Readonly<Record<string, string>>): readonly string[]
  [Symbol.dispose](): void
}

/** What every application has that uses this package. */
const { dependencies } = JSON.parse(readDocument('package.json')) as { readonly dependencies: object }
const BASE = ['@opentelemetry/api', '@opentelemetry/context-async-hooks', '@types/node', ...Object.keys(dependencies)]

export function createStandalone(packages: readonly string[] = []): Standalone {
  const folder = mkdtempSync(join(tmpdir(), 'standalone-'))
  const modules = join(folder, 'node_modules')
  for (const name of [...BASE, ...packages]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name), 'junction')
  }
  // A copy: what it imports is looked for here, and not in the repository.
  cpSync(PACKED, join(modules, 'otel-token-relay'), { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }')

  const standalone: Standalone = {
    write(files) {
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    },
    run(file) {
      const options = { cwd: folder, env: quietEnvironment(), encoding: 'utf8', timeout: 30_000 } as const
      const { stdout, stderr } = spawnSync(process.execPath, [file], options)
      return stdout + stderr
    },
    compile(files) {
      const compilerOptions = {
        target: 'es2023',
        lib: ['es2023'],
        module: 'nodenext',
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        types: ['node'],
        noEmit: true,
      }
      const config = JSON.stringify({ compilerOptions, files: Object.keys(files) })
      standalone.write({ ...files, 'tsconfig.json': config })
      const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
      const { stdout } = spawnSync(tsc, ['-p', folder, '--pretty', 'false'], {
        cwd: folder,
        env: quietEnvironment(),
        encoding: 'utf8',
      })
      // Frameworks have errors of their own.
      const isOurs = (line: string): boolean => !line.startsWith('..')
      return stdout.split('\n').filter((line) => line.includes('error TS') && isOurs(line))
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  }
  return standalone
}
