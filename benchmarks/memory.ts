/**
 * `npm run bench:memory`: what a remembered token takes beyond itself, and what is left of millions that were good or bad,
 * none of them twice. Needs `--expose-gc`.
 */

import process from 'node:process'
import { parseArgs } from 'node:util'
import type { TokenRelay } from '../src/index.ts'
import { createTokenRelay } from '../src/index.ts'
import { save } from './support/results.ts'
import { AUDIENCE, createSigner, createToken, ISSUER } from './support/tokens.ts'

const { values } = parseArgs({
  options: { remembered: { type: 'string', default: '20000' }, millions: { type: 'string', default: '1' } },
})
const [remembered, millions] = [Number(values.remembered), Number(values.millions)]
const signer = createSigner('EdDSA')

function open(maxEntries: number): TokenRelay {
  const issuers = [{ issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [signer.jwk] } }]
  return createTokenRelay({ issuers, cache: { maxEntries } })
}

function used(): number {
  for (let i = 0; i < 3; i += 1) global.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** As off the wire: no text that this program has held before. */
const fresh = (token: string): string => Buffer.from(token, 'latin1').toString('latin1')

/** Bytes per token of a plain array of texts, and of the relay that has verified them. */
async function perToken(): Promise<{ readonly text: number; readonly relay: number; readonly length: number }> {
  const tokens = Array.from({ length: remembered }, () => Buffer.from(createToken(signer)))
  const before = used()
  const texts = tokens.map((bytes) => bytes.toString('latin1'))
  const text = (used() - before) / remembered
  texts.length = 0
  const relay = open(remembered * 2)
  await relay.verify(fresh(createToken(signer)))
  const empty = used()
  for (const bytes of tokens) await relay.verify(bytes.toString('latin1'))
  const full = (used() - empty) / remembered
  await relay.shutdown()
  return { text, relay: full, length: tokens[0]?.length ?? 0 }
}

const BATCH = 10_000
/** One in so many is good. */
const GOOD_ONE_IN = 20

async function flood(): Promise<object> {
  const relay = open(1_000)
  const base = createToken(signer).split('.') as [string, string, string]
  const samples: number[] = []
  let accepted = 0
  // Warm: what the first hundred thousand leave is not growth.
  for (let batch = -10; batch < 0; batch += 1) await present(relay, base, batch)
  used()
  for (let batch = 0; batch < (millions * 1e6) / BATCH; batch += 1) {
    accepted += await present(relay, base, batch)
    if (batch % 10 === 0) samples.push(Math.round(process.memoryUsage.rss() / 2 ** 20))
  }
  await relay.shutdown()
  return { tokens: millions * 1e6, accepted, samples }
}

/** A batch of new tokens. Returns how many of them are good. */
async function present(relay: TokenRelay, base: readonly [string, string, string], batch: number): Promise<number> {
  let accepted = 0
  for (let i = 0; i < BATCH; i += 1) {
    const isGood = i % GOOD_ONE_IN === 0
    const token = isGood ? createToken(signer) : spoilt(...base, batch * BATCH + i)
    const { admitted } = await relay.admit({ headers: { authorization: `Bearer ${token}` } })
    if (admitted !== isGood) throw new Error('the wrong tokens are let in')
    accepted += isGood ? 1 : 0
  }
  return accepted
}

/** Another text each time, and another thing that is wrong with it. */
function spoilt(header: string, payload: string, signature: string, number: number): string {
  const mark = Buffer.from(String(number)).toString('base64url')
  if (number % 3 === 0) return `${header}.${payload}.${mark}${signature.slice(mark.length)}`
  return number % 3 === 1 ? `${header}.${mark}${payload}.${signature}` : `${mark}${header}.${payload}.${signature}`
}

const token = await perToken()
process.stderr.write(`${JSON.stringify(token)}\n`)
const flooded = await flood()
process.stderr.write(`${JSON.stringify(flooded)}\n`)
await save('memory', { settings: { remembered, millions }, token, flooded })
