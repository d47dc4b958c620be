/** H10 The audit rig at the size of CI, and broken builds that it must catch. */

import process from 'node:process'
import { expect, it, vi } from 'vitest'
import { runAuditRig } from './audit.ts'
import { createMutant } from './mutants.ts'

// Some seconds, on a machine that does nothing else.
vi.setConfig({ testTimeout: 600_000 })

it('no caller who was let in is missing in the trail, wherever the service is killed [H10]', async () => {
  const report = await runAuditRig({ kills: 50 })
  process.stdout.write(`${JSON.stringify(report)}\n`)
  expect(report).toMatchObject({ kills: 50, lost: 0, failed: 0, findings: {} })
  expect(report.acknowledged).toBeGreaterThanOrEqual(20)
})

it.each([
  ['acknowledges before it writes', 'acknowledgedTooEarly'],
  ['does not wait for the trail', 'notAcknowledged'],
] as const)('the rig catches a build that %s', async (_, mutation) => {
  using mutant = createMutant(mutation)
  const report = await runAuditRig({ kills: 8, folder: mutant.folder })
  expect(report.lost).toBeGreaterThan(0)
})
