/** The blocks of the adapters. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { complaintsIn } from '../support/process.ts'
import type { Stage } from './stage.ts'
import { createStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

it('express.mjs: opens one path, requires a scope for one, and a caller for all others', async () => {
  await using running = await stage.start('node express.mjs', stage.local.folder)
  expect(await (await stage.get('/health')).text()).toBe('open to all')
  expect(await (await stage.get('/me', await stage.issuer.token())).text()).toBe('alice')
  const refused = await stage.get('/me', await stage.issuer.token({ scope: 'invoices:read' }))
  const challenge = 'Bearer error="insufficient_scope", scope="profiles:read"'
  expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([403, challenge])
  expect((await stage.get('/unknown')).status).toBe(401)
  expect(complaintsIn(running.output())).toEqual([])
})
