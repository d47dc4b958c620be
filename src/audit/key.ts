/** The key of an audit trail's hashes: text, or a file that holds only that text. */

import { readFileSync } from 'node:fs'

/** Fewer characters are too easy to guess. */
const MIN_KEY_CHARS = 32
const MAX_KEY_CHARS = 4_096

/** Reads the key in `file`; `undefined` if there is none. */
export function readAuditKey(file: string): Buffer | undefined {
  try {
    return auditKeyOf(readFileSync(file, 'utf8').trim())
  } catch {
    return undefined
  }
}

/** Returns `text` as a key; `undefined` if it is too short or too long. */
export function auditKeyOf(text: string): Buffer | undefined {
  return text.length < MIN_KEY_CHARS || text.length > MAX_KEY_CHARS ? undefined : Buffer.from(text)
}
