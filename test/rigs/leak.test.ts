/** F1 F2 F3 F6 F7 F10 F11 E11 B5 C5 The leak rig at the size of CI, and broken builds that it must catch. */

import process from 'node:process'
import { expect, it, vi } from 'vitest'
import { runLeakRig } from './leak.ts'
import { createMutant } from './mutants.ts'

// Some seconds, on a machine that does nothing else.
vi.setConfig({ testTimeout: 600_000 })

const SEED = 30

it('no piece of any token is where it was not sent [F1, F3, F6, F7, F11, E11, B5, C5]', async () => {
  const report = await runLeakRig({ seed: SEED, requests: 3000 })
  process.stdout.write(`${JSON.stringify(report)}\n`)
  expect(report.leaks).toEqual({})
  expect(report.examples).toEqual([])
  expect({ wrong: report.wrong, missing: report.missing }).toEqual({ wrong: 0, missing: 0 })
  expect(report.silent).toEqual([])
  expect(report.token).toBeGreaterThan(300)
  expect(report.own).toBeGreaterThan(50)
})

it('the rig catches a propagator that copies the header', async () => {
  const report = await runLeakRig({ seed: SEED, requests: 500, build: 'naive' })
  expect(Object.keys(report.leaks).length).toBeGreaterThan(4)
  expect(report.wrong).toBeGreaterThan(50)
})

it('the rig catches a build that forwards to every destination', async () => {
  using mutant = createMutant('forwardAlways')
  const report = await runLeakRig({ seed: SEED, requests: 2000, build: mutant })
  expect(Object.keys(report.leaks).length).toBeGreaterThan(4)
  expect(Object.keys(report.leaks)).toContain('another port, gRPC, as it is')
})

it('the rig catches a build that believes agents of the application', async () => {
  using mutant = createMutant('agentsBelieved')
  const report = await runLeakRig({ seed: SEED, requests: 1000, build: mutant })
  const places = ['elsewhere', 'elsewhere, Unix socket', 'proxy'].map((name) => `${name}, as it is`)
  expect(Object.keys(report.leaks)).toEqual(expect.arrayContaining(places))
})
