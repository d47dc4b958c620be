/** H10 The audit rig at the size of CI, and broken builds that it must catch. */

import process from 'node:process'
import { expect, it, vi } from 'vitest'
import { runAuditRig } from './audit.ts'
import type { Patch } from './mutants.ts'
import { createMutant } from './mutants.ts'

// Some seconds, on a machine that does nothing else.
vi.setConfig({ testTimeout: 240_000 })

it('H10 no caller who was let in is missing in the trail, wherever the service is killed', async () => {
  const report = await runAuditRig({ kills: 50 })
  process.stdout.write(`${JSON.stringify(report)}\n`)
  expect(report).toMatchObject({ kills: 50, lost: 0, failed: 0, findings: {} })
  expect(report.acknowledged).toBeGreaterThanOrEqual(20)
})

const TRAIL = 'audit/trail.js'
const MUTANTS: readonly (readonly [string, readonly Patch[]])[] = [
  [
    'acknowledges before it writes',
    [
      {
        file: TRAIL,
        from: 'await writer.write(',
        to: 'for (const { resolve } of group) resolve()\nawait new Promise((done) => setTimeout(done, 15))\nawait writer.write(',
      },
    ],
  ],
  [
    'does not wait for the trail',
    [{ file: 'ingress/admission.js', from: /audit\?\.acknowledged\(\)/, to: 'undefined' }],
  ],
]
it.each(MUTANTS)('the rig catches a build that %s', async (_, patches) => {
  using mutant = createMutant(patches)
  const report = await runAuditRig({ kills: 8, folder: mutant.folder })
  expect(report.lost).toBeGreaterThan(0)
})
