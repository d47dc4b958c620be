/** The names that the functions of `dist`, which has few files, have in `src`. */

import { readdirSync, readFileSync } from 'node:fs'
import type { Profiler } from 'node:inspector'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const SRC = join(import.meta.dirname, '..', '..', 'src')
const IN_SOURCE = /^(?:export )?(?:async )?(?:function\*?|class|const|let) (\w+)/gm
const IN_DIST = /^(?:async )?(?:function\*?|class|const|let|var) (\w+)/

/** The source files that declare a name at their top level. */
const filesByName = new Map<string, string[]>()
for (const file of readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))) {
  for (const [, name = ''] of readFileSync(join(SRC, file), 'utf8').matchAll(IN_SOURCE)) {
    filesByName.set(name, [...(filesByName.get(name) ?? []), file])
  }
}

const linesByUrl = new Map<string, readonly string[]>()

/** Such as `telemetry/record.ts writeEvent`, or `context/caller.ts Caller.confirm`. */
export function nameOf({ functionName, url, lineNumber }: Profiler.ProfileNode['callFrame']): string {
  const outer = outerNameOf(url, lineNumber)
  const name = withoutSuffix(functionName)
  const files = filesByName.get(outer) ?? []
  const place = files.length === 1 ? files[0] : `${url.split('/dist/')[1] ?? url}:${lineNumber + 1}`
  if (name === outer) return `${place} ${outer}`
  return `${place} ${outer}${outer === '' ? '' : '.'}${name || '(anonymous)'}`
}

/** Two modules may have had the same name. */
function withoutSuffix(name: string): string {
  return name.replace(/\$\d+$/, '')
}

/** What is declared at the top level of the module, and has this line in it. */
function outerNameOf(url: string, lineNumber: number): string {
  let lines = linesByUrl.get(url)
  if (lines === undefined) {
    lines = readFileSync(fileURLToPath(url), 'utf8').split('\n')
    linesByUrl.set(url, lines)
  }
  for (let at = lineNumber; at >= 0; at -= 1) {
    const name = IN_DIST.exec(lines[at] ?? '')?.[1]
    if (name !== undefined) return withoutSuffix(name)
  }
  return ''
}
