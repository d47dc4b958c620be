/** Secrets, keys and certificates in files: read again when they have been rotated, without a restart. */

import { readFileSync, statSync } from 'node:fs'
import { diag } from '@opentelemetry/api'

/** The contents of a file as they are now. */
export interface RotatedFile {
  /**
   * The contents; what was read last while the file cannot be read, as in the middle of a rotation.
   *
   * @throws Error where it has never been read.
   */
  read(): Buffer
}

/**
 * Looked at before each use, which is rare: tokens are kept. A watcher would miss what is mounted into containers, where
 * a link far up the path is replaced.
 */
export function openRotatedFile(path: string): RotatedFile {
  let known: { readonly version: string; readonly contents: Buffer } | undefined

  return {
    read() {
      try {
        const version = versionOf(path)
        if (known?.version !== version) known = { version, contents: readFileSync(path) }
      } catch {
        if (known === undefined) throw new Error('a file with a secret, key or certificate cannot be read')
        diag.warn(
          'otel-token-relay: a file with a secret, key or certificate cannot be read; what it held last is used',
        )
      }
      return known.contents
    },
  }
}

function versionOf(path: string): string {
  const { ino, size, mtimeMs } = statSync(path)
  return [ino, size, mtimeMs].join(' ')
}
