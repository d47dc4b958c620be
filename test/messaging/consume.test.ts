/** A message is handled as its caller; the rule decides about an expired, revoked or missing token. */

import { context } from '@opentelemetry/api'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { DestinationOptions } from '../../src/index.ts'
import { getActiveCredential, runWithToken } from '../../src/index.ts'
import type { ConsumeOptions, Delivery } from '../../src/messaging/index.ts'
import { consume, produce } from '../../src/messaging/index.ts'
import type { Rig } from '../support/exchange-rig.ts'
import { startRig } from '../support/exchange-rig.ts'
import { P256, randomSecret } from '../support/sealing.ts'
import { LIFE_SECONDS } from '../support/signer.ts'

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

/** Creates a relay whose rule for the queue has these members. */
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

describe('a message with a good token', () => {
  it('runs as its caller, whatever caller was active when the consumer started [G3]', async () => {
    await ruled({}, 100)
    const messages = await Promise.all(['alice', 'bob', 'carol'].map((sub) => send({ sub })))
    await runWithToken(await rig.issuer.token({ sub: 'mallory' }), async () => {
      const worked = await Promise.all(messages.map((headers) => work(headers)))
      expect(worked.map(({ subject }) => subject)).toEqual(['alice', 'bob', 'carol'])
      expect(await work(undefined)).toEqual(rejected('ERR_TOKEN_MISSING'))
      expect(getActiveCredential()?.subject).toBe('mallory')
    })
  })

  it('sends its token to the destinations of the consumer until the handler ends', async () => {
    await ruled({})
    const headers = await send()
    let late: (() => Promise<readonly string[]>) | undefined
    await consume({ source: SOURCE, headers }, async () => {
      expect(await rig.send()).toHaveLength(1)
      late = context.bind(context.active(), () => rig.send())
    })
    expect(await late?.()).toEqual([])
  })

  it('may have headers of bytes, with names in any case', async () => {
    await ruled({})
    const { authorization = '', ...others } = await send()
    const headers = { ...others, Authorization: Buffer.from(authorization) }
    expect(await work(headers as unknown as Headers)).toEqual(caller)
  })

  it('opens its token once [H2]', async () => {
    await ruled({})
    const headers = await send()
    expect([await work(headers), await work({ ...headers })]).toEqual([caller, rejected('ERR_TOKEN_SEAL')])
  })

  it('does not open elsewhere, or with two tokens [H1]', async () => {
    await ruled({})
    const headers = await send()
    expect(await work(headers, {}, 'kafka:shipping')).toEqual(rejected('ERR_TOKEN_SEAL'))
    const twice = { ...headers, Authorization: headers['authorization'] ?? '' }
    expect(await work(twice)).toMatchObject({ verdict: 'rejected' })
  })

  it('gets the same rejection for each of 10,000 changed bits, without a request to the issuer [H9]', {
    timeout: 120_000,
  }, async () => {
    await ruled({}, 100)
    const headers = await send()
    const sealed = Buffer.from(headers['authorization'] ?? '')
    const asked = rig.issuer.requests.length + rig.endpoint.requests.length
    const verdicts = new Map<string, number>()
    for (let i = 0; i < 10_000; i += 1) {
      const flipped = Buffer.from(sealed)
      // After `Sealed `: another scheme is another test.
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

  it('returns the result of its handler, or throws its error', async () => {
    await ruled({}, 2)
    const headers = await send()
    const mine = new Error('mine')
    const failing = consume({ source: SOURCE, headers }, () => Promise.reject(mine))
    await expect(failing).rejects.toBe(mine)
    expect(await work({ ...headers })).toEqual(caller)
  })
})

describe('a message without a token', () => {
  it.each(['reject', 'no-caller'] as const)('follows the rule: %s', async (onMissing) => {
    await ruled({ consume: { onMissing } })
    const worked = { verdict: 'handled', as: 'no-caller', subject: undefined, origin: undefined }
    const expected = onMissing === 'no-caller' ? worked : rejected('ERR_TOKEN_MISSING')
    expect([await work({}), await work(undefined)]).toEqual([expected, expected])
  })

  it('is the only message that onMissing admits: a bad token is rejected', async () => {
    await ruled({ consume: { onMissing: 'no-caller' } })
    expect(await work({ authorization: 'Sealed x' })).toEqual(rejected('ERR_TOKEN_SEAL'))
    expect(await work({ authorization: `Bearer ${await rig.issuer.token()}` })).toEqual(rejected('ERR_TOKEN_SEAL'))
  })

  it('leaves for a queue that no rule names', async () => {
    await ruled({})
    expect(await send({}, 'kafka:other')).not.toHaveProperty('authorization')
  })
})

describe('a message whose token has expired', () => {
  it('is rejected', async () => {
    await ruled({})
    const headers = await send()
    pass(LIFE_SECONDS + 100)
    expect(await work(headers)).toEqual(rejected('ERR_TOKEN_EXPIRED'))
  })

  it('gets a fresh token of the same subject if the rule says exchange', async () => {
    await ruled({ consume: { onExpired: 'exchange' } })
    const headers = await send()
    pass(LIFE_SECONDS + 100)
    const expected = { verdict: 'handled', as: 'exchanged', subject: 'alice', origin: 'alice' }
    expect(await work(headers)).toEqual(expected)
    expect(await work({ ...headers })).toEqual(rejected('ERR_TOKEN_SEAL'))
    expect(rig.endpoint.requests.map(({ parameters }) => parameters.get('audience'))).toEqual(['user-service'])
  })

  it('is rejected if the issuer returns a token of another subject or any other wrong answer', async () => {
    await ruled({ consume: { onExpired: 'exchange' } }, 100)
    const headers = await send()
    pass(LIFE_SECONDS + 100)
    rig.endpoint.answer = { claims: { sub: 'mallory' } }
    expect(await work(headers)).toEqual(rejected('ERR_TOKEN_EXCHANGE_RESULT'))
    pass(6)
    rig.endpoint.answer = { status: 400, body: '{"error":"invalid_grant"}' }
    expect(await work({ ...headers })).toMatchObject({ verdict: 'rejected' })
  })

  it('runs as the service itself if the rule says workload, with the caller as origin', async () => {
    await ruled({ consume: { onExpired: 'workload' } })
    const headers = await send()
    pass(LIFE_SECONDS + 100)
    const expected = { verdict: 'handled', as: 'workload', subject: 'service', origin: 'alice' }
    expect(await work(headers)).toEqual(expected)
    expect(rig.endpoint.requests.map(({ parameters }) => parameters.get('grant_type'))).toEqual(['client_credentials'])
  })

  it.each([
    'exchange',
    'workload',
  ] as const)('is rejected if the token may have been sealed after it expired: %s [H7]', async (onExpired) => {
    await ruled({ seal: 'shipping-1', consume: { onExpired } })
    const headers = await send()
    pass(LIFE_SECONDS + 100)
    expect(await work(headers)).toEqual(rejected('ERR_TOKEN_EXPIRED'))
    await ruled({ seal: false, consume: { onExpired } })
    const clear = { authorization: `Bearer ${await rig.issuer.token({ exp: Date.now() / 1000 - 60 })}` }
    expect(await work(clear)).toEqual(rejected('ERR_TOKEN_EXPIRED'))
    expect(rig.endpoint.requests).toEqual([])
  })
})

describe('a message whose token was revoked', () => {
  it.each<readonly [NonNullable<DestinationOptions['consume']>['onExpired'], Worked]>([
    ['reject', rejected('ERR_TOKEN_REVOKED')],
    ['exchange', rejected('ERR_TOKEN_REVOKED')],
    ['workload', { verdict: 'handled', as: 'workload', subject: 'service', origin: 'alice' }],
  ])('follows the rule: %s', async (onExpired = 'reject', expected) => {
    await ruled({ consume: { onExpired } })
    const headers = await send()
    await revokeAlice()
    expect(await work(headers)).toEqual(expected)
  })

  it('is undecided if its token has expired and the revocation list is unavailable', async () => {
    let available = true
    const list = {
      isRevoked: () => false,
      get available() {
        return available
      },
      revoke: () => Promise.resolve(),
    }
    const destinations: DestinationOptions[] = [{ to: SOURCE, consume: { onExpired: 'exchange' } }]
    await rig.relayWith({ relay: { destinations, sealing: { keys }, revocation: { list } } })
    const headers = await send()
    pass(LIFE_SECONDS + 100)
    available = false
    const expected = { verdict: 'undecided', code: 'ERR_TOKEN_REVOCATION_UNAVAILABLE' }
    expect(await work(headers, { undecidedMillis: 0 })).toEqual(expected)
    expect(rig.endpoint.requests).toEqual([])
  })

  it('gets no exchanged token, also after the token has expired', async () => {
    await ruled({ consume: { onExpired: 'exchange' } })
    const headers = await send()
    await revokeAlice()
    pass(LIFE_SECONDS + 100)
    expect(await work(headers)).toEqual(rejected('ERR_TOKEN_REVOKED'))
    expect(rig.endpoint.requests).toEqual([])
  })
})

describe('while no decision is possible', () => {
  it('a message is undecided, and its opening does not count', async () => {
    await ruled({})
    const headers = await send()
    await ruled({})
    rig.issuer.setDown(true)
    expect(await work(headers, { undecidedMillis: 0 })).toMatchObject({ verdict: 'undecided' })
    rig.issuer.setDown(false)
    await ruled({})
    expect(await work(headers)).toEqual(caller)
  })

  it('a message waits, and is handled as soon as a decision is possible', async () => {
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
