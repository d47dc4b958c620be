/** Adapters in programs as users run them: beside the zero-code gate, or instead of it; one verification, one story. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { OtlpReceiver } from '../../examples/demo/stage/otlp-receiver.ts'
import { startOtlpReceiver } from '../../examples/demo/stage/otlp-receiver.ts'
import type { Span } from '../../examples/demo/stage/span.ts'
import { findToken } from '../support/exports.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Program } from '../support/process.ts'
import { complaintsIn, OTEL_LINES, startProgram } from '../support/process.ts'

const NAMES = ['express', 'fastify', 'koa', 'hono']
const WAYS: readonly (readonly [string, readonly string[], boolean])[] = [
  ['the zero-code gate', ['--require', 'otel-token-relay/register'], true],
  ['an own NodeSDK, the gate off', ['--require', './programs/tracing.cjs'], false],
]

let issuer: TestIssuer
let receiver: OtlpReceiver
beforeAll(async () => {
  ;[issuer, receiver] = await Promise.all([startIssuer(), startOtlpReceiver()])
})
afterAll(async () => {
  await Promise.all([issuer, receiver].map((resource) => resource[Symbol.asyncDispose]()))
})

describe.each(OTEL_LINES)('on %s', (line) => {
  describe.each(WAYS)('beside %s', (_way, preload, isGated) => {
    let program: Program
    beforeAll(async () => {
      const options = {
        issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
        ingress: { mode: 'off' },
      }
      program = startProgram('frameworks.cjs', {
        line,
        preload,
        env: {
          OTEL_TRACES_EXPORTER: 'otlp',
          OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
          TOKEN_RELAY_ISSUER: issuer.issuer,
          TOKEN_RELAY_AUDIENCE: 'user-service',
          RELAY_OPTIONS: JSON.stringify(options),
        },
      })
      await Promise.all(NAMES.map((name) => program.report(name)))
    })
    afterAll(() => program[Symbol.asyncDispose]())

    /** Status and body of the answer, and what the server span tells of the token. */
    async function send(name: string, path: string, token?: string): Promise<readonly unknown[]> {
      const traceId = crypto.randomUUID().replaceAll('-', '')
      const headers = {
        traceparent: `00-${traceId}-00f067aa0ba902b7-01`,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      }
      const response = await fetch(`http://127.0.0.1:${await program.report<number>(name)}${path}`, { headers })
      const { subject, credential } = (await response.json()) as Record<string, unknown>
      const mine = (spans: readonly Span[]) =>
        spans.filter((span) => span.traceId === traceId && span.kind === 'server')
      await receiver.waitFor((spans) => mine(spans).length > 0, 20_000)
      const events = mine(receiver.spans()).flatMap((span) => span.events)
      expect(findToken(JSON.stringify(events), token ?? '..')).toBeUndefined()
      const told = events.map(({ name, attributes }) => `${name} ${attributes['error.type'] ?? ''}`.trim())
      return [response.status, subject, credential, ...told.filter((text) => text.startsWith('auth.'))]
    }

    it.each(NAMES)('%s: requireScope alone takes the verified token of the request', async (name) => {
      const token = await issuer.token()
      const verified = ['auth.token.verified']
      expect(await send(name, '/scoped', token)).toEqual([200, 'alice', 'alice', ...verified])
      expect(await send(name, '/admin', token)).toEqual([
        403,
        undefined,
        undefined,
        ...verified,
        'auth.token.rejected ERR_TOKEN_SCOPE',
      ])
      expect((await send(name, '/scoped'))[0]).toBe(401)
    })

    it.each(NAMES)('%s: one verification and one set of events, however many ask', async (name) => {
      const token = await issuer.token({ sub: 'bob' })
      expect(await send(name, '/twice', token)).toEqual([200, 'bob', 'bob', 'auth.token.verified'])
      expect(await send(name, '/twice', await issuer.token({ aud: 'another' }))).toEqual([
        401,
        undefined,
        undefined,
        'auth.token.rejected ERR_TOKEN_AUDIENCE',
      ])
    })

    it.each(NAMES)('%s: a route without an adapter is what the gate makes of it', async (name) => {
      expect((await send(name, '/plain'))[0]).toBe(isGated ? 401 : 200)
      const answered = await send(name, '/plain', await issuer.token())
      expect(answered.slice(0, 3)).toEqual([200, isGated ? 'alice' : null, undefined])
    })

    it('complains of nothing on stderr', () => {
      expect(complaintsIn(program.stderr())).toEqual([])
    })
  })
})
