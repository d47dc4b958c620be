/** Secrets, keys and certificates in files: read again when they have been rotated, without a restart. */

import { readFileSync, statSync } from 'node:fs'
import { diag } from '@opentelemetry/api'

/** The text of a wrong file may be in an error of whoever reads it, so none of those errors is kept. */
const UNUSABLE = 'otel-token-relay: a file with a secret, key or certificate cannot be used'

/**
 * Returns a function that gives what the files at `paths` hold now, as `parse` reads it: the same value as long as they
 * are the same, and the last good one while they are not there, half-written, or do not fit each other.
 *
 * They are looked at before each use, which is rare: tokens are kept. A watcher would miss what is mounted into
 * containers, where a link far up the path is replaced.
 *
 * @throws Error from the returned function where they have never been good. It holds nothing of them.
 */
export function openRotatedFiles<T>(paths: readonly string[], parse: (contents: readonly Buffer[]) => T): () => T {
  let known: { readonly versions: string; readonly value: T } | undefined

  return () => {
    try {
      // Taken before the files are read: what is written meanwhile is another version.
      const versions = paths.map(versionOf).join()
      if (known?.versions !== versions) known = { versions, value: parse(paths.map((path) => readFileSync(path))) }
    } catch {
      if (known === undefined) throw new Error(UNUSABLE)
      diag.warn(`${UNUSABLE}; what it held last is used`)
    }
    return known.value
  }
}

function versionOf(path: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true })
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
}
