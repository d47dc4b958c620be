/** G5 G6 G8 G9 G10 H10 No piece of a token is in any byte that is exported, logged, printed or audited; and builds in which there is. */

import process from 'node:process'
import { expect, it, vi } from 'vitest'
import { OTEL_LINES } from '../support/process.ts'
import { createMutant } from './mutants.ts'
import { runTellingRig } from './telling.ts'

vi.setConfig({ testTimeout: 600_000 })

const EXPORTS = ['/v1/traces', '/v1/traces, protobuf', '/v1/logs']

it.each(OTEL_LINES)('no piece of any token is in what a careless service tells, %s', async (line) => {
  const report = await runTellingRig({ line, callers: 8 })
  process.stdout.write(`${JSON.stringify(report)}\n`)
  expect(report.leaks).toEqual({})
  expect(report.statuses).toMatchObject({ 200: 8, 401: expect.any(Number) })
  const places = [...EXPORTS, '/v1/metrics', 'stdout', 'stderr', 'audit']
  expect(Object.keys(report.characters).toSorted()).toEqual(places.toSorted())
  for (const place of places) expect(report.characters[place]).toBeGreaterThan(1_000)
})

it('the rig catches a build that redacts nothing', async () => {
  using mutant = createMutant('noRedaction')
  const { leaks } = await runTellingRig({ line: 'otel-3', folder: mutant.folder, callers: 1 })
  for (const place of EXPORTS) expect(Object.keys(leaks)).toContain(`${place}, as it is`)
})

it('the rig catches a build that knows no encodings', async () => {
  using mutant = createMutant('noEncodings')
  const { leaks } = await runTellingRig({ line: 'otel-3', folder: mutant.folder, callers: 1 })
  for (const place of EXPORTS) expect(Object.keys(leaks).some((leak) => leak.startsWith(place))).toBe(true)
  expect(Object.keys(leaks)).not.toContain('/v1/logs, as it is')
})
