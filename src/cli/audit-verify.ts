/** `otel-token-relay audit verify`: says whether a trail is whole, and where it is not. */

import { readAuditKey } from '../audit/key.ts'
import type { AuditProblem, AuditReport } from '../audit/verify.ts'
import { verifyAuditTrail } from '../audit/verify.ts'

const MEANING: Readonly<Record<AuditProblem, string>> = {
  changed: 'is not what was written, or another key was',
  out_of_place: 'does not follow the line before it: lines were dropped, moved or repeated',
  beginning_missing: 'is not where this file began: lines before it are missing',
  end_missing: 'is missing, with all that follow it up to the head',
  head_missing: 'has no head beside it that could be read: whether lines are missing cannot be told',
  head_differs: 'is not the one that the head names',
}

/**
 * Tells what was found, line by line. Resolves with the exit code: 0 where the trail is whole, 1 where it is not.
 *
 * @throws Error where a file, or the key, cannot be read.
 */
export async function verifyAudit(
  files: readonly string[],
  keyFile: string | undefined,
  say: (line: string) => void,
): Promise<number> {
  const key = keyFile === undefined ? undefined : readAuditKey(keyFile)
  if (keyFile !== undefined && key === undefined) throw new Error('the key file cannot be read, or holds no key')
  const report = await verifyAuditTrail(files, key)
  for (const { file, line, problem } of report.findings) say(`${file}:${line}: ${MEANING[problem]}`)
  for (const note of notesOn(report, key !== undefined)) say(note)
  return report.findings.length === 0 ? 0 : 1
}

function notesOn({ lines, first, torn, findings }: AuditReport, hasKey: boolean): readonly string[] {
  return [
    `${lines} lines are what was written, the first of them is number ${first}; ${findings.length} findings`,
    ...(first > 1 ? ['older files of this trail were not looked at'] : []),
    ...(torn ? ['the last line is torn: it was never acknowledged, and goes when the trail is opened again'] : []),
    ...(hasKey ? [] : ['without a key: whoever could write the files could have written another whole trail']),
  ]
}
