/** G1 F12 The identity rig at the size of CI, and broken builds that it must catch. `npm run rig:identity` goes on. */

import process from 'node:process'
import { expect, it, vi } from 'vitest'
import { OTEL_LINES } from '../support/process.ts'
import { runIdentityRig } from './identity.ts'
import { createMutant, NO_BINDING, NO_SOCKET_GUARD } from './mutants.ts'

// Some seconds, on a machine that does nothing else.
vi.setConfig({ testTimeout: 240_000 })

const SEED = 20

it.each(
  OTEL_LINES,
)('G1 F12 on %s no request of interleaved callers leaves with another caller’s token', async (line) => {
  const report = await runIdentityRig({ seed: SEED, requests: 2500, line })
  process.stdout.write(`${JSON.stringify(report)}\n`)
  expect(report.wrong, report.examples.join()).toBe(0)
  expect(report.right + report.left + report.missing).toBe(report.requests)
  expect(report.right).toBeGreaterThan(report.requests * 0.9)
  expect(report.missing, report.examples.join()).toBe(0)
})

it('the rig catches a propagator that copies the header', async () => {
  expect((await runIdentityRig({ seed: SEED, requests: 800, build: 'naive' })).wrong).toBeGreaterThan(20)
})

it('the rig catches a build that forgets whose handler comes out of a queue', async () => {
  using mutant = createMutant(NO_BINDING)
  expect((await runIdentityRig({ seed: SEED, requests: 800, build: mutant })).missing).toBeGreaterThan(5)
})

it('the rig catches a build without binding and without socket guard', async () => {
  using mutant = createMutant([...NO_BINDING, ...NO_SOCKET_GUARD])
  expect((await runIdentityRig({ seed: SEED, requests: 800, build: mutant })).wrong).toBeGreaterThan(5)
})
