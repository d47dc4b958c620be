/** The service that is flooded, behind the gate of the relay or behind fast-jwt with its cache. Says how it fares. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import process from 'node:process'
import { createVerifier } from 'fast-jwt'
import { createTokenRelay } from '../src/index.ts'
import { recordCounters } from './support/metrics.ts'

const { mode, issuer, audience, jwks, key } = JSON.parse(process.env['FLOOD'] ?? '{}') as {
  readonly mode: 'relay' | 'fast-jwt'
  readonly issuer: string
  readonly audience: string
  readonly jwks: { readonly keys: readonly object[] }
  readonly key: string
}
const metrics = recordCounters()
const relay = createTokenRelay({ issuers: [{ issuer, audience, jwks: jwks as never }], cache: { maxEntries: 1_000 } })
const fastJwt = createVerifier({
  key,
  algorithms: ['ES256'],
  allowedIss: issuer,
  allowedAud: audience,
  cache: 1_000,
})

/** What takes less than half of a signature check has been remembered. */
const REMEMBERED_NANOS = 40_000n
const good = { lookups: 0, hits: 0, nanos: 0n }

async function isAdmitted(authorization: string): Promise<boolean> {
  const began = process.hrtime.bigint()
  const admitted = mode === 'relay' ? await admits(authorization) : accepts(authorization.slice(7))
  const took = process.hrtime.bigint() - began
  if (admitted) {
    good.lookups += 1
    good.nanos += took
    if (took < REMEMBERED_NANOS) good.hits += 1
  }
  return admitted
}

async function admits(authorization: string): Promise<boolean> {
  const admission = relay.admit({ headers: { authorization } })
  return 'admitted' in admission ? admission.admitted : (await admission).admitted
}

function accepts(token: string): boolean {
  try {
    return fastJwt(token) !== undefined
  } catch {
    return false
  }
}

const server = createServer(async (request, response) => {
  response.statusCode = (await isAdmitted(request.headers.authorization ?? '')) ? 200 : 401
  response.end()
})
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))

const delay = monitorEventLoopDelay({ resolution: 10 })

/** How often the relay has accepted a token, and how often it had remembered it. */
async function counted() {
  const points = await metrics.values('auth.verifications')
  const accepted = points.filter(([attributes]) => Reflect.get(attributes, 'auth.verification.outcome') === 'verified')
  const sum = (of: typeof accepted): number => of.reduce((total, [, value]) => total + Number(value), 0)
  return {
    lookups: sum(accepted),
    hits: sum(accepted.filter(([attributes]) => Reflect.get(attributes, 'auth.verification.cached') === true)),
  }
}

let before = { lookups: 0, hits: 0 }
process.on('message', async (message) => {
  if (message === 'begin') {
    before = await counted()
    delay.reset()
    delay.enable()
    Object.assign(good, { lookups: 0, hits: 0, nanos: 0n })
    return
  }
  delay.disable()
  const meanGoodMicros = Number(good.nanos) / good.lookups / 1e3
  if (mode === 'relay') {
    const after = await counted()
    Object.assign(good, { lookups: after.lookups - before.lookups, hits: after.hits - before.hits })
  }
  process.send?.({
    delayP99Millis: delay.percentile(99) / 1e6,
    delayMaxMillis: delay.max / 1e6,
    rssMiB: process.memoryUsage.rss() / 2 ** 20,
    hits: good.hits,
    lookups: good.lookups,
    meanGoodMicros,
  })
  await metrics[Symbol.asyncDispose]()
})
process.on('disconnect', () => process.exit())
