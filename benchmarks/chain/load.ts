/** Load on a chain, by autocannon: what a request costs, and how long it takes. */

import autocannon from 'autocannon'
import { quartiles } from '../support/compare.ts'
import type { Chain } from './processes.ts'

export interface Load {
  readonly connections: number
  /** Of all connections together: a slice of work, not of time, so that none is cut off. */
  readonly requests: number
  /** `undefined`: no request has a token. */
  readonly tokens: readonly string[] | undefined
}

export interface Measured {
  readonly cpuMicros: number
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

export async function load(chain: Chain, { connections, requests, tokens }: Load): Promise<Measured> {
  const times: number[] = []
  let failures = 0
  let endedAt = 0
  const before = await chain.cpuMicros()
  const startedAt = performance.now()
  await new Promise((resolve) => {
    const options = {
      url: chain.origin,
      connections,
      amount: requests,
      // How often it looks whether it has done.
      sampleInt: 20,
      setupClient(client: autocannon.Client) {
        if (tokens !== undefined) client.setRequests(requestsOf(tokens, requests / connections))
      },
    }
    const run = autocannon(options, resolve)
    run.on('response', (_client, statusCode, _bytes, millis) => {
      endedAt = performance.now()
      if (statusCode === 200) times.push(millis)
      else failures += 1
    })
    run.on('reqError', () => {
      failures += 1
    })
  })
  const used = (await chain.cpuMicros()) - before
  if (failures > 0 || times.length === 0) throw new Error(`${failures} requests failed, ${times.length} did not`)
  return {
    cpuMicros: used / times.length,
    perSecond: (times.length * 1_000) / (endedAt - startedAt),
    p50: quartiles(times)[1],
    p99: times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? Number.NaN,
  }
}

let shown = 0

/** The next ones for each connection, so that all are shown by and by. */
function requestsOf(tokens: readonly string[], count: number): autocannon.Request[] {
  return Array.from({ length: Math.ceil(count) }, () => {
    shown += 1
    return { method: 'GET', headers: { authorization: `Bearer ${tokens[shown % tokens.length]}` } }
  })
}
