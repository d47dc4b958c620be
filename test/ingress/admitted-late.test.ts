/** What happens to a token while its admission waits counts: for keys, for the audit trail, for an exchange at ingress. */

import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from '@nestjs/common'
import { defaultTextMapGetter, ROOT_CONTEXT } from '@opentelemetry/api'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { getActiveCredential, runAsCaller, runWithToken, setSource } from '../../src/index.ts'
import { TokenRelayGuard } from '../../src/ingress/adapters/nestjs.ts'
import { consume, produce } from '../../src/messaging/index.ts'
import type { RelayChanges, Rig } from '../support/exchange-rig.ts'
import { startRig } from '../support/exchange-rig.ts'
import { waitFor } from '../support/patience.ts'
import { randomSecret } from '../support/sealing.ts'
import { deferred } from '../support/service.ts'
import { LIFE_SECONDS } from '../support/signer.ts'

const SOURCE = 'kafka:orders'
const WEB_SOCKET = {
  getType: () => 'ws',
  getHandler: () => () => undefined,
  getClass: () => class {},
} as unknown as ExecutionContext
const SEALED: RelayChanges['relay'] = { sealing: { keys: [{ kid: 'orders-1', secret: randomSecret() }] } }

let rig: Rig
let folder: string
let file: string
beforeAll(async () => {
  rig = await startRig()
})
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'late-')), 'trail')
  mkdirSync(folder)
  file = join(folder, 'audit.jsonl')
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
  rig.endpoint.answer = {}
  rmSync(join(folder, '..'), { recursive: true, force: true })
})
afterAll(() => rig[Symbol.asyncDispose]())

const blocking = () => ({ audit: { file, onFailure: 'block' as const } })
const breakTrail = (): void => renameSync(folder, `${folder}-away`)
const mendTrail = (): void => renameSync(`${folder}-away`, folder)
const trailIsBack = () => waitFor(() => expect(rig.relay.ready()).toBe(true))

async function admit(token: string, headers = { authorization: `Bearer ${token}` }): Promise<string | undefined> {
  const admission = await rig.relay.admit({ headers })
  return admission.admitted ? admission.credential?.subject : admission.error.code
}

const revoke = async (token: string): Promise<void> => rig.relay.revoke(await rig.relay.verify(token))

/** Every sync of a file waits until the test says so: a slow disk. */
async function slowDisk(): Promise<() => void> {
  const written = deferred()
  const handle = await open(join(folder, '..', 'any'), 'w')
  const prototype = Object.getPrototypeOf(handle) as FileHandle
  await handle.close()
  const { datasync } = prototype
  vi.spyOn(prototype, 'datasync').mockImplementation(async function (this: FileHandle) {
    await written.promise
    return datasync.call(this)
  })
  return written.resolve
}

const CHANGES: readonly (readonly [string, (token: string) => unknown, string])[] = [
  ['revoked', revoke, 'ERR_TOKEN_REVOKED'],
  ['expired', () => vi.setSystemTime(Date.now() + (LIFE_SECONDS + 100) * 1000), 'ERR_TOKEN_EXPIRED'],
]

describe.each(CHANGES)('a token that is %s [C14]', (_what, change, code) => {
  beforeEach(() => vi.useFakeTimers({ toFake: ['Date'] }))

  it('while an exchange at ingress is under way is refused', async () => {
    await rig.relayWith({ rule: { prepare: 'ingress' } })
    const answered = deferred()
    rig.endpoint.answer = { after: answered.promise }
    const before = rig.endpoint.requests.length
    const token = await rig.issuer.token()
    const admission = admit(token)
    await waitFor(() => expect(rig.endpoint.requests.length).toBe(before + 1))
    await change(token)
    answered.resolve()
    expect(await admission).toBe(code)
  })

  it('while the audit trail is being written is refused', async () => {
    await rig.relayWith({ relay: blocking() })
    const token = await rig.issuer.token()
    const credential = await rig.relay.verify(token)
    const finish = await slowDisk()
    const admission = admit(token)
    // Asking the relay for the credential would wait for the trail, too.
    if (code === 'ERR_TOKEN_REVOKED') await rig.relay.revoke(credential)
    else await change(token)
    finish()
    expect(await admission).toBe(code)
  })
})

