/** The tests of the service with NestJS, in Jest. */

import type { INestApplication } from '@nestjs/common'
import { Test } from '@nestjs/testing'
import {
  asCaller,
  createTestDestination,
  createTestRelay,
  expectNoToken,
  expectTokenAt,
  type TestRelay,
  type TestServer,
  watchTokens,
} from 'otel-token-relay/testing'
import { OrdersService, ordersModule } from './orders.module'

let billing: TestServer
let kit: TestRelay
let app: INestApplication
let origin: string
beforeEach(async () => {
  billing = await createTestDestination()
  kit = await createTestRelay({ destinations: [billing] })
  const module = await Test.createTestingModule({ imports: [ordersModule(billing.origin)] }).compile()
  app = module.createNestApplication()
  await app.listen(0, '127.0.0.1')
  origin = await app.getUrl()
})
afterEach(async () => {
  await app.close()
  await kit[Symbol.asyncDispose]()
  await billing[Symbol.asyncDispose]()
})

test('a provider alone, as a caller', async () => {
  expect(await asCaller({ subject: 'alice' }, () => app.get(OrdersService).owner())).toBe('alice')
})

test('answers the caller, and asks billing as the caller, and nothing else', async () => {
  const watch = watchTokens()
  const token = kit.issuer.token({ subject: 'alice', scopes: ['orders:read'] })
  const response = await fetch(`${origin}/orders`, { headers: { authorization: `Bearer ${token}` } })
  expect(await response.json()).toEqual({ subject: 'alice', invoices: {} })
  expectTokenAt(billing, { subject: 'alice' })
  watch.expectOnly([billing], { allow: [origin] })
  watch.stop()
})

test('refuses a caller without the scope', async () => {
  const token = kit.issuer.token({ subject: 'alice' })
  const response = await fetch(`${origin}/orders`, { headers: { authorization: `Bearer ${token}` } })
  expect(response.status).toBe(403)
  expectNoToken(billing)
})
