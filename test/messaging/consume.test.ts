/** A message is worked on as whoever sent it; what is done where its token has ended is for the rule to say. */

import { context } from '@opentelemetry/api'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { DestinationOptions } from '../../src/index.ts'
import { getActiveCredential, runWithToken } from '../../src/index.ts'
import type { ConsumeOptions, Delivery } from '../../src/messaging/index.ts'
import { consume, produce } from '../../src/messaging/index.ts'
import type { Rig } from '../exchange/rig.ts'
import { startRig } from '../exchange/rig.ts'
import { P256, randomSecret } from '../support/sealing.ts'

const NOW = Date.parse('2026-01-02T03:04:05Z')
const SOURCE = 'kafka:orders'
const keys = [
  { kid: 'orders-1', secret: randomSecret() },
  { kid: 'shipping-1', jwk: P256.jwk },
]

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
beforeEach(() => vi.useFakeTimers({ toFake: ['Date'], now: NOW }))
afterEach(() => {
  vi.useRealTimers()
  rig.issuer.setDown(false)
  rig.endpoint.answer = {}
  rig.endpoint.requests.length = 0
})
afterAll(() => rig[Symbol.asyncDispose]())

/** A relay whose rule for the queue has these members beside its name. */
async function ruled(rule: Partial<DestinationOptions>, maxOpenings = 1): Promise<void> {
  const destinations: DestinationOptions[] = [{ to: SOURCE, ...rule }, { to: rig.sink.origin }]
  await rig.relayWith({ relay: { destinations, sealing: { keys, maxOpenings } } })
}

type Headers = Record<string, string>
const send = async (claims = {}, destination = SOURCE): Promise<Headers> =>
  runWithToken(await rig.issuer.token(claims), () => produce(destination, (headers) => headers))

interface Worked {
  readonly verdict: string
  readonly code?: string
  readonly as?: Delivery['as']
  readonly subject?: string | undefined
  readonly origin?: string | undefined
}

async function work(headers: Headers | undefined, options?: ConsumeOptions, source = SOURCE): Promise<Worked> {
  const consumed = await consume(
    { source, headers },
    ({ as, origin }) => ({ as, subject: getActiveCredential()?.subject, origin: origin?.subject }),
    options,
  )
  if (consumed.verdict === 'handled') return { verdict: 'handled', ...consumed.result }
  return { verdict: consumed.verdict, code: consumed.error.code }
}
const revokeAlice = (): Promise<void> =>
  rig.relay.revoke({ issuer: rig.issuer.issuer, subject: 'alice', expiresAtMillis: NOW + 3_600_000 })
const rejected = (code: string): Worked => ({ verdict: 'rejected', code })
const caller = { verdict: 'handled', as: 'caller', subject: 'alice', origin: undefined }
const pass = (seconds: number): void => void vi.setSystemTime(Date.now() + seconds * 1000)

