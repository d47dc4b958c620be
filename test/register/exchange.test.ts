/** A configuration file alone: a destination that wants an exchanged token gets one, whichever client calls it. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { OTEL_LINES, startProgram } from '../support/process.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'
import type { TokenEndpoint } from '../support/token-endpoint.ts'
import { startTokenEndpoint } from '../support/token-endpoint.ts'

let issuer: TestIssuer
let endpoint: TokenEndpoint
let billing: Sink
let folder: string

beforeAll(async () => {
  issuer = await startIssuer()
  endpoint = await startTokenEndpoint(issuer)
  billing = await startSink()
  folder = mkdtempSync(join(tmpdir(), 'otel-token-relay-'))
})
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await Promise.all([billing, endpoint, issuer].map((resource) => resource[Symbol.asyncDispose]()))
})

function writeOptions(): string {
  const exchange = { tokenEndpoint: endpoint.url, clientId: 'user-service', clientSecret: 'secret' }
  const file = join(folder, 'relay.json')
  const options = {
    issuers: [{ issuer: issuer.issuer, audience: 'user-service', exchange }],
    destinations: [{ to: billing.origin, exchange: { audience: 'billing', prepare: 'ingress' } }],
  }
  writeFileSync(file, JSON.stringify(options))
  return file
}

it.each(
  OTEL_LINES,
)('on %s the destination gets a token for its audience and the same subject, not the caller’s own', async (line) => {
  const env = { TOKEN_RELAY_CONFIG_FILE: writeOptions() }
  await using service = startProgram('service.cjs', { line, preload: ['--require', 'otel-token-relay/register'], env })
  const port = await service.report<number>('port')
  const token = await issuer.token()
  billing.clear()
  for (const client of ['http', 'fetch', 'undici']) {
    const url = `http://127.0.0.1:${port}/call?client=${client}&url=${encodeURIComponent(billing.origin)}`
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
    expect(response.status, client).toBe(200)
    await response.text()
  }
  const sent = billing.received.map(({ authorization: [value = ''] }) => value.slice('Bearer '.length))
  expect(sent.map((text) => decodeJwt(text))).toEqual(
    sent.map(() => expect.objectContaining({ sub: 'alice', aud: 'billing' })),
  )
  expect(sent).toHaveLength(3)
  expect(sent).not.toContain(token)
})
