/** Spans are made by code that we do not own: one that throws changes no verdict and loses no token. */

import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { optionsFor } from '../support/relay.ts'
import { signer, tokenOf } from '../support/service.ts'

let relay: TokenRelay
beforeEach(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  relay = createTokenRelay(optionsFor([signer.jwk]))
})
afterEach(async () => {
  await relay.shutdown()
  context.disable()
})

it.each([
  'isRecording',
  'addEvent',
  'spanContext',
  'addLinks',
])('%s throws: the caller is admitted all the same', async (name) => {
  const span = Object.assign(
    Object.create(trace.wrapSpanContext({ traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: 1 })) as object,
    {
      isRecording: () => true,
      [name]: () => {
        throw new Error('broken')
      },
    },
  )
  const headers = { authorization: `Bearer ${tokenOf()}` }
  const outcome = await context.with(trace.setSpan(context.active(), span as never), () => relay.admit({ headers }))
  expect(outcome).toMatchObject({ admitted: true })
})
