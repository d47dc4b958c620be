/** `egress.detector` in a program of its own: the lines that it names are those of the program. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { OTEL_LINES, startProgram } from '../support/process.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

/** Where `file` has the line with `comment`. */
function placeOf(file: string, comment: string): string {
  const lines = readFileSync(join(import.meta.dirname, '..', 'programs', file), 'utf8').split('\n')
  const line = lines.findIndex((text) => text.endsWith(`// ${comment}`)) + 1
  return `\\S*/${file.replace('.', '\\.')}:${line}:\\d+`
}

let issuer: TestIssuer
let sink: Sink
beforeAll(async () => {
  issuer = await startIssuer()
  sink = await startSink()
})
afterAll(async () => {
  await issuer[Symbol.asyncDispose]()
  await sink[Symbol.asyncDispose]()
})

it.each(
  OTEL_LINES,
)('%s: each place is reported once on standard error, without a token or a query [G2]', async (line) => {
  await using program = startProgram('lost.cjs', {
    line,
    preload: ['--require', 'otel-token-relay/register'],
    env: {
      TOKEN_RELAY_ISSUER: issuer.issuer,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      TOKEN_RELAY_DESTINATIONS: sink.origin,
      TOKEN_RELAY_EGRESS_DETECTOR: 'warn',
    },
  })
  const port = await program.report<number>('port')
  const token = await issuer.token()
  for (let i = 0; i < 3; i += 1) {
    const done = program.ask('done')
    const url = encodeURIComponent(`${sink.origin}/x?secret=in-the-query`)
    await fetch(`http://127.0.0.1:${port}/?url=${url}`, { headers: { authorization: `Bearer ${token}` } })
    await done
  }
  const warnings = (): string[] =>
    program
      .stderr()
      .split('\n')
      .filter((text) => text.startsWith('otel-token-relay: a call'))
  await expect.poll(warnings).toHaveLength(2)
  const [lost, later] = warnings().toSorted((a) => (a.includes('made without a caller') ? -1 : 1))
  expect(lost).toMatch(new RegExp(`; called at ${placeOf('lost.mjs', 'called without a caller')} < `))
  expect(later).toContain('after the request of its caller has ended')
  const [called, kept] = ['called later', 'kept'].map((comment) => placeOf('lost.cjs', comment))
  expect(later).toMatch(new RegExp(`; called at ${called}; context kept at ${kept}$`))
  expect(sink.received).toHaveLength(6)
  for (const secret of [...token.split('.'), 'in-the-query']) expect(program.stderr()).not.toContain(secret)
  sink.clear()
})
