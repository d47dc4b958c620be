/** The SDK that `register` starts exports no token, whatever a program records. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { redactExports } from '../../src/register/redacted-sdk.ts'
import { createCanaries } from '../../src/testing/pieces.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { OTEL_LINES, startProgram } from '../support/process.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

let issuer: TestIssuer
let backEnd: Sink
beforeAll(async () => {
  issuer = await startIssuer()
  backEnd = await startSink()
})
afterAll(async () => {
  await Promise.all([issuer, backEnd].map((resource) => resource[Symbol.asyncDispose]()))
})

it.each(
  OTEL_LINES.flatMap((line) => ['http/json', 'http/protobuf'].map((protocol) => [line, protocol] as const)),
)('what a program records of its requests is exported without the token, %s, %s [G4]', async (line, protocol) => {
  backEnd.clear()
  await using program = startProgram('careless.cjs', {
    line,
    preload: ['--require', 'otel-token-relay/register'],
    env: {
      TOKEN_RELAY_ISSUER: issuer.issuer,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      OTEL_LINE: line,
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_LOGS_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_ENDPOINT: backEnd.origin,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
    },
  })
  const token = await issuer.token()
  const port = await program.report<number>('port')
  await fetch(`http://127.0.0.1:${port}/`, { headers: { authorization: `Bearer ${token}` } })
  await program.stop()
  const canaries = createCanaries()
  canaries.add(token)
  expect(backEnd.received.map(({ target }) => target)).toEqual(expect.arrayContaining(['/v1/traces', '/v1/logs']))
  expect(backEnd.bytes()).toContain('unexpected header: Bearer [REDACTED]')
  expect(canaries.find(backEnd.bytes())).toBeUndefined()
})

it('does not take an SDK for redacted if its processors cannot be found', () => {
  class Hidden {
    readonly #processors = [{ onEnd: () => undefined, shutdown: async () => undefined }]
    getTracer(): number {
      return this.#processors.length
    }
    async shutdown(): Promise<void> {}
  }
  const processors = [{ onEnd: () => undefined, shutdown: async () => undefined }]
  const provider = { getTracer: () => undefined, shutdown: async () => undefined, inner: { processors } }
  const wrapped: object[] = []
  const redact = <T extends object>(processor: T): T => {
    wrapped.push(processor)
    return processor
  }
  expect(redactExports({ provider }, redact)).toBe(true)
  expect(wrapped).toEqual(processors)
  expect(redactExports({ provider, hidden: new Hidden() }, redact)).toBe(false)
})
