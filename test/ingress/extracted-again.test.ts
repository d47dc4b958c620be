/** Instrumentations of frameworks may extract a second time: the verdict on a request stays what it is. */

import type { Context } from '@opentelemetry/api'
import { context, defaultTextMapGetter } from '@opentelemetry/api'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { getCredential } from '../../src/index.ts'
import { statuses } from '../support/raw.ts'
import type { Service } from '../support/service.ts'
import { bearer, deferred, startService, tokenOf } from '../support/service.ts'

const ALICE = tokenOf()
let service: Service
let handle: (headers: Record<string, unknown>) => Promise<unknown>
let closed: ReturnType<typeof deferred<void>>
beforeEach(async () => {
  closed = deferred<void>()
  service = await startService({
    handler: async ({ headers }, response) => {
      response.once('close', () => closed.resolve())
      await handle(headers as Record<string, unknown>)
      response.end()
    },
  })
})
afterEach(() => service[Symbol.asyncDispose]())

const extract = (carrier: object): Context =>
  service.relay.propagator.extract(context.active(), carrier, defaultTextMapGetter)
const callIn = (ctx: Context): Promise<unknown> =>
  context.with(ctx, () => fetch(`${service.sink.origin}/sink/x`).then((response) => response.text()))
const sent = (): number => service.sink.received.flatMap(({ authorization }) => authorization).length

it('from the same request: the same caller, and what is sent is sent', async () => {
  handle = async (headers) => {
    expect(getCredential(extract(headers))?.subject).toBe('alice')
    await callIn(extract(headers))
  }
  expect(statuses(await service.send([bearer(ALICE)]))).toEqual([200])
  expect(sent()).toBe(1)
})

it('from headers that were changed, or copied: no caller is verified by that', async () => {
  handle = async (headers) => {
    expect(getCredential(extract({ ...headers }))).toBeUndefined()
    headers['authorization'] = `Bearer ${tokenOf({ sub: 'root' })}`
    expect(getCredential(extract(headers))).toBeUndefined()
    await callIn(extract(headers))
  }
  expect(statuses(await service.send([bearer(ALICE)]))).toEqual([200])
  expect(sent()).toBe(0)
})

it('from a request that is over: the caller is not verified any more', async () => {
  const kept = deferred<object>()
  handle = async (headers) => kept.resolve(headers)
  expect(statuses(await service.send([bearer(ALICE)]))).toEqual([200])
  const headers = await kept.promise
  await closed.promise
  expect(getCredential(extract(headers))).toBeUndefined()
  await callIn(extract(headers))
  expect(sent()).toBe(0)
})
