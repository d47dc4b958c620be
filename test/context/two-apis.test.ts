/** Two versions of @opentelemetry/api in one process, the older of which has registered first: no caller is lost. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { startProgram } from '../support/process.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

let issuer: TestIssuer
let sink: Sink
beforeAll(async () => {
  issuer = await startIssuer()
  sink = await startSink()
})
afterAll(async () => {
  await issuer[Symbol.asyncDispose]()
  await sink[Symbol.asyncDispose]()
})

it.each([
  ['before', 'contexts'],
  ['after', 'contexts'],
  ['before', 'logger'],
  ['after', 'logger'],
  ['before', 'nothing'],
])('the older copy registers, %s the relay is made, %s', async (order, registers) => {
  await using program = startProgram('two-apis.cjs', {
    env: {
      CASE: JSON.stringify({ order, registers, sink: sink.origin }),
      RELAY_OPTIONS: JSON.stringify({
        issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
        destinations: [{ to: sink.origin }],
      }),
    },
  })
  const origin = `http://127.0.0.1:${await program.report<number>('port')}`
  const users = ['alice', 'bob', 'carol']
  const answers = users.map(async (sub) => {
    const token = await issuer.token({ sub })
    const response = await fetch(`${origin}/${order}-${registers}-${sub}`, {
      headers: { authorization: `Bearer ${token}` },
    })
    const sent = ['fetch', 'http'].map(
      (client) =>
        sink.received.find(({ target }) => target === `/${order}-${registers}-${sub}-${client}`)?.authorization,
    )
    const { seen, kept } = (await response.json()) as Readonly<Record<'seen' | 'kept', string>>
    expect([seen, kept, ...sent]).toEqual([sub, sub, [`Bearer ${token}`], [`Bearer ${token}`]])
  })
  await Promise.all(answers)
  expect(program.stderr()).not.toContain('contexts do not survive')
})
