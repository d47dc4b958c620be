/** The options `audit`: the trail that every decision about a token is recorded in. */

import * as v from 'valibot'
import type { AuditLogger } from '../audit/audit.ts'
import { auditKeyOf, readAuditKey } from '../audit/key.ts'
import { transform } from '../base/schema.ts'
import { aFile, group, oneOf, text, variable, whole, withMethods } from './parts.ts'

/** Where every decision about a token is recorded, sampled or not. */
export interface AuditOptions {
  /**
   * The path of a file that every decision is appended to, as a line of JSON that a hash binds to the line before it.
   * The file is locked: worker threads, workers of a cluster and child processes each write a file beside it,
   * `NAME.worker-N.EXTENSION`. Default: none.
   */
  readonly file?: string
  /**
   * Binds the lines, so that others cannot be forged without it: 32 to 4096 characters. Needs `file`. Default: none,
   * and everyone who can write the file can write another whole trail.
   */
  readonly key?: string
  /** The path of a file that holds only such a key. Excludes `key`. Default: none. */
  readonly keyFile?: string
  /**
   * A file that has become larger is renamed, and a new one continues it, in bytes, 4096 to 268435456. Default
   * 67108864.
   */
  readonly maxFileBytes?: number
  /**
   * What happens while the file cannot be written. `block`: no caller is admitted before the record is written, and
   * once the file is known to fail no token leaves. `continue`: everything goes on, with an error in the log and in
   * `auth.audit.failures`. Default: none, required with `file`.
   */
  readonly onFailure?: 'block' | 'continue'
  /**
   * How the subject of a token is recorded: as a keyed `hash` (`fingerprintKey`), or not at all (`omit`). Default
   * `hash`.
   */
  readonly subjects?: 'hash' | 'omit'
  /** A `Logger` of `@opentelemetry/api-logs` that gets every decision as a log record. Default: none. */
  readonly logger?: AuditLogger
}

/** The checked options of the audit trail. */
export interface AuditSettings {
  readonly file: string | undefined
  readonly key: Buffer | undefined
  readonly maxFileBytes: number
  readonly onFailure: 'block' | 'continue' | undefined
  readonly subjects: 'hash' | 'omit'
  readonly logger: AuditLogger | undefined
}

const KEY = 'expected 32 to 4096 characters'
const auditMembers = group({
  file: v.pipe(v.optional(aFile()), variable('TOKEN_RELAY_AUDIT_FILE', 'text')),
  key: v.optional(
    v.pipe(
      text(KEY),
      v.check((key) => auditKeyOf(key) !== undefined, KEY),
    ),
  ),
  keyFile: v.pipe(v.optional(aFile()), variable('TOKEN_RELAY_AUDIT_KEY_FILE', 'text')),
  maxFileBytes: v.pipe(
    v.optional(whole(4_096, 268_435_456, 'bytes'), 67_108_864),
    variable('TOKEN_RELAY_AUDIT_MAX_FILE_BYTES', 'number'),
  ),
  onFailure: v.pipe(v.optional(oneOf('block', 'continue')), variable('TOKEN_RELAY_AUDIT_ON_FAILURE', 'text')),
  subjects: v.pipe(v.optional(oneOf('hash', 'omit'), 'hash'), variable('TOKEN_RELAY_AUDIT_SUBJECTS', 'text')),
  logger: v.optional(withMethods<AuditLogger>('expected a logger of OpenTelemetry', 'emit')),
})

export const auditSchema = v.pipe(
  auditMembers,
  transform((described: v.InferOutput<typeof auditMembers>, refuseAt): AuditSettings => {
    const { file, key, keyFile, ...rest } = described
    const refuse = (name: string, problem: string) => refuseAt([name], problem)
    const keyInFile = keyFile === undefined ? undefined : readAuditKey(keyFile)

    if (file !== undefined && rest.onFailure === undefined) refuse('onFailure', 'required with file: block or continue')
    if (key !== undefined && keyFile !== undefined) refuse('keyFile', 'contradicts key: give one of them')
    else if (keyFile !== undefined && keyInFile === undefined)
      refuse('keyFile', `cannot be read, or holds no key: ${KEY}`)
    for (const name of ['key', 'keyFile', 'onFailure'] as const) {
      if (file === undefined && described[name] !== undefined) refuse(name, 'needs file')
    }
    return { ...rest, file, key: key === undefined ? keyInFile : auditKeyOf(key) }
  }),
)
