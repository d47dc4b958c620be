/** One request makes one event for each hop, however many agents it passes through. */

import type { ClientRequest } from 'node:http'
import { Agent, request } from 'node:http'
import { context, trace } from '@opentelemetry/api'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

const signer = createSigner()
const inner = new Agent()
let sink: Sink
let relay: TokenRelay

beforeAll(async () => {
  sink = await startSink()
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [{ to: sink.origin }] })
})
afterAll(async () => {
  await relay.shutdown()
  await sink[Symbol.asyncDispose]()
})

/** Hands the request over to another agent, now or when it has been written: as agent-base and proxy-agent do. */
class HandingAgent extends Agent {
  readonly #later: boolean

  constructor(later: boolean) {
    super()
    this.#later = later
  }

  createSocket(request: ClientRequest, options: object): void {
    const handOver = (): void =>
      Reflect.apply(Reflect.get(inner, 'addRequest') as () => void, inner, [request, options])
    if (this.#later) setImmediate(handOver)
    else handOver()
  }
}

const AGENTS: Readonly<Record<string, () => Agent>> = {
  'an agent of Node': () => new Agent(),
  'an agent that hands over at once': () => new HandingAgent(false),
  'an agent that hands over when the request has been written': () => new HandingAgent(true),
}

it.each(Object.entries(AGENTS))('through %s', async (_, create) => {
  const events: string[] = []
  const span = Object.assign(
    trace.wrapSpanContext({ traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: 1 }),
    {
      isRecording: () => true,
      addEvent: (name: string) => void events.push(name),
    },
  )
  const status = await runWithToken(signer.token(goodClaims(ISSUER)), () =>
    context.with(
      trace.setSpan(context.active(), span),
      () =>
        new Promise((resolve, reject) => {
          request(sink.origin, { agent: create() }, (response) =>
            response.resume().on('end', () => resolve(response.statusCode)),
          )
            .on('error', reject)
            .end()
        }),
    ),
  )
  expect(status).toBe(200)
  expect(events.filter((name) => name !== 'auth.token.verified')).toHaveLength(1)
})
