/** The blocks of token exchange. */

import { decodeJwt } from 'jose'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Stage } from './stage.ts'
import { createStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

it('exchange.mjs does what its comments say', async () => {
  for (const sink of [stage.profiles, stage.billing]) sink.clear()
  const driver = `
    import { runWithToken } from 'otel-token-relay'
    import { canBill, follow, nightly } from './exchange.mjs'
    const billable = await runWithToken(process.env.TOKEN, async () => {
      const billable = await canBill()
      await fetch(process.env.BILLING).then((response) => response.text())
      await follow().then((response) => response.text())
      return billable
    })
    await nightly().then((response) => response.text())
    console.log(JSON.stringify([billable, await canBill()]))
    process.exit()`
  const token = await stage.issuer.token()
  const env = { TOKEN: token, BILLING: stage.billing.origin, CLIENT_SECRET: 'secret' }
  expect(await stage.drive(driver, [], env)).toEqual([true, true])
  const tokens = [...stage.billing.received, ...stage.profiles.received].map(
    ({ authorization }) => authorization[0]?.slice(7) ?? '',
  )
  expect(tokens.map((text) => decodeJwt(text))).toMatchObject([
    { sub: 'alice', aud: 'billing', scope: 'invoices:read' },
    { sub: 'alice', aud: 'user-service' },
    { sub: 'service', aud: 'user-service' },
  ])
  expect(tokens[1]).toBe(token)
  expect(stage.endpoint.requests.map(({ parameters }) => parameters.get('audience'))).toEqual([
    'billing',
    'user-service',
  ])
})
