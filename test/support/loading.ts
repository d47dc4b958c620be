/** A folder inside of the application of `test/loading`, which has the packed artifact and tools that load programs. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../docs/markdown.ts'

/** The application. */
export const LOADING = join(ROOT, 'test', 'loading')
/** Its programs. */
export const PROGRAMS = join(LOADING, 'programs')

export interface LoadingFolder extends Disposable {
  /** Its `programs` folder is empty at first. */
  readonly folder: string
  write(name: string, text: string): string
}

export function createLoadingFolder(): LoadingFolder {
  const folder = mkdtempSync(join(LOADING, 'scratch-'))
  mkdirSync(join(folder, 'programs'))
  return {
    folder,
    write(name, text) {
      const path = join(folder, name)
      writeFileSync(path, text)
      return path
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  }
}
