/** The key that an audit trail is bound with: a text, or a file that holds nothing else. */

import { readFileSync } from 'node:fs'

/** Fewer characters are not hard enough to guess. */
export const MIN_KEY_CHARS = 32
const MAX_KEY_CHARS = 4_096

/** The key in `file`; `undefined` where there is none. */
export function readAuditKey(file: string): Buffer | undefined {
  try {
    return auditKeyOf(readFileSync(file, 'utf8').trim())
  } catch {
    return undefined
  }
}

/** The key that `text` is; `undefined` where it is too short, or too long to be one. */
export function auditKeyOf(text: string): Buffer | undefined {
  return text.length < MIN_KEY_CHARS || text.length > MAX_KEY_CHARS ? undefined : Buffer.from(text)
}
