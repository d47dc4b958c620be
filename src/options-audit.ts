/** What zod checks the options of the audit trail against. */

import * as z from 'zod'
import type { AuditLogger } from './audit/audit.ts'
import { auditKeyOf, readAuditKey } from './audit/key.ts'
import { group, text } from './options-parts.ts'
import { own } from './token/own.ts'

const KEY = 'expected 32 to 4096 characters'
const A_FILE = 'expected the path of a file'
const BYTES = 'expected 4096 to 268435456 bytes'
const ON_FAILURE = 'expected block or continue'

/** What is left out is there as `undefined`. */
export interface AuditSettings {
  readonly file: string | undefined
  readonly key: Buffer | undefined
  readonly maxFileBytes: number
  readonly onFailure: 'block' | 'continue' | undefined
  readonly subjects: 'hash' | 'omit'
  readonly logger: AuditLogger | undefined
}

export const auditSchema = group({
  file: text(A_FILE).optional(),
  key: text(KEY)
    .refine((key) => auditKeyOf(key) !== undefined, KEY)
    .optional(),
  keyFile: text(A_FILE).optional(),
  maxFileBytes: z.int(BYTES).min(4_096, BYTES).max(268_435_456, BYTES).default(67_108_864),
  onFailure: z.enum(['block', 'continue'], ON_FAILURE).optional(),
  subjects: z.enum(['hash', 'omit'], 'expected hash or omit').default('hash'),
  logger: z.custom<AuditLogger>(isLogger, 'expected a logger of OpenTelemetry').optional(),
}).transform((described, check): AuditSettings => {
  const option = (name: string) => own(described, name) as string | undefined
  const [file, key, keyFile, onFailure] = ['file', 'key', 'keyFile', 'onFailure'].map(option)
  const refuse = (path: string, message: string) => check.addIssue({ code: 'custom', path: [path], message })
  const keyInFile = keyFile === undefined ? undefined : readAuditKey(keyFile)

  if (file !== undefined && onFailure === undefined)
    refuse('onFailure', 'required where there is a file: block or continue')
  if (key !== undefined && keyFile !== undefined) refuse('keyFile', 'contradicts key: give one of them')
  else if (keyFile !== undefined && keyInFile === undefined)
    refuse('keyFile', `cannot be read, or holds no key: ${KEY}`)
  for (const name of ['key', 'keyFile', 'onFailure']) {
    if (file === undefined && option(name) !== undefined) refuse(name, 'is for a file, and there is none')
  }
  return {
    file,
    key: key === undefined ? keyInFile : auditKeyOf(key),
    maxFileBytes: described.maxFileBytes,
    onFailure: onFailure as AuditSettings['onFailure'],
    subjects: described.subjects,
    logger: own(described, 'logger') as AuditLogger | undefined,
  }
})

function isLogger(value: unknown): boolean {
  return typeof value === 'object' && typeof (value as Partial<AuditLogger> | null)?.emit === 'function'
}
