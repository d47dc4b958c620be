/** The propagator is an object of the application: it may be wrapped, copied, or have its methods taken off it. */

import type { TextMapPropagator } from '@opentelemetry/api'
import { defaultTextMapGetter, defaultTextMapSetter, propagation, ROOT_CONTEXT } from '@opentelemetry/api'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, setCredential, setDestination } from '../../src/index.ts'
import { optionsFor } from '../support/relay.ts'
import { signer, tokenOf } from '../support/service.ts'

let relay: TokenRelay
beforeAll(() => {
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [{ to: 'kafka:orders', seal: false }] })
})
afterAll(() => relay.shutdown())

const FORMS: readonly (readonly [string, (propagator: TextMapPropagator) => TextMapPropagator])[] = [
  ['a copy', (propagator) => ({ ...propagator })],
  ['methods taken off it', ({ extract, inject, fields }) => ({ extract, inject, fields })],
  ['an object that inherits from it', (propagator) => Object.create(propagator) as TextMapPropagator],
  ['a proxy', (propagator) => new Proxy(propagator, {})],
]

it.each(FORMS)('%s deletes the caller before, drops a token in baggage, and writes the token', async (_, make) => {
  const propagator = make(relay.propagator)
  const token = tokenOf()
  const ctx = setDestination(setCredential(ROOT_CONTEXT, await relay.verify(token)), 'kafka:orders')
  const carrier: Record<string, string> = {}
  propagator.inject(ctx, carrier, defaultTextMapSetter)
  expect(carrier).toEqual({ authorization: `Bearer ${token}` })

  const next: Record<string, string> = { baggage: `leak=${token},tenant=7` }
  propagator.inject(
    propagation.deleteBaggage(propagator.extract(ctx, {}, defaultTextMapGetter)),
    next,
    defaultTextMapSetter,
  )
  expect(next).toEqual({ baggage: 'tenant=7' })
  expect(propagator.fields()).toEqual([])
})
