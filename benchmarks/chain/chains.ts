/** The same chain in each mode, warm, and shown to do the same job. */

import { createServer } from 'node:http'
import { close, listen } from '../../test/support/issuer.ts'
import { prove } from '../support/report.ts'
import type { SigningAlgorithm } from '../support/tokens.ts'
import { AUDIENCE, createSigner, createToken, ISSUER } from '../support/tokens.ts'
import type { Load } from './load.ts'
import { load } from './load.ts'
import type { Chain } from './processes.ts'
import { startChain } from './processes.ts'

/** OpenTelemetry alone. */
export const BASELINE = 'otel'
/** Ways to take a token along; `copy` checks nothing. */
export const MODES = ['copy', 'relay', 'fast-jwt', 'jose', 'express-oauth2-jwt-bearer']
/** Distinct ones; all verifiers that remember have room for them. */
export const TOKENS = 1_000
/** So many at once keep every service busy. */
export const CONNECTIONS = 20

export interface ChainInMode {
  readonly mode: string
  readonly chain: Chain
  /** What a load shows: the one who only traces is shown no token, as he would have to read it. */
  readonly tokens: Load['tokens']
}

export interface Chains {
  readonly byMode: ReadonlyMap<string, ChainInMode>
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

  const byMode = new Map<string, ChainInMode>()
  for (const mode of [BASELINE, ...modes]) {
    const chain = await startChain({ mode, issuer: ISSUER, audience: AUDIENCE, jwks, jwksUri, pem, alg })
    byMode.set(mode, { mode, chain, tokens: mode === BASELINE ? undefined : tokens })
  }
  for (const each of byMode.values()) await proveThatItWorks(each, bad)
  for (const { chain, tokens: shown } of byMode.values()) {
    await load(chain, { connections: CONNECTIONS, requests: warm, tokens: shown })
  }
  return {
    byMode,
    async stop() {
      for (const { chain } of byMode.values()) chain.stop()
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
  if (mode === BASELINE || mode === 'copy') return
  for (const token of bad) prove(`${mode}: a bad token is refused`, (await ask(token))[0] === 401)
}
