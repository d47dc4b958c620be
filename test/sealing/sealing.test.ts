/** A sealed token opens in its own message, once and in time; whatever else is tried is one error. */

import { randomInt } from 'node:crypto'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createSecretSealingKey } from '../../src/sealing/key.ts'
import type { ReplayWindow } from '../../src/sealing/replay-window.ts'
import { SealError } from '../../src/token/errors.ts'
import { KINDS, MESSAGE, opened, randomSecret, SECRET, sealed, sealingWith, TOKEN } from '../support/sealing.ts'

const SEAL = 'ERR_TOKEN_SEAL'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-01-02T03:04:05.678Z') })
})
afterEach(() => vi.useRealTimers())

describe.each(KINDS)('sealed with $kind', ({ key, alg }) => {
  const sealing = sealingWith([key])

  it('opens in its message, and is the same token', async () => {
    expect(await opened(sealing, sealed(sealing))).toBe(TOKEN)
  })

  it('says outside what it is bound to, and nothing more [H1]', () => {
    const [header = ''] = sealed(sealing).split('.')
    const { epk, jti, ...members } = JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, unknown>
    const now = Math.floor(Date.now() / 1000)
    expect(members).toEqual({
      alg,
      enc: 'A256GCM',
      kid: key.kid,
      typ: 'token-relay+jwe',
      iss: 'order-service',
      aud: 'kafka:orders',
      iat: now,
      exp: now + 300,
      trace: MESSAGE.traceId,
    })
    expect(jti).toMatch(/^[\da-f-]{36}$/)
    expect(Object.keys((epk as object | undefined) ?? {})).not.toContain('d')
  })

  it.each([
    ['another queue', { ...MESSAGE, destination: 'kafka:payments' }],
    ['a queue whose name begins alike', { ...MESSAGE, destination: 'kafka:orders.dlq' }],
    ['the same queue of another system', { ...MESSAGE, destination: 'rabbitmq:orders' }],
    ['a message of another trace', { ...MESSAGE, traceId: '1af7651916cd43dd8448eb211c80319c' }],
    ['a message whose trace was taken away', { ...MESSAGE, traceId: undefined }],
  ])('does not open in %s [H1]', async (_, elsewhere) => {
    const text = sealed(sealing)
    expect(await opened(sealing, text, elsewhere)).toBe(SEAL)
    expect(await opened(sealing, text)).toBe(TOKEN)
  })

  it('without a trace opens with any', async () => {
    expect(await opened(sealing, sealed(sealing, { ...MESSAGE, traceId: undefined }))).toBe(TOKEN)
  })

  it('opens once [H2]', async () => {
    const text = sealed(sealing)
    const outcomes = await Promise.all([1, 2, 3].map(() => opened(sealing, text)))
    expect(outcomes).toEqual([TOKEN, SEAL, SEAL])
  })

  it('does not open with another key of the same name [H5]', async () => {
    const other = sealingWith([createSecretSealingKey(key.kid, randomSecret())])
    expect(await opened(other, sealed(sealing))).toBe(SEAL)
  })

  it('does not open with one bit changed, 10,000 times, and nothing crashes [H9]', async () => {
    const bytes = Buffer.from(sealed(sealing))
    const outcomes = new Set<string>()
    for (let i = 0; i < 10_000; i += 1) {
      const flipped = Buffer.from(bytes)
      const at = randomInt(flipped.length)
      flipped[at] = (flipped[at] ?? 0) ^ (1 << randomInt(8))
      outcomes.add(await opened(sealing, flipped.toString('latin1')))
    }
    expect([...outcomes]).toEqual([SEAL])
    expect(await opened(sealing, bytes.toString())).toBe(TOKEN)
  })
})

