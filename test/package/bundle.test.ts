/** The package in a bundle that has no `import.meta`, as esbuild writes CommonJS. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { complaintsIn, startProgram } from '../support/process.ts'
import { optionsFor } from '../support/relay.ts'
import { signer } from '../support/service.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'otel-token-relay-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

it('a bundled program starts, and its servers are behind the gate', async () => {
  const bundle = await rolldown({
    input: join(import.meta.dirname, '../programs/bundled.cjs'),
    platform: 'node',
    transform: { define: { 'import.meta.url': 'undefined' } },
    resolve: { alias: { 'otel-token-relay': join(import.meta.dirname, '../../dist/index.js') } },
    logLevel: 'silent',
  })
  await bundle.write({ file: join(folder, 'programs/bundled.cjs'), format: 'cjs', codeSplitting: false })
  await bundle.close()
  const env = { RELAY_OPTIONS: JSON.stringify({ ...optionsFor([signer.jwk]), ingress: { mode: 'require' } }) }
  await using program = startProgram('bundled.cjs', { folder, env })
  const port = await program.report<number>('port')
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(401)
  expect(complaintsIn(program.stderr())).toEqual([])
})
