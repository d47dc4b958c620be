/** Another token for another audience, through `fetch` and `node:http`, as the rules say. */

import { decodeJwt } from 'jose'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createTokenRelay, runAs, runWithToken } from '../../src/index.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'
import type { TokenEndpoint } from '../support/token-endpoint.ts'
import { startTokenEndpoint } from '../support/token-endpoint.ts'

let issuer: TestIssuer
let endpoint: TokenEndpoint
let sink: Sink
let resources: AsyncDisposableStack
beforeEach(async () => {
  resources = new AsyncDisposableStack()
  issuer = resources.use(await startIssuer())
  endpoint = resources.use(await startTokenEndpoint(issuer))
  sink = resources.use(await startSink())
})
afterEach(() => resources.disposeAsync())

it('fetch waits for the token and sends it, and the next call uses it again', async () => {
  const relay = createTokenRelay({
    issuers: [
      {
        issuer: issuer.issuer,
        audience: 'user-service',
        exchange: { tokenEndpoint: endpoint.url, clientId: 'user-service', clientSecret: 'secret' },
      },
    ],
    destinations: [{ to: sink.origin, exchange: { audience: 'billing', scope: 'invoices:read' } }],
  })
  const token = await issuer.token()
  await runWithToken(token, async () => {
    await (await fetch(`${sink.origin}/a`)).text()
    await (await fetch(`${sink.origin}/b`)).text()
  })
  expect(endpoint.requests).toHaveLength(1)
  const [first, second] = sink.received.map(({ authorization }) => authorization)
  expect(first).toEqual(second)
  expect(first).toHaveLength(1)
  expect(decodeJwt(first?.[0]?.slice(7) ?? '')).toMatchObject({ aud: 'billing', sub: 'alice', scope: 'invoices:read' })
  const source = relay.tokenSource({ grant: 'client_credentials', audience: ['billing'] })
  await runAs(source, async () => (await fetch(`${sink.origin}/c`)).text())
  await relay.shutdown()
})