describe('time', () => {
  const sealing = sealingWith([SECRET.key], { maxAgeSeconds: 600, maxOpenings: 9 })

  it('ends with the token [B5]', async () => {
    const text = sealed(sealing)
    vi.setSystemTime(Date.now() + 299_000)
    expect(await opened(sealing, text)).toBe(TOKEN)
    vi.setSystemTime(Date.now() + 1_000)
    expect(await opened(sealing, text)).toBe(SEAL)
  })

  it('ends with maxAgeSeconds, for tokens that never expire too', async () => {
    for (const exp of [Number.POSITIVE_INFINITY, Date.now() + 86_400_000]) {
      const text = sealing.seal(TOKEN, exp, true, MESSAGE) ?? ''
      expect(await opened(sealing, text)).toBe(TOKEN)
      vi.setSystemTime(Date.now() + 600_000)
      expect(await opened(sealing, text)).toBe(SEAL)
    }
  })

  it('ends with the maxAgeSeconds of the consumer if that is shorter', async () => {
    const text = sealed(sealing)
    vi.setSystemTime(Date.now() + 60_000)
    expect(await opened(sealingWith([SECRET.key], { maxAgeSeconds: 60 }), text)).toBe(SEAL)
  })

  it('is that of a producer whose clock is ahead by a minute, not by more', async () => {
    const text = sealed(sealing)
    vi.setSystemTime(Date.now() - 59_000)
    expect(await opened(sealing, text)).toBe(TOKEN)
    vi.setSystemTime(Date.now() - 10_000)
    expect(await opened(sealing, text)).toBe(SEAL)
  })
})

describe('openings [H2]', () => {
  const { key } = SECRET

  it('are as many as maxOpenings says', async () => {
    const sealing = sealingWith([key], { maxOpenings: 3 })
    const text = sealed(sealing)
    const outcomes = []
    for (let i = 0; i < 4; i += 1) outcomes.push(await opened(sealing, text))
    expect(outcomes).toEqual([TOKEN, TOKEN, TOKEN, SEAL])
  })

  it('are counted by key and a hash of the sealed text until it expires, and never for what does not open', async () => {
    const calls: unknown[][] = []
    const replayWindow: ReplayWindow = { count: (...args) => calls.push(args) }
    const sealing = sealingWith([key], { replayWindow })
    const text = sealed(sealing)
    await opened(sealing, text, { ...MESSAGE, destination: 'kafka:other' })
    await opened(sealing, `${text.slice(0, -1)}${text.endsWith('A') ? 'Q' : 'A'}`)
    expect(calls).toEqual([])
    expect(await opened(sealing, text)).toBe(TOKEN)
    expect(calls).toEqual([[expect.stringMatching(/^secret-1 [\w-]{43}$/), Math.floor(Date.now() / 1000 + 300) * 1000]])
  })

  it('are counted across processes if the window is shared', async () => {
    const counts = new Map<string, number>()
    const replayWindow: ReplayWindow = {
      count: async (id) => {
        counts.set(id, (counts.get(id) ?? 0) + 1)
        return counts.get(id) ?? 0
      },
    }
    const [first, second] = [sealingWith([key], { replayWindow }), sealingWith([key], { replayWindow })]
    const text = sealed(first)
    expect([await opened(first, text), await opened(second, text)]).toEqual([TOKEN, SEAL])
  })

  const fail = (): never => {
    throw new Error('down')
  }
  it.each<readonly [string, () => unknown]>([
    ['throws', fail],
    ['rejects', async () => fail()],
    ['counts nothing', () => undefined],
    ['counts no number', () => Number.NaN],
    ['counts below one', () => 0],
  ])('that %s leave it undecided', async (_, count) => {
    const sealing = sealingWith([key], { replayWindow: { count } as ReplayWindow })
    expect(await opened(sealing, sealed(sealing))).toBe('ERR_TOKEN_UNDECIDED')
  })
})