describe('a good token', () => {
  it('G3 is the caller of its own message, whoever is calling where the consumer was started', async () => {
    await ruled({}, 100)
    const messages = await Promise.all(['alice', 'bob', 'carol'].map((sub) => send({ sub })))
    await runWithToken(await rig.issuer.token({ sub: 'mallory' }), async () => {
      const worked = await Promise.all(messages.map((headers) => work(headers)))
      expect(worked.map(({ subject }) => subject)).toEqual(['alice', 'bob', 'carol'])
      expect(await work(undefined)).toEqual(rejected('ERR_TOKEN_MISSING'))
      expect(getActiveCredential()?.subject).toBe('mallory')
    })
  })

  it('goes on to the destinations of the consumer, and not any more once the handler is done', async () => {
    await ruled({})
    const headers = await send()
    let late: (() => Promise<readonly string[]>) | undefined
    await consume({ source: SOURCE, headers }, async () => {
      expect(await rig.send()).toHaveLength(1)
      late = context.bind(context.active(), () => rig.send())
    })
    expect(await late?.()).toEqual([])
  })

  it('is found in headers of bytes, whatever the case of their names', async () => {
    await ruled({})
    const { authorization = '', ...others } = await send()
    const headers = { ...others, Authorization: Buffer.from(authorization) }
    expect(await work(headers as unknown as Headers)).toEqual(caller)
  })

  it('H2 is opened once', async () => {
    await ruled({})
    const headers = await send()
    expect([await work(headers), await work({ ...headers })]).toEqual([caller, rejected('ERR_TOKEN_SEAL')])
  })

  it('H1 is not opened elsewhere, nor where there are two', async () => {
    await ruled({})
    const headers = await send()
    expect(await work(headers, {}, 'kafka:shipping')).toEqual(rejected('ERR_TOKEN_SEAL'))
    const twice = { ...headers, Authorization: headers['authorization'] ?? '' }
    expect(await work(twice)).toMatchObject({ verdict: 'rejected' })
  })

  it('H9 with one bit changed, 10,000 times, is rejected each time with one verdict, and asks nobody', {
    timeout: 120_000,
  }, async () => {
    await ruled({}, 100)
    const headers = await send()
    const sealed = Buffer.from(headers['authorization'] ?? '')
    const asked = rig.issuer.requests.length + rig.endpoint.requests.length
    const verdicts = new Map<string, number>()
    for (let i = 0; i < 10_000; i += 1) {
      const flipped = Buffer.from(sealed)
      // Behind `Sealed `: another scheme is another case.
      const bit = 7 * 8 + (i % ((sealed.length - 7) * 8))
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const { verdict, code } = await work({ ...headers, authorization: flipped.toString('latin1') })
      verdicts.set(`${verdict} ${code}`, (verdicts.get(`${verdict} ${code}`) ?? 0) + 1)
    }
    expect([...verdicts.keys()].filter((each) => !/^rejected ERR_TOKEN_(SEAL|REQUEST)$/.test(each))).toEqual([])
    expect([...verdicts.values()].reduce((sum, count) => sum + count, 0)).toBe(10_000)
    expect(rig.issuer.requests.length + rig.endpoint.requests.length).toBe(asked)
    expect(await work(headers)).toEqual(caller)
  })

  it('is handed over with what the handler returns, and its errors are its own', async () => {
    await ruled({}, 2)
    const headers = await send()
    const mine = new Error('mine')
    const failing = consume({ source: SOURCE, headers }, () => Promise.reject(mine))
    await expect(failing).rejects.toBe(mine)
    expect(await work({ ...headers })).toEqual(caller)
  })
})

describe('no token', () => {
  it.each(['reject', 'nobody'] as const)('where the rule says %s', async (onMissing) => {
    await ruled({ consume: { onMissing } })
    const nobody = { verdict: 'handled', as: 'nobody', subject: undefined, origin: undefined }
    const expected = onMissing === 'nobody' ? nobody : rejected('ERR_TOKEN_MISSING')
    expect([await work({}), await work(undefined)]).toEqual([expected, expected])
  })

  it('is no reason to let in what is not good', async () => {
    await ruled({ consume: { onMissing: 'nobody' } })
    expect(await work({ authorization: 'Sealed x' })).toEqual(rejected('ERR_TOKEN_SEAL'))
    expect(await work({ authorization: `Bearer ${await rig.issuer.token()}` })).toEqual(rejected('ERR_TOKEN_SEAL'))
  })

  it('leaves for a queue that no rule names', async () => {
    await ruled({})
    expect(await send({}, 'kafka:other')).not.toHaveProperty('authorization')
  })
})

