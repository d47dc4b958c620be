/** Calls to an issuer: repeated if that may help, left out while it is down, made again when it may be back. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createIssuerCalls } from '../../src/resilience/issuer-calls.ts'

const TIMEOUT_MILLIS = 2_000
const PASSING = new Error('passing')
const FINAL = new Error('final')

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 })
})
afterEach(() => vi.useRealTimers())

function create() {
  const call = createIssuerCalls({
    url: 'https://id.example/token',
    timeoutMillis: TIMEOUT_MILLIS,
    isTransient: (error) => error === PASSING,
  })
  /** The text of what came out, however long it takes. */
  const ask = async (work: (signal: AbortSignal) => Promise<string>, repeatable = true): Promise<string> => {
    const asked = call(work, repeatable).catch((error: Error) => error.message)
    await vi.advanceTimersByTimeAsync(2 * TIMEOUT_MILLIS)
    return asked
  }
  return { call, ask }
}

/** Fails with each of `errors`, then succeeds. */
function workOf(...errors: readonly Error[]) {
  const left = [...errors]
  return vi.fn(async () => {
    const error = left.shift()
    if (error !== undefined) throw error
    return 'token'
  })
}

describe('one more attempt', () => {
  it('is made if the error is transient', async () => {
    const work = workOf(PASSING)
    expect([await create().ask(work), work.mock.calls.length]).toEqual(['token', 2])
  })

  it.each<readonly [string, boolean, readonly Error[], string]>([
    ['if the issuer has refused', true, [FINAL], 'final'],
    ['if the call may be made once only', false, [PASSING], 'passing'],
  ])('is not made %s', async (_, repeatable, errors, message) => {
    const work = workOf(...errors)
    expect([await create().ask(work, repeatable), work.mock.calls.length]).toEqual([message, 1])
  })

  it('is the last one: its error is what the caller gets', async () => {
    const work = workOf(PASSING, PASSING)
    expect([await create().ask(work), work.mock.calls.length]).toEqual(['passing', 2])
  })
})

it('an answer that does not come is waited for as long as was said, and then not any more', async () => {
  let signal: AbortSignal | undefined
  const { call } = create()
  const asked = call((given) => {
    signal = given
    return new Promise<string>(() => undefined)
  }, true).catch((error: Error) => error.message)
  await vi.advanceTimersByTimeAsync(TIMEOUT_MILLIS - 1)
  expect(signal?.aborted).toBe(false)
  await vi.advanceTimersByTimeAsync(1)
  expect([await asked, signal?.aborted]).toEqual(['timeout', true])
})

describe('an issuer that is down', () => {
  it('is left alone after ten failures, and asked again by one call when it may be back', async () => {
    const { call } = create()
    const down = vi.fn(async () => {
      throw PASSING
    })
    for (let i = 0; i < 20; i += 1) await call(down, false).catch(() => undefined)
    expect(down).toHaveBeenCalledTimes(10)

    await vi.advanceTimersByTimeAsync(2_000)
    const [first, second] = [workOf(), workOf()]
    const both = await Promise.allSettled([call(first, false), call(second, false)])
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect([first.mock.calls.length, second.mock.calls.length]).toEqual([1, 0])
    expect(await call(workOf(), false)).toBe('token')
  })

  it('is not one that refuses: a thousand refusals leave it as it is', async () => {
    const { call } = create()
    const refuses = vi.fn(async () => {
      throw FINAL
    })
    for (let i = 0; i < 1_000; i += 1) await call(refuses, false).catch(() => undefined)
    expect(refuses).toHaveBeenCalledTimes(1_000)
  })

  it('does not affect its neighbour: each endpoint has another circuit', async () => {
    const [one, other] = [create(), create()]
    for (let i = 0; i < 10; i += 1) await one.call(workOf(PASSING), false).catch(() => undefined)
    expect(await one.ask(workOf(), false)).toBe('circuit_open')
    expect(await other.ask(workOf())).toBe('token')
  })
})
