/** F4 Thousands of spellings of URLs: the token goes where the URL standard says, or nowhere. */

import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import * as undici from 'undici'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import { verdictsOf } from '../support/decisions.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'
import { resolveEverything, spellings } from '../support/spellings.ts'

let issuer: TestIssuer
let named: Sink
let evil: Sink
let relay: TokenRelay
let token: string
let urls: readonly string[]
let restoreDns: () => void

beforeAll(async () => {
  issuer = await startIssuer()
  named = await startSink()
  // The same port, so that nothing but the host tells them apart.
  evil = await startSink('127.0.0.2', named.port)
  restoreDns = resolveEverything()
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: named.origin }],
  })
  token = await issuer.token()
  urls = spellings(named.port)
})
afterAll(async () => {
  restoreDns()
  await relay.shutdown()
  await Promise.all([issuer, named, evil].map((resource) => resource[Symbol.asyncDispose]()))
})
beforeEach(() => {
  named.clear()
  evil.clear()
})

/** The rule, said once more: the WHATWG origin is the named one, and nobody is named before the host. */
function isNamed(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { origin, username, password } = new URL(text)
  return origin === named.origin && username === '' && password === ''
}

it('explain agrees with the URL standard on each of them', () => {
  expect(urls.length).toBeGreaterThan(3_600)
  const wrong = urls.filter((url) => (relay.explain(url).verdict === 'forward') !== isNamed(url))
  expect(wrong).toEqual([])
})

/** Elsewhere nobody may ever answer, and what counts is only that nothing has been sent. */
const patience = (url: string): { signal?: AbortSignal } => (isNamed(url) ? {} : { signal: AbortSignal.timeout(250) })

async function viaHttp(target: string | URL): Promise<void> {
  const outgoing = httpRequest(target, patience(String(target)))
  outgoing.end()
  const [response] = (await once(outgoing, 'response')) as [NodeJS.ReadableStream]
  await once(response.resume(), 'end')
}
const clients: readonly [string, (url: string) => Promise<unknown>][] = [
  ['fetch', async (url) => (await fetch(url, patience(url))).text()],
  ['undici', async (url) => (await undici.request(url, patience(url))).body.dump()],
  ['http, with a text', (url) => viaHttp(url)],
  ['http, with a URL', (url) => viaHttp(new URL(url))],
]

/** undici's own functions drop what stands before the host, so that no request has it: what is left is the origin. */
const isSentNamed = (name: string, text: string): boolean =>
  isNamed(name === 'undici' && URL.canParse(text) ? new URL(text).origin : text)

it.each(clients)('%s: every spelling arrives at its server, with the token or without', async (name, client) => {
  const wrong: string[] = []
  const outcomes = { forwarded: 0, withheld: 0, refused: 0 }
  // One path is enough: what differs by client is the authority. At some addresses nobody answers, for seconds.
  const plain = urls.filter(
    (url) => !/[?#\\]/.test(url.slice(-14)) && url.endsWith('/') && !/64:ff9b|\[::127/.test(url),
  )
  const each = plain.filter((_url, at) => at % 2 === 0)
  expect(each.length).toBeGreaterThan(1_000)
  async function work(share: readonly string[]): Promise<void> {
    for (const url of share) {
      const verdicts = await verdictsOf(async () => {
        try {
          await client(url)
        } catch {
          // Refused by the client itself, or by nobody being there.
        }
      })
      const forwarded = verdicts.includes('forwarded')
      if (forwarded && !isSentNamed(name, url)) wrong.push(url)
      outcomes[forwarded ? 'forwarded' : verdicts.length > 0 ? 'withheld' : 'refused'] += 1
    }
  }
  const shares = Array.from({ length: 16 }, (_each, i) => each.filter((_url, at) => at % 16 === i))
  await runWithToken(token, () => Promise.all(shares.map(work)))

  expect(wrong).toEqual([])
  expect(evil.bytes()).not.toContain(token.slice(0, 12))
  const arrived = named.received.filter(({ authorization }) => authorization[0] === `Bearer ${token}`)
  expect(arrived).toHaveLength(outcomes.forwarded)
  expect(outcomes.forwarded).toBeGreaterThanOrEqual(each.filter(isNamed).length)
  expect(evil.received.length).toBeGreaterThan(0)
  expect(outcomes.withheld).toBeGreaterThan(0)
})
