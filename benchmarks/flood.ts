/**
 * `npm run bench:flood`: what is left for good callers while an attacker sends bad tokens, four for each good one: how many are
 * served, how long the event loop is away, and how many good tokens are still remembered. fast-jwt with its cache beside it.
 */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import autocannon from 'autocannon'
import { quartiles } from './support/compare.ts'
import { prove } from './support/report.ts'
import { save } from './support/results.ts'
import { AUDIENCE, createSigner, createToken, ISSUER } from './support/tokens.ts'

const MODES = ['relay', 'fast-jwt'] as const
const GOOD = 500
const BAD = 20_000

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '8' }, rate: { type: 'string', default: '400' } },
})
const [seconds, rate] = [Number(values.seconds), Number(values.rate)]

const signer = createSigner('ES256')
const [stranger, unknown] = [createSigner('ES256', 'ES256-1'), createSigner('ES256', 'unknown')]
const good = Array.from({ length: GOOD }, () => createToken(signer))
/** No token comes twice in a second: what is bad in them costs more or less to find out. */
const bad = Array.from({ length: BAD }, (_, i) => {
  if (i % 4 === 0) return createToken(stranger)
  if (i % 4 === 1) return createToken(signer, { aud: 'another' })
  return i % 4 === 2 ? createToken(unknown) : `${createToken(signer, { exp: 1 })}`
})

interface Report {
  readonly delayP99Millis: number
  readonly delayMaxMillis: number
  readonly rssMiB: number
  /** How often a good token was found in the cache, of how often it was looked for. */
  readonly hits: number
  readonly lookups: number
  readonly meanGoodMicros: number
}

async function flood(mode: (typeof MODES)[number]) {
  const key = String(signer.publicKey.export({ type: 'spki', format: 'pem' }))
  const config = { mode, issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [signer.jwk] }, key }
  const service = fork(join(import.meta.dirname, 'flood-service.ts'), {
    env: { ...process.env, FLOOD: JSON.stringify(config) },
    execArgv: [],
  })
  const [{ port }] = (await once(service, 'message')) as [{ readonly port: number }]
  const url = `http://127.0.0.1:${port}/`
  const statusOf = async (token: string) => {
    return (await fetch(url, { headers: { authorization: `Bearer ${token}` } })).status
  }
  for (const token of good) prove(`${mode}: good`, (await statusOf(token)) === 200)
  for (const token of bad.slice(0, 8)) prove(`${mode}: bad`, (await statusOf(token)) === 401)

  const calm = await send(url, good, rate, seconds / 2)
  service.send('begin')
  const [served, refused] = await Promise.all([send(url, good, rate, seconds), send(url, bad, 4 * rate, seconds)])
  service.send('end')
  const [report] = (await once(service, 'message')) as [Report]
  service.kill()
  return {
    mode,
    ...report,
    hitRate: report.hits / report.lookups,
    servedPart: served.answered / (rate * seconds),
    refusedPerSecond: refused.answered / seconds,
    calmP50: calm.p50,
    calmP99: calm.p99,
    floodP50: served.p50,
    floodP99: served.p99,
  }
}

/** As many requests a second as that, whatever becomes of them. No two connections send the same tokens at a time. */
async function send(url: string, tokens: readonly string[], perSecond: number, duration: number) {
  const times: number[] = []
  const requests = tokens.map((token) => ({ headers: { authorization: `Bearer ${token}` } }))
  const options = { url, connections: 4, duration, overallRate: perSecond, ignoreCoordinatedOmission: true }
  let begun = 0
  const setupClient = (client: autocannon.Client): void => {
    const from = Math.floor((requests.length / options.connections) * begun)
    begun += 1
    client.setRequests([...requests.slice(from), ...requests.slice(0, from)])
  }
  await new Promise((resolve) => {
    const run = autocannon({ ...options, setupClient }, resolve)
    run.on('response', (_client, _status, _bytes, millis) => void times.push(millis))
  })
  const sorted = times.toSorted((a, b) => a - b)
  return {
    answered: times.length,
    p50: quartiles(times)[1],
    p99: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
  }
}

const results = []
for (const mode of MODES) {
  const result = await flood(mode)
  process.stderr.write(`${JSON.stringify(result)}\n`)
  results.push(result)
}
await save('flood', {
  settings: { seconds, goodPerSecond: rate, badPerSecond: 4 * rate, good: GOOD, bad: BAD },
  results,
})
