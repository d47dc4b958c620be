/** Compiles the Nest programs with the repository's compiler: legacy decorators are not erasable syntax. */

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { OtelLine } from './process.ts'

/** Compiles for `line`, where the packed artifact is found; programs are then in `nest/dist`. */
export function compileNestPrograms(line: OtelLine): void {
  const root = join(import.meta.dirname, '..', '..')
  const project = join(root, 'test', line, 'programs', 'nest')
  const { status, stdout } = spawnSync(
    join(root, 'node_modules', '.bin', 'tsc'),
    ['-p', project, '--pretty', 'false'],
    {
      encoding: 'utf8',
      env: { PATH: `${join(process.execPath, '..')}:${process.env['PATH']}` },
    },
  )
  if (status !== 0) throw new Error(`the Nest programs do not compile:\n${stdout}`)
}
