/** Load on a chain, by autocannon: what a request costs, and how long it takes. */

import autocannon from 'autocannon'
import { quartiles } from '../support/compare.ts'
import type { Chain } from './processes.ts'

export interface Load {
  readonly connections: number
  readonly seconds: number
  /** `undefined`: nobody shows a token. */
  readonly tokens: readonly string[] | undefined
}

export interface Measured {
  readonly cpuMicros: number
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

export async function load(chain: Chain, { connections, seconds, tokens }: Load): Promise<Measured> {
  const times: number[] = []
  let failures = 0
  const before = await chain.cpuMicros()
  const options = {
    url: chain.origin,
    connections,
    duration: seconds,
    requests: tokens?.map((token) => ({ headers: { authorization: `Bearer ${token}` } })) ?? [{}],
  }
  await new Promise((resolve) => {
    const run = autocannon(options, resolve)
    run.on('response', (_client, statusCode, _bytes, millis) => {
      if (statusCode === 200) times.push(millis)
      else failures += 1
    })
  })
  const used = (await chain.cpuMicros()) - before
  if (failures > 0 || times.length === 0) throw new Error(`${failures} requests failed, ${times.length} did not`)
  const sorted = times.toSorted((a, b) => a - b)
  return {
    cpuMicros: used / times.length,
    perSecond: times.length / seconds,
    p50: quartiles(times)[1],
    p99: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
  }
}
