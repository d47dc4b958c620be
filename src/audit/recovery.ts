/** What is found when a trail is opened: where it goes on, and what a crash has left behind its last whole line. */

import type { AuditKey, AuditLine } from './line.ts'
import { GENESIS, readLine } from './line.ts'

export interface Recovered {
  readonly last: AuditLine
  /** Bytes of the file up to and with the last whole line: what follows was never acknowledged. */
  readonly wholeBytes: number
}

/** The trail is not what its writer has written: nothing may be appended to it, since that would hide the damage. */
export class AuditDamageError extends Error {
  override readonly name = 'AuditDamageError'
  readonly code = 'ERR_RELAY_AUDIT'

  constructor() {
    super('the audit trail is damaged: verify it, and move it away')
  }
}

/**
 * Reads the end of a trail. `head` says how far it was acknowledged: what is missing of that is damage, and what is more is
 * kept as far as it is whole. A file that goes on from a rotated one begins wherever that ended. Only a trail that has
 * never been opened has no head.
 *
 * @throws AuditDamageError where something that was acknowledged is not there any more, or this is no trail.
 */
export function recover(content: Buffer, head: AuditLine | undefined, key: AuditKey): Recovered {
  if (head === undefined && content.length > 0) throw new AuditDamageError()
  let last: AuditLine | undefined
  let wholeBytes = 0
  for (let end = content.indexOf(LINE_FEED); end !== -1; end = content.indexOf(LINE_FEED, wholeBytes)) {
    const line = readLine(content.toString('utf8', wholeBytes, end), last, key)
    if (line === undefined) break
    last = line
    wholeBytes = end + 1
  }
  const acknowledged = head ?? GENESIS
  // A file without a whole line is a new one, of which the first group was torn.
  const found = last ?? acknowledged
  if (found.sequence < acknowledged.sequence) throw new AuditDamageError()
  return { last: found, wholeBytes }
}

const LINE_FEED = 0x0a
