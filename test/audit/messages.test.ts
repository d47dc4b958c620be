/** H10 H11 Messages and exchanges under an audit trail: what cannot be recorded is undecided, and not used up. */

import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { getActiveCredential, runWithToken } from '../../src/index.ts'
import { consume, produce } from '../../src/messaging/index.ts'
import type { Rig } from '../support/exchange-rig.ts'
import { startRig } from '../support/exchange-rig.ts'
import { waitFor } from '../support/patience.ts'
import { randomSecret } from '../support/sealing.ts'

const SOURCE = 'kafka:orders'
const sealing = { keys: [{ kid: 'orders-1', secret: randomSecret() }] }
let rig: Rig
let folder: string
let file: string
beforeAll(async () => {
  rig = await startRig()
})
beforeEach(async () => {
  folder = join(mkdtempSync(join(tmpdir(), 'audited-')), 'trail')
  mkdirSync(folder)
  file = join(folder, 'audit.jsonl')
})
afterEach(() => rmSync(join(folder, '..'), { recursive: true, force: true }))
afterAll(() => rig[Symbol.asyncDispose]())

type Headers = Record<string, string>
const send = async (): Promise<Headers> =>
  runWithToken(await rig.issuer.token(), () => produce(SOURCE, (headers: Headers) => headers))

async function work(headers: Headers, undecidedMillis = 0): Promise<unknown> {
  const consumed = await consume({ source: SOURCE, headers }, () => getActiveCredential()?.subject, { undecidedMillis })
  return consumed.verdict === 'handled' ? consumed.result : `${consumed.verdict} ${consumed.error.code}`
}
const eventsOf = (): readonly unknown[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const { event, attributes } = JSON.parse(line) as { event: string; attributes: Record<string, unknown> }
      return [event, attributes['auth.message.verdict'] ?? attributes['messaging.destination.name']]
    })

it('block: a message is undecided while the trail fails, and is worked on when it does not any more [H10]', async () => {
  const destinations = [{ to: SOURCE }]
  const relay = await rig.relayWith({ relay: { destinations, sealing, audit: { file, onFailure: 'block' } } })
  const [first, second] = [await send(), await send()]
  expect(await work(first)).toBe('alice')
  renameSync(folder, `${folder}-away`)
  await expect(rig.relay.verify(await rig.issuer.token())).rejects.toMatchObject({
    code: 'ERR_TOKEN_AUDIT_UNAVAILABLE',
  })
  // Sealed for once: an opening that could not be recorded would have used it up.
  expect(await work(second)).toBe('undecided ERR_TOKEN_AUDIT_UNAVAILABLE')
  renameSync(`${folder}-away`, folder)
  await waitFor(() => expect(relay.ready()).toBe(true))
  expect(await work(second)).toBe('alice')
  await relay.shutdown()
  expect(eventsOf().slice(0, 7)).toEqual([
    ['auth.token.verified', undefined],
    ['auth.token.sealed', 'orders'],
    ['auth.token.verified', undefined],
    ['auth.token.sealed', 'orders'],
    ['auth.token.opened', 'orders'],
    ['auth.token.verified', undefined],
    ['auth.message.decided', 'caller'],
  ])
})

it('block: no other token is got for a caller while the trail fails [H10]', async () => {
  await rig.relayWith({ relay: { audit: { file, onFailure: 'block' } } })
  const token = await rig.issuer.token()
  await rig.as(token, async () => {
    renameSync(folder, `${folder}-away`)
    await expect(rig.relay.verify(token)).rejects.toMatchObject({ code: 'ERR_TOKEN_AUDIT_UNAVAILABLE' })
    expect(await rig.send()).toEqual([])
    await expect(rig.relay.prepare(rig.sink.origin)).rejects.toMatchObject({ code: 'ERR_TOKEN_AUDIT_UNAVAILABLE' })
  })
  expect(rig.endpoint.requests).toEqual([])
})

it('an exchange is recorded with the caller for whom it was made [H11]', async () => {
  const relay = await rig.relayWith({ relay: { audit: { file, onFailure: 'block' } } })
  await rig.as(await rig.issuer.token(), () => rig.send())
  await relay.shutdown()
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  const told = lines.map((line) => {
    const { event, attributes } = JSON.parse(line) as { event: string; attributes: Record<string, unknown> }
    return { event, subject: attributes['auth.token.subject'], own: attributes['auth.token.subject_fingerprint'] }
  })
  const [verified] = lines.map((line) => JSON.parse(line) as { attributes: Record<string, unknown> })
  const own = verified?.attributes['auth.token.fingerprint']
  const subject = verified?.attributes['auth.token.subject']
  expect(told).toEqual([
    { event: 'auth.token.verified', subject, own: undefined },
    { event: 'auth.token.exchanged', subject, own },
    { event: 'auth.token.forwarded', subject, own },
  ])
})
