/** The same chain in each mode, warm, and shown to do the same job. */

import { createServer } from 'node:http'
import process from 'node:process'
import { prove } from '../support/report.ts'
import { close, listen } from '../support/servers.ts'
import type { SigningAlgorithm } from '../support/tokens.ts'
import { AUDIENCE, createSigner, createToken, ISSUER } from '../support/tokens.ts'
import type { LoneClient } from './alone.ts'
import { createLoneClient } from './alone.ts'
import type { Load } from './load.ts'
import { load } from './load.ts'
import type { Chain, Requests } from './processes.ts'
import { placeProcess, startChain } from './processes.ts'

/** OpenTelemetry alone. */
export const BASELINE = 'otel'
/** The second baseline: the header is copied by hand, and nothing is checked. */
export const COPY = 'copy'
/** Ways to take a token along. */
export const MODES = [COPY, 'relay', 'fast-jwt', 'jose', 'express-oauth2-jwt-bearer']
/** The relay with parts taken out (`variants.cjs`), beside others. */
export const ABLATION = [
  ...[COPY, 'fast-jwt', 'relay', 'no-events', 'no-events-metrics'],
  ...['ingress-only', 'open-gate', 'no-extraction'],
]
/** Modes that check no token. */
const UNCHECKED: ReadonlySet<string> = new Set([BASELINE, COPY, 'open-gate', 'no-extraction'])
/** Distinct ones; all verifiers that remember have room for them. */
export const TOKENS = 1_000
/** So many at once keep every service busy. */
export const CONNECTIONS = 20

export interface ChainInMode {
  readonly mode: string
  readonly chain: Chain
  /** Shows the same tokens, one after the other. */
  readonly client: LoneClient
  /** What a load shows: the one who only traces is shown no token, as he would have to read it. */
  readonly tokens: Load['tokens']
}

export interface Chains {
  readonly byMode: ReadonlyMap<string, ChainInMode>
  /** Places all processes for this many requests at a time. */
  place(requests: Requests): void
  stop(): Promise<void>
}

/** A chain of fresh processes for the baseline and for each of `modes`, after `warm` requests. */
export async function startChains(alg: SigningAlgorithm, modes: readonly string[], warm: number): Promise<Chains> {
  const signer = createSigner(alg)
  const tokens = Array.from({ length: TOKENS }, () => createToken(signer))
  const jwks = { keys: [signer.jwk] }
  const keys = createServer((_, response) =>
    response.setHeader('content-type', 'application/json').end(JSON.stringify(jwks)),
  )
  const jwksUri = `http://127.0.0.1:${await listen(keys)}/`
  const pem = String(signer.publicKey.export({ type: 'spki', format: 'pem' }))
  const bad = [createToken(signer, { aud: 'another' }), createToken(signer, { exp: 1 }), createToken(createSigner(alg))]

  const started = [BASELINE, ...modes].map(async (mode): Promise<readonly [string, ChainInMode]> => {
    const chain = await startChain({ mode, issuer: ISSUER, audience: AUDIENCE, jwks, jwksUri, pem, alg })
    const shown = mode === BASELINE ? undefined : tokens
    return [mode, { mode, chain, client: createLoneClient(chain.origin, shown), tokens: shown }]
  })
  const byMode = new Map(await Promise.all(started))
  for (const each of byMode.values()) await proveThatItWorks(each, bad)
  for (const { chain, tokens: shown } of byMode.values()) {
    await load(chain, { connections: CONNECTIONS, requests: warm, tokens: shown })
  }
  const place = (requests: Requests): void => {
    placeProcess(process.pid, requests, 0)
    for (const { chain } of byMode.values()) chain.place(requests)
  }
  return {
    byMode,
    place,
    async stop() {
      // What is started next inherits it.
      place('many')
      for (const { chain, client } of byMode.values()) {
        client.close()
        chain.stop()
      }
      await close(keys)
    },
  }
}

async function proveThatItWorks({ mode, chain, tokens }: ChainInMode, bad: readonly string[]): Promise<void> {
  const ask = async (token: string | undefined): Promise<readonly [number, string]> => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const answer = await fetch(chain.origin, { headers })
    return [answer.status, await answer.text()]
  }
  const [status, body] = await ask(tokens?.[0])
  const expected = JSON.stringify({ hops: 3, authorized: tokens !== undefined })
  prove(`${mode}: the token reaches the last service`, status === 200 && body === expected)
  const [what, answer] = UNCHECKED.has(mode) ? ['let through', 200] : ['refused', 401]
  for (const token of bad) prove(`${mode}: a bad token is ${what}`, (await ask(token))[0] === answer)
}