describe('rotation [H4]', () => {
  const older = createSecretSealingKey('key-1', randomSecret())
  const newer = createSecretSealingKey('key-2', randomSecret())
  const before = sealingWith([older])
  const added = sealingWith([older, newer])
  const moved = sealingWith([newer, older])
  const after = sealingWith([newer])

  it('in three steps leaves no message behind', async () => {
    const steps = [
      [before, added],
      [added, moved],
      [moved, added],
      [moved, after],
    ] as const
    for (const [producer, consumer] of steps) expect(await opened(consumer, sealed(producer))).toBe(TOKEN)
  })

  it('uses the new key at once', () => {
    expect(kidOf(sealed(added))).toBe('key-1')
    expect(kidOf(sealed(moved))).toBe('key-2')
  })

  it('does not open what a removed or unknown key has sealed', async () => {
    expect(await opened(after, sealed(before))).toBe(SEAL)
    expect(await opened(sealingWith([]), sealed(before))).toBe(SEAL)
  })

  it('seals with the key that a rule names, with the first if it names none, and with no other', () => {
    expect(kidOf(sealed(moved, MESSAGE, 'key-1'))).toBe('key-1')
    for (const seal of ['key-3', '', 'constructor', false]) {
      expect(moved.hasKey(seal)).toBe(false)
      expect(moved.seal(TOKEN, Date.now() + 1_000, seal, MESSAGE)).toBeUndefined()
    }
    expect([moved.hasKey(true), sealingWith([]).hasKey(true)]).toEqual([true, false])
  })

  function kidOf(text: string): unknown {
    return (JSON.parse(Buffer.from(text.split('.')[0] ?? '', 'base64url').toString()) as { kid?: unknown }).kid
  }
})

it('no key, IV or message id comes twice in 100,000 seals [H3]', () => {
  const sealing = sealingWith([SECRET.key])
  const seen = new Set<string>()
  for (let i = 0; i < 100_000; i += 1) {
    const [header, encryptedKey = '', iv = ''] = (sealing.seal('a', Date.now() + 1_000, true, MESSAGE) ?? '').split('.')
    const { jti } = JSON.parse(Buffer.from(header ?? '', 'base64url').toString()) as { jti: string }
    // The wrapped key is a function of the key, and nothing else.
    seen.add(encryptedKey).add(iv).add(jti)
  }
  expect(seen.size).toBe(300_000)
})

describe('length [H8]', () => {
  it('is that of a bucket, whichever token is sealed', () => {
    const lengths = (paddingBytes: number) => {
      const sealing = sealingWith([SECRET.key], { paddingBytes })
      return [257, 300, 512].map(
        (length) => sealing.seal('a'.repeat(length), Date.now() + 9_000, true, MESSAGE)?.length,
      )
    }
    expect(new Set(lengths(256)).size).toBe(1)
    expect(new Set(lengths(1)).size).toBe(3)
  })

  it('changes no token', async () => {
    const token = fc.stringMatching(/^[\w\-.~+/]{1,600}={0,2}$/)
    await fc.assert(
      fc.asyncProperty(token, fc.integer({ min: 1, max: 512 }), async (text, paddingBytes) => {
        const sealing = sealingWith([SECRET.key], { paddingBytes })
        expect(await opened(sealing, sealing.seal(text, Date.now() + 9_000, true, MESSAGE) ?? '')).toBe(text)
      }),
    )
  })
})

it('every refusal is the same error, which holds nothing of message, key and token', () => {
  const secret = randomSecret()
  const sealing = sealingWith([createSecretSealingKey('key-1', secret)])
  const text = sealed(sealing)
  const attempts = [
    () => sealing.open('no jwe', MESSAGE),
    () => sealing.open(text, { ...MESSAGE, destination: 'kafka:other' }),
    () => sealingWith([]).open(text, MESSAGE),
  ]
  for (const attempt of attempts) {
    const error = thrownBy(attempt)
    expect(error).toBeInstanceOf(SealError)
    expect(error).toMatchObject({
      message: 'the token is not sealed for this message, or cannot be opened',
      status: 401,
    })
    for (const part of [...text.split('.'), secret, 'kafka', 'key-1']) expect(inspect(error)).not.toContain(part)
  }
  expect(inspect(sealing, { depth: 9, showHidden: true })).not.toContain(secret)
})

function thrownBy(fn: () => unknown): unknown {
  try {
    return fn()
  } catch (error) {
    return error
  }
}
