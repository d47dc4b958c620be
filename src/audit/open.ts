/** Opens the audit of a relay, or says by its option why that cannot be. */

import { OptionError } from '../token/checked-options.ts'
import type { Audit, AuditOptions } from './audit.ts'
import { createAudit } from './audit.ts'
import type { AuditKey } from './line.ts'
import { AuditDamageError } from './recovery.ts'
import type { AuditTrail } from './trail.ts'
import { openAuditTrail } from './trail.ts'

export interface OpenAuditOptions extends Omit<AuditOptions, 'trail' | 'onFailure'> {
  readonly file: string | undefined
  readonly key: AuditKey
  readonly maxFileBytes: number
  readonly onFailure: 'block' | 'continue' | undefined
}

/** `undefined` where nobody audits. Throws an {@link OptionError} where the file cannot be gone on with. */
export function openAudit({ file, key, maxFileBytes, onFailure, ...options }: OpenAuditOptions): Audit | undefined {
  if (file === undefined && options.logger === undefined) return undefined
  const trail = file === undefined ? undefined : openOr(file, maxFileBytes, key)
  return createAudit({ ...options, trail, onFailure: onFailure ?? 'continue' })
}

function openOr(file: string, maxBytes: number, key: AuditKey): AuditTrail {
  try {
    return openAuditTrail({ file, maxBytes, key })
  } catch (error) {
    throw new OptionError('audit.file', problemOf(error))
  }
}

/** The error itself would repeat the path. */
function problemOf(error: unknown): string {
  if (error instanceof AuditDamageError) {
    return 'is no audit trail, has another key, or is damaged: verify it, and move it away'
  }
  const isHeld = (error as { code?: unknown }).code === 'EEXIST'
  return isHeld ? 'another relay writes it: each needs a file of its own' : 'cannot be written'
}
