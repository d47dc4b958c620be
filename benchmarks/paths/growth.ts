/**
 * How the cost grows: with the token, the issuers, the rules, the cache, and what is verified at once. The first of each row is
 * the baseline.
 */

import { ROOT_CONTEXT } from '@opentelemetry/api'
import { networkTarget } from '../../src/destination/target.ts'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, setCredential } from '../../src/index.ts'
import type { Contestant, Result } from '../support/compare.ts'
import { compare } from '../support/compare.ts'
import { prove, report } from '../support/report.ts'
import { decideBy } from '../support/rules.ts'
import { AUDIENCE, createSigner, createToken, freshField, ISSUER, rotate } from '../support/tokens.ts'

const signer = createSigner('EdDSA')
const jwks = { keys: [signer.jwk] }
const issuerOf = (issuer: string) => ({ issuer, audience: AUDIENCE, jwks })

type Run = Omit<Contestant, 'name'>

/** Runs with one relay after the other: a process has one. Each is left with what it has learned. */
async function grow(path: string, sizes: readonly number[], create: (size: number) => Promise<Run>) {
  const contestants: Contestant[] = []
  for (const size of sizes) contestants.push({ name: size.toLocaleString('en'), ...(await create(size)) })
  const [baseline, ...others] = contestants
  const mine = others.pop()
  if (baseline === undefined || mine === undefined) throw new Error('nothing to compare')
  return compare({ path, mine, others, baseline })
}

async function relayWith(issuers: number, maxEntries: number, use: (relay: TokenRelay) => Promise<void>) {
  const others = Array.from({ length: issuers - 1 }, (_, i) => issuerOf(`https://id-${i}.example`))
  const relay = createTokenRelay({ issuers: [...others, issuerOf(ISSUER)], cache: { maxEntries } })
  await use(relay)
  await relay.shutdown()
  return relay
}

/** Admits tokens of the cache again, and each is there. */
async function again(tokens: readonly string[], issuers = 1): Promise<Run> {
  const relay = await relayWith(issuers, Math.max(16, tokens.length * 2), async ({ verify }) => {
    for (const token of tokens) await verify(token)
  })
  const next = rotate(tokens.map(freshField))
  const admit = () => relay.admit({ headers: { authorization: next()() } })
  prove('it is remembered', 'admitted' in admit())
  return { run: admit }
}

/** Verifies so many at once, none of which is remembered when it comes again. */
async function atOnce(count: number): Promise<Run> {
  const { verify } = await relayWith(1, 16, async () => undefined)
  const next = rotate(Array.from({ length: 1_000 }, () => createToken(signer)))
  const run = () => Promise.all(Array.from({ length: count }, () => verify(next())))
  prove('they are good', (await run()).length === count)
  return { run, operations: count }
}

const called = setCredential(ROOT_CONTEXT, await credential())
async function credential() {
  const relay = createTokenRelay({ issuers: [issuerOf(ISSUER)] })
  const verified = await relay.verify(createToken(signer))
  await relay.shutdown()
  return verified
}

function decideAmong(count: number): Run {
  const decide = decideBy(Array.from({ length: count }, (_, i) => `https://service-${i}.example`))
  const run = () =>
    decide(called, { target: networkTarget('https', `service-${count - 1}.example`, 443), obstacle: undefined })
  prove('it is allowed', run()?.verdict === 'forward')
  return { run }
}

const TOKENS = 64
const several = (bytes = 900): string[] => Array.from({ length: TOKENS }, () => createToken(signer, {}, bytes))
const results: Result[] = [
  await grow('again, by bytes of the token', [500, 900, 2_000, 4_000], (bytes) => again(several(bytes))),
  await grow('again, by issuers', [1, 10, 100], (issuers) => again(several(), issuers)),
  await grow('again, by remembered tokens', [64, 1_000, 10_000], (count) => {
    return again(Array.from({ length: count }, () => createToken(signer)))
  }),
  await grow('first time, by verifications at once', [1, 16, 64, 256], atOnce),
  await grow('decision, by rules', [1, 10, 100, 1_000, 10_000], async (count) => decideAmong(count)),
]
report(results)
