/** Kills a service with -9 at random points, and looks in its audit trail for every caller that it had admitted. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { verifyAuditTrail } from '../../src/audit/verify.ts'

export interface AuditReport {
  kills: number
  /** Callers that the service had reported as admitted. */
  acknowledged: number
  /** Those of them that are in no trail. */
  lost: number
  /** Services that did not start again, or refused a caller. */
  failed: number
  /** Kills after which the last line was torn. */
  torn: number
  /** What was wrong with a trail, by its problem. */
  readonly findings: Record<string, number>
}

export interface AuditRigOptions {
  readonly kills: number
  /** Where `programs/audited.cjs` and the package are. */
  readonly folder?: string
  readonly onProgress?: (report: Readonly<AuditReport>) => void
}

/** Killed so often, a trail is long enough to be slow to verify, and the next one begins. */
const KILLS_PER_TRAIL = 20
const LANES = 2
const KEY = 'a key of this rig, which is long enough'
const OTEL_3 = join(import.meta.dirname, '..', 'otel-3')

export async function runAuditRig({ kills, folder = OTEL_3, onProgress }: AuditRigOptions): Promise<AuditReport> {
  const report: AuditReport = { kills: 0, acknowledged: 0, lost: 0, failed: 0, torn: 0, findings: {} }
  let left = kills

  async function lane(): Promise<void> {
    while (left > 0) {
      const count = Math.min(left, KILLS_PER_TRAIL)
      left -= count
      await breakTrail(count, folder, report)
      onProgress?.(report)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return report
}

async function breakTrail(kills: number, folder: string, report: AuditReport): Promise<void> {
  const place = mkdtempSync(join(tmpdir(), 'audit-rig-'))
  const keyFile = join(place, 'key')
  writeFileSync(keyFile, KEY)
  const acknowledged: string[] = []
  for (let kill = 0; kill < kills; kill += 1) {
    // From the moment on at which the trail is open, and has been repaired; or at which a caller has been admitted, however
    // slow the machine is.
    const output = await killed(folder, [join(place, 'audit.jsonl'), keyFile, '20000'], 1 + (kill % 2))
    report.kills += 1
    if (output[0] !== 'open' || output.includes('refused')) report.failed += 1
    acknowledged.push(...output.slice(1))
    await judge(filesOf(place), report)
  }
  const there = new Set(filesOf(place).flatMap(fingerprintsIn))
  report.acknowledged += acknowledged.length
  report.lost += acknowledged.filter((fingerprint) => !there.has(fingerprint)).length
  rmSync(place, { recursive: true, force: true })
}

/** Everything that the service has said until it was killed, a little after its line number `from`. */
async function killed(folder: string, args: readonly string[], from: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, [join('programs', 'audited.cjs'), ...args], { cwd: folder })
  const output: string[] = []
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (line) => {
    output.push(line)
    if (output.length === from) setTimeout(() => child.kill('SIGKILL'), Math.random() * 60)
  })
  await Promise.all([once(child, 'close'), once(lines, 'close')])
  return output
}

async function judge(files: readonly string[], report: AuditReport): Promise<void> {
  const { findings, torn } = await verifyAuditTrail(files, Buffer.from(KEY))
  if (torn) report.torn += 1
  for (const { problem } of findings) report.findings[problem] = (report.findings[problem] ?? 0) + 1
}

/** The files of the trail, the oldest first. */
function filesOf(place: string): readonly string[] {
  const aside = readdirSync(place).filter((name) => /\.\d{15}$/.test(name))
  const newest = readdirSync(place).filter((name) => name === 'audit.jsonl')
  return [...aside.toSorted(), ...newest].map((name) => join(place, name))
}

function fingerprintsIn(file: string): readonly string[] {
  const lines = readFileSync(file, 'latin1').split('\n').slice(0, -1)
  return lines.map((line) => {
    const { attributes } = JSON.parse(line) as { readonly attributes: Readonly<Record<string, string>> }
    return attributes['auth.token.fingerprint'] ?? ''
  })
}