describe('a token that has expired meanwhile', () => {
  it('is rejected', async () => {
    await ruled({})
    const headers = await send()
    pass(400)
    expect(await work(headers)).toEqual(rejected('ERR_TOKEN_EXPIRED'))
  })

  it('is exchanged for a fresh one of the same subject, where the rule says so', async () => {
    await ruled({ consume: { onExpired: 'exchange' } })
    const headers = await send()
    pass(400)
    const expected = { verdict: 'handled', as: 'exchanged', subject: 'alice', origin: 'alice' }
    expect(await work(headers)).toEqual(expected)
    expect(await work({ ...headers })).toEqual(rejected('ERR_TOKEN_SEAL'))
    expect(rig.endpoint.requests.map(({ parameters }) => parameters.get('audience'))).toEqual(['user-service'])
  })

  it('is not exchanged for one of somebody else, nor for anything else that the issuer should not give', async () => {
    await ruled({ consume: { onExpired: 'exchange' } }, 100)
    const headers = await send()
    pass(400)
    rig.endpoint.answer = { claims: { sub: 'mallory' } }
    expect(await work(headers)).toEqual(rejected('ERR_TOKEN_EXCHANGE_RESULT'))
    pass(6)
    rig.endpoint.answer = { status: 400, body: '{"error":"invalid_grant"}' }
    expect(await work({ ...headers })).toMatchObject({ verdict: 'rejected' })
  })

  it('is worked on as the service itself, where the rule says so, with the caller as history', async () => {
    await ruled({ consume: { onExpired: 'workload' } })
    const headers = await send()
    pass(400)
    const expected = { verdict: 'handled', as: 'workload', subject: 'service', origin: 'alice' }
    expect(await work(headers)).toEqual(expected)
    expect(rig.endpoint.requests.map(({ parameters }) => parameters.get('grant_type'))).toEqual(['client_credentials'])
  })

  it.each([
    'exchange',
    'workload',
  ] as const)('H7 is rejected where it may have been sealed late: %s', async (onExpired) => {
    await ruled({ seal: 'shipping-1', consume: { onExpired } })
    const headers = await send()
    pass(400)
    expect(await work(headers)).toEqual(rejected('ERR_TOKEN_EXPIRED'))
    await ruled({ seal: false, consume: { onExpired } })
    const clear = { authorization: `Bearer ${await rig.issuer.token({ exp: Date.now() / 1000 - 60 })}` }
    expect(await work(clear)).toEqual(rejected('ERR_TOKEN_EXPIRED'))
    expect(rig.endpoint.requests).toEqual([])
  })
})

describe('a token that was revoked meanwhile', () => {
  it.each<readonly [NonNullable<DestinationOptions['consume']>['onExpired'], Worked]>([
    ['reject', rejected('ERR_TOKEN_REVOKED')],
    ['exchange', rejected('ERR_TOKEN_REVOKED')],
    ['workload', { verdict: 'handled', as: 'workload', subject: 'service', origin: 'alice' }],
  ])('where the rule says %s', async (onExpired = 'reject', expected) => {
    await ruled({ consume: { onExpired } })
    const headers = await send()
    await revokeAlice()
    expect(await work(headers)).toEqual(expected)
  })

  it('and has expired since, is not exchanged', async () => {
    await ruled({ consume: { onExpired: 'exchange' } })
    const headers = await send()
    await revokeAlice()
    pass(400)
    expect(await work(headers)).toEqual(rejected('ERR_TOKEN_REVOKED'))
    expect(rig.endpoint.requests).toEqual([])
  })
})

describe('while nobody can say whether a token is good', () => {
  it('its message is undecided, and not used up', async () => {
    await ruled({})
    const headers = await send()
    await ruled({})
    rig.issuer.setDown(true)
    expect(await work(headers, { undecidedMillis: 0 })).toMatchObject({ verdict: 'undecided' })
    rig.issuer.setDown(false)
    await ruled({})
    expect(await work(headers)).toEqual(caller)
  })

  it('its message waits, and is worked on as soon as they can', async () => {
    let down = true
    const replayWindow = { count: () => (down ? Promise.reject(new Error('down')) : 1) }
    const destinations: DestinationOptions[] = [{ to: SOURCE }]
    await rig.relayWith({ relay: { destinations, sealing: { keys, replayWindow } } })
    const headers = await send()
    const working = work(headers, { undecidedMillis: 20_000 })
    setTimeout(() => {
      down = false
    }, 10)
    expect(await working).toEqual(caller)
  })
})
