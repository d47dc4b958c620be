/** The collector of deploy/ lets no token through, wherever one stands, and everything else as it is. */

import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { findToken } from '../support/exports.ts'
import { close, listen } from '../support/issuer.ts'
import { waitFor } from '../support/patience.ts'
import { ISSUER } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import type { Collector } from './collector.ts'
import { startCollector } from './collector.ts'

const token = createSigner().token(goodClaims(ISSUER, { x: randomBytes(60).toString('base64url') }))
let received: string[] = []
const backend = createServer((request: IncomingMessage, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const body = Buffer.concat(chunks)
    received.push((request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString('latin1'))
    response.end()
  })
})
let origin: string
let collector: Collector

beforeAll(async () => {
  origin = `http://127.0.0.1:${await listen(backend)}`
  collector = await startCollector(origin)
}, 1_800_000)
afterAll(async () => {
  await collector[Symbol.asyncDispose]()
  await close(backend)
})
beforeEach(() => {
  received = []
})

const text = (value: string): object => ({ stringValue: value })
const attributes = (values: Readonly<Record<string, string>>): object[] =>
  Object.entries(values).map(([key, value]) => ({ key, value: text(value) }))
const SECRETS = {
  'http.request.header.authorization': `Bearer ${token}`,
  'rpc.request.metadata.authorization': `Bearer ${token}`,
  'app.note': `look: ${token}!`,
  'url.full': `https://a.example/?access_token=${token}`,
}
const HARMLESS = { 'auth.decision.rule': 'https://profile.example', 'auth.token.fingerprint': '0123456789abcdef' }

function spans(): object {
  const span = {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    name: `GET ${token}`,
    kind: 2,
    startTimeUnixNano: '1795600000000000000',
    endTimeUnixNano: '1795600001000000000',
    attributes: attributes({ ...SECRETS, ...HARMLESS }),
    events: [{ name: 'exception', attributes: attributes({ 'exception.message': `Headers: Bearer ${token}` }) }],
    status: { code: 2, message: `bad: ${token}` },
  }
  const resource = {
    attributes: attributes({ 'service.name': 'user-service', 'process.command': `node --t=${token}` }),
  }
  return { resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] }
}

function logs(): object {
  const record = { body: text(`Error: Bearer ${token}`), attributes: attributes({ ...SECRETS, ...HARMLESS }) }
  return { resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] }
}

async function send(to: string, signal: string, body: object): Promise<void> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
  const response = await fetch(`${to}/v1/${signal}`, init)
  expect(response.status).toBe(200)
  await response.text()
}

it.each<readonly [string, () => object]>([
  ['traces', spans],
  ['logs', logs],
])('%s lose every token, and nothing else [G4]', async (signal, make) => {
  await send(collector.endpoint, signal, make())
  await waitFor(() => expect(received.length).toBeGreaterThan(0))
  const text = received.join('')
  expect(findToken(text, token)).toBeUndefined()
  for (const harmless of Object.values(HARMLESS)) expect(text).toContain(harmless)
})

it('the same search finds them where the collector is left out', async () => {
  await send(origin, 'traces', spans())
  expect(findToken(received.join(''), token)).toBeDefined()
})
