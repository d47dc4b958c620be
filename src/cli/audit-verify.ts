/** `otel-token-relay audit verify`: checks whether audit trails are whole, and prints every finding. */

import { readAuditKey } from '../audit/key.ts'
import { currentFileOf } from '../audit/snapshot.ts'
import type { AuditProblem, AuditReport } from '../audit/verify.ts'
import { verifyAuditTrail } from '../audit/verify.ts'

const MEANING: Readonly<Record<AuditProblem, string>> = {
  changed: 'was changed, or was written with another key',
  out_of_place: 'does not follow the line before it: lines were removed, moved or repeated',
  beginning_missing: 'is not the first line of this file: lines before it are missing',
  end_missing: 'is missing, and so are all lines after it up to the head',
  head_missing: 'has no readable head beside it: missing lines at the end cannot be found',
  other_trail: 'belongs to another trail',
  head_unreadable: 'is a head that cannot be read: torn by a crash, or damaged to hide the newest lines',
  head_differs: 'is not the line that the head names',
}

export interface VerifyCommand {
  /** The files of one trail or several, each from the oldest to the newest. */
  readonly files: readonly string[]
  readonly keyFile: string | undefined
  /** The id that the trail must have; `undefined` accepts any. */
  readonly trail: string | undefined
}

/**
 * Prints the findings, line by line. Resolves with the exit code: 0 if every trail is whole, 1 if one is not.
 *
 * @throws Error if a file, or the key, cannot be read.
 */
export async function verifyAudit(command: VerifyCommand, print: (line: string) => void): Promise<number> {
  const { files, keyFile, trail } = command
  const key = keyFile === undefined ? undefined : readAuditKey(keyFile)
  if (keyFile !== undefined && key === undefined) throw new Error('the key file cannot be read, or holds no key')
  const trails = Object.values(Object.groupBy(files, currentFileOf)).map((group) => group ?? [])
  if (trail !== undefined && trails.length > 1) throw new Error('--trail is for the files of one trail')
  const reports: AuditReport[] = []
  // All of them before the first is printed: if one cannot be read, nothing is printed.
  for (const group of trails) reports.push(await verifyAuditTrail(group, key, { trail }))
  for (const report of reports) printReport(report, key !== undefined, print)
  return reports.every(({ findings }) => findings.length === 0) ? 0 : 1
}

function printReport(report: AuditReport, hasKey: boolean, print: (line: string) => void): void {
  for (const { file, line, problem } of report.findings) print(`${file}:${line}: ${MEANING[problem]}`)
  for (const note of notesOn(report, hasKey)) print(note)
}

function notesOn({ trail, lines, first, added, torn, findings }: AuditReport, hasKey: boolean): readonly string[] {
  return [
    `trail ${trail ?? 'unknown'}: ${lines} lines are intact, the first of them is number ${first}; ${findings.length} findings`,
    ...(first > 1 ? ['older files of this trail were not checked'] : []),
    ...added.map((file) => `${file} was renamed after the last given file, and was checked too`),
    ...(torn
      ? ['the last line is torn: it was never acknowledged, and is removed when the trail is opened again']
      : []),
    ...(hasKey ? [] : ['without a key: anyone who could write the files could have written another whole trail']),
  ]
}
