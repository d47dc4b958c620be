/** Work after the answer, in programs with an OpenTelemetry SDK beside the relay, through every HTTP client. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Program } from '../support/process.ts'
import { OTEL_LINES, startProgram } from '../support/process.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

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

const CASES = OTEL_LINES.flatMap((line) =>
  (['withhold', 'allow'] as const).flatMap((detached) =>
    (['sampled', 'no SDK'] as const).map((tracing) => [line, detached, tracing] as const),
  ),
)

describe.each(CASES)('%s, detached: %s, %s', (line, detached, tracing) => {
  let program: Program
  beforeAll(() => {
    const config = {
      issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
      destinations: [{ to: sink.origin, detached }],
    }
    const off: Readonly<Record<string, string>> = tracing === 'no SDK' ? { OTEL_SDK_DISABLED: 'true' } : {}
    program = startProgram('afterwards.cjs', {
      line,
      preload:
        tracing === 'no SDK' ? ['--require', './programs/gate-only.cjs'] : ['--require', './programs/tracing.cjs'],
      env: { RELAY_OPTIONS: JSON.stringify(config), ...off },
    })
  })
  afterAll(() => program[Symbol.asyncDispose]())

  it.each(['fetch', 'undici', 'http'])('%s [G2]', async (client) => {
    const token = await issuer.token()
    const id = crypto.randomUUID()
    const url = `http://127.0.0.1:${await program.report<number>('port')}/?id=${id}&client=${client}&url=${encodeURIComponent(`${sink.origin}/${id}`)}`
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
    expect(response.status).toBe(200)
    expect(await program.report(id)).toEqual({ status: 200, subject: 'alice' })
    const received = sink.received.find(({ target }) => target === `/${id}`)
    expect(received?.authorization).toEqual(detached === 'allow' ? [`Bearer ${token}`] : [])
  })
})
