/** `auth.decisions` and `auth.exchanges` count exchanges, and name nothing that comes from a request. */

import { expect, it } from 'vitest'
import { startRig } from '../support/exchange-rig.ts'
import { findToken } from '../support/exports.ts'
import { recordMetrics } from '../support/metrics.ts'

it('forwarded, exchanged and withheld tokens by verdict, reason and rule', async () => {
  await using rig = await startRig()
  await using recorded = recordMetrics()
  const rule = rig.sink.origin
  const token = await rig.issuer.token()
  await rig.as(token, async () => {
    await rig.send()
    await rig.send()
    await (await fetch(rule.replace('127.0.0.1', 'localhost')).catch(() => undefined))?.text()
  })
  await rig.relayWith({ rule: { onFailure: 'forward' } })
  rig.endpoint.answer = { status: 400 }
  await rig.as(token, () => rig.send())
  await rig.relayWith({})
  await rig.as(token, () => rig.send())

  expect(await recorded.values('auth.decisions')).toEqual([
    [{ 'auth.decision.verdict': 'exchange', 'auth.decision.rule': rule }, 2],
    [{ 'auth.decision.verdict': 'withhold', 'auth.decision.reason': 'not_named' }, 1],
    [{ 'auth.decision.verdict': 'forward', 'auth.decision.rule': rule }, 1],
    [{ 'auth.decision.verdict': 'withhold', 'auth.decision.reason': 'not_exchanged', 'auth.decision.rule': rule }, 1],
  ])
})

it('questions to the issuer by kind, outcome and code, with how long they took, and none for what is at hand', async () => {
  await using rig = await startRig()
  await using recorded = recordMetrics()
  const token = await rig.issuer.token()
  await rig.as(token, async () => {
    await rig.send()
    await rig.send()
    await rig.relay.prepare(rig.sink.origin)
  })
  const source = rig.relay.tokenSource({ grant: 'client_credentials', audience: 'billing' })
  await source.renew?.(await source.get())
  rig.endpoint.answer = { status: 400 }
  await rig.as(await rig.issuer.token({ sub: 'bob' }), () => rig.send())

  const asked = (kind: string, outcome: string, others = {}): object => ({
    'auth.token.issuer': rig.issuer.issuer,
    'auth.exchange.kind': kind,
    'auth.exchange.outcome': outcome,
    ...others,
  })
  const expected = [
    [asked('exchange', 'success'), 2],
    [asked('renewal', 'success'), 1],
    [asked('exchange', 'failure', { 'error.type': 'ERR_TOKEN_EXCHANGE_REFUSED' }), 1],
  ]
  expect(await recorded.values('auth.exchanges')).toEqual(expected)
  expect(await recorded.counts('auth.exchange.duration')).toEqual(expected)
  expect(findToken(await recorded.everything(), token)).toBeUndefined()
})