describe('while the audit trail cannot be written [H16]', () => {
  it('a caller is refused however often and in parallel they ask, and admitted and recorded once it can be', async () => {
    await rig.relayWith({ relay: blocking() })
    const token = await rig.issuer.token()
    await rig.relay.verify(token)
    breakTrail()
    const headers = { authorization: `Bearer ${token}` }
    const undecided = 'ERR_TOKEN_AUDIT_UNAVAILABLE'
    expect(await Promise.all([admit(token, headers), admit(token, headers)])).toEqual([undecided, undecided])
    expect(await admit(token, headers)).toBe(undecided)
    mendTrail()
    await trailIsBack()
    expect(await admit(token, headers)).toBe('alice')
    await rig.relay.shutdown()
    const events = readFileSync(file, 'utf8').match(/auth\.token\.verified/g)
    // `relay.verify` and the admission that was let in.
    expect(events).toHaveLength(2)
  })

  it('a caller who was recorded while it could be is refused, too', async () => {
    await rig.relayWith({ relay: blocking() })
    const token = await rig.issuer.token()
    const headers = { authorization: `Bearer ${token}` }
    expect(await admit(token, headers)).toBe('alice')
    breakTrail()
    expect(await admit(await rig.issuer.token())).toBe('ERR_TOKEN_AUDIT_UNAVAILABLE')
    expect(await admit(token, headers)).toBe('ERR_TOKEN_AUDIT_UNAVAILABLE')
    mendTrail()
    await trailIsBack()
    expect(await admit(token, headers)).toBe('alice')
  })

  it('messages are undecided delivery after delivery, and none is used up', async () => {
    await rig.relayWith({
      destination: { to: SOURCE },
      relay: { ...SEALED, ...blocking(), destinations: [{ to: SOURCE }] },
    })
    const messages = await Promise.all([send(), send(), send()])
    breakTrail()
    for (const _delivery of [1, 2]) {
      for (const message of messages) expect(await work(message)).toBe('undecided ERR_TOKEN_AUDIT_UNAVAILABLE')
    }
    mendTrail()
    await trailIsBack()
    for (const message of messages) expect(await work(message)).toBe('alice')
    for (const message of messages) expect(await work(message)).toBe('rejected ERR_TOKEN_SEAL')
  })
})

describe('a revocation list that cannot be trusted any more while the opening of a message is counted [H17]', () => {
  async function sendOnce(): Promise<{ message: Headers; counted: () => number; list: { available: boolean } }> {
    const list = { available: true, isRevoked: () => false, revoke: async () => undefined }
    const counts = new Map<string, number>()
    let counted = 0
    const replayWindow = {
      async count(id: string) {
        counted += 1
        counts.set(id, (counts.get(id) ?? 0) + 1)
        if (counted === 1) list.available = false
        return counts.get(id) ?? 0
      },
    }
    const sealing = { keys: [{ kid: 'orders-1', secret: randomSecret() }], replayWindow }
    await rig.relayWith({ relay: { sealing, revocation: { list }, destinations: [{ to: SOURCE }] } })
    return { message: await send(), counted: () => counted, list }
  }

  it('makes it undecided, and does not use it up: it is worked on once', async () => {
    const { message, counted, list } = await sendOnce()
    for (const _delivery of [1, 2]) expect(await work(message)).toBe('undecided ERR_TOKEN_REVOCATION_UNAVAILABLE')
    expect(counted()).toBe(1)
    list.available = true
    expect(await work(message)).toBe('alice')
    expect(counted()).toBe(1)
    expect(await work(message)).toBe('rejected ERR_TOKEN_SEAL')
  })

  it('gives nothing back of a message that is worked on', async () => {
    const { message, list } = await sendOnce()
    await work(message)
    list.available = true
    const ctx = setSource(ROOT_CONTEXT, SOURCE)
    await runAsCaller(rig.relay.propagator.extract(ctx, message, defaultTextMapGetter), async () => {
      list.available = false
      await expect(async () => new TokenRelayGuard().canActivate(WEB_SOCKET)).rejects.toThrow()
      list.available = true
    })
    expect(await work(message)).toBe('rejected ERR_TOKEN_SEAL')
  })

  it('has one opening left for deliveries that come together', async () => {
    const { message, list } = await sendOnce()
    await work(message)
    list.available = true
    const outcomes = await Promise.all([work(message), work(message), work(message)])
    expect(outcomes.toSorted()).toEqual(['alice', 'rejected ERR_TOKEN_SEAL', 'rejected ERR_TOKEN_SEAL'])
  })
})

describe('while the token endpoint is down [H17]', () => {
  it.each([
    ['exchange', 'alice'],
    ['workload', 'user-service'],
  ] as const)('a message that needs an %s stays undecided, and is not used up', async (onExpired, subject) => {
    await rig.relayWith({ relay: { ...SEALED, destinations: [{ to: SOURCE, consume: { onExpired } }] } })
    vi.useFakeTimers({ toFake: ['Date'] })
    const message = await send()
    vi.setSystemTime(Date.now() + (LIFE_SECONDS + 6) * 1000)
    rig.endpoint.answer = { status: 503 }
    for (const _delivery of [1, 2]) expect(await work(message)).toBe('undecided ERR_TOKEN_EXCHANGE_UNAVAILABLE')
    vi.setSystemTime(Date.now() + 60_000)
    rig.endpoint.answer = { claims: { aud: 'user-service', sub: subject } }
    await waitFor(async () => expect(await work(message)).toBe(subject))
    expect(await work(message)).toBe('rejected ERR_TOKEN_SEAL')
  })
})

type Headers = Record<string, string>
const send = async (): Promise<Headers> =>
  runWithToken(await rig.issuer.token(), () => produce(SOURCE, (headers: Headers) => headers))

async function work(headers: Headers): Promise<unknown> {
  const consumed = await consume({ source: SOURCE, headers }, () => getActiveCredential()?.subject, {
    undecidedMillis: 0,
  })
  return consumed.verdict === 'handled' ? consumed.result : `${consumed.verdict} ${consumed.error.code}`
}
