/** Reads secrets, keys and certificates from files, again after each rotation, without a restart. */

import { readFileSync, statSync } from 'node:fs'
import { reportProblem } from '../telemetry/log-entries.ts'

/** Errors of parsers may hold the text of the file, so none of them is kept. */
const UNUSABLE = 'a file with a secret, key or certificate cannot be used'

/**
 * Returns a function that returns the content of the files at `paths`, as `parse` reads it: the same value while they
 * are unchanged, and the last good one while they are missing, half-written, or do not match each other.
 *
 * The files are checked before each use, which is rare, since tokens are kept. A watcher would miss files that are
 * mounted into containers, where a link further up the path is replaced.
 *
 * @throws Error from the returned function if the files have never been good. It holds nothing of their content.
 */
export function openRotatedFiles<T>(paths: readonly string[], parse: (contents: readonly Buffer[]) => T): () => T {
  let known: { readonly versions: string; readonly value: T } | undefined

  return () => {
    try {
      // Taken before the files are read: a write in between is then another version.
      const versions = paths.map(versionOf).join()
      if (known?.versions !== versions) known = { versions, value: parse(paths.map((path) => readFileSync(path))) }
    } catch {
      if (known === undefined) throw new Error(`otel-token-relay: ${UNUSABLE}`)
      reportProblem({ message: `${UNUSABLE}; its last content is used` })
    }
    return known.value
  }
}

function versionOf(path: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true })
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
}
