/** The controllers, with a relay that the test creates. */

import type { INestApplication } from '@nestjs/common'
import { Test } from '@nestjs/testing'
import { createTokenRelay, TokenRejectedError, type TokenRelay } from 'otel-token-relay'
import { options, tokens } from '../../jest/given'
import { AppModule } from './app.module'

let relay: TokenRelay
let app: INestApplication
let origin: string
beforeAll(async () => {
  relay = createTokenRelay({ ...options, ingress: { mode: 'off' } })
  const module = await Test.createTestingModule({ imports: [AppModule] }).compile()
  app = module.createNestApplication()
  await app.listen(0, '127.0.0.1')
  origin = await app.getUrl()
})
afterAll(async () => {
  await app.close()
  await relay.shutdown()
})

async function get(path: string, token?: string): Promise<readonly [number, string]> {
  const headers = token === undefined ? undefined : { authorization: `Bearer ${token}` }
  const response = await fetch(origin + path, { headers })
  return [response.status, await response.text()]
}

test('refuses a request without a token', async () => {
  expect((await get('/'))[0]).toBe(401)
})

test('injects the caller', async () => {
  expect(await get('/', tokens.carol)).toEqual([200, 'carol'])
})

test('refuses a caller without the scope', async () => {
  expect((await get('/orders', tokens.carol))[0]).toBe(403)
})

test('errors are of the classes that are imported', async () => {
  await expect(relay.verify('no token')).rejects.toBeInstanceOf(TokenRejectedError)
})
