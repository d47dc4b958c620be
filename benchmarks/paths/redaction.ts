/** Text that has no tokens, looked through for them, beside `JSON.stringify` of the same text; and one span of a request. */

import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import { TracerProvider } from '@opentelemetry/sdk-trace'
import { createTokenRelay } from '../../src/index.ts'
import type { Result } from '../support/compare.ts'
import { compare } from '../support/compare.ts'
import { prove, report } from '../support/report.ts'
import { AUDIENCE, createSigner, createToken, ISSUER } from '../support/tokens.ts'

/** Short enough for a whole run to fit between two interruptions; the price is linear. */
const CHARACTERS = 2 ** 16
const LIVE_TOKENS = 100

const signer = createSigner('ES256')
const relay = createTokenRelay({ issuers: [{ issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [signer.jwk] } }] })
let seen: unknown
const processor = relay.redact({
  onEnd(item: { readonly name: string }) {
    seen = item.name
  },
})
const redact = (name: string): unknown => {
  processor.onEnd({ name })
  return seen
}
const tokens = Array.from({ length: LIVE_TOKENS }, () => createToken(signer))
for (const token of tokens) await relay.verify(token)

const read = (name: string): string => readFileSync(join(import.meta.dirname, '..', '..', name), 'utf8')
const user = {
  id: 42,
  name: 'Alice',
  email: 'alice@example.com',
  tags: ['a', 'b'],
  active: true,
  since: '2026-01-02T03:04:05Z',
}
const stack = '    at Object.<anonymous> (/srv/app/node_modules/express/lib/router/layer.js:95:5)\n'
const TEXTS: Readonly<Record<string, string>> = {
  English: read('docs/understand/security.md'),
  JSON: JSON.stringify(Array.from({ length: 50 }, () => user)),
  'stack traces': stack,
  'package-lock.json': read('package-lock.json'),
  'a base64 image': randomBytes(CHARACTERS).toString('base64'),
  'percent-encoded JSON': encodeURIComponent(JSON.stringify(user)),
}

prove('a piece of a token is found', String(redact(`a ${tokens[0]?.slice(-30)} b`)) === 'a [REDACTED] b')
const results: Result[] = []
for (const [name, unit] of Object.entries(TEXTS)) {
  // Through bytes, so that it is one string, and not many that are joined when they are read.
  const text = Buffer.from(unit.repeat(Math.ceil(CHARACTERS / unit.length)).slice(0, CHARACTERS)).toString()
  prove(`${name} is passed on`, redact(text) === text)
  results.push(
    await compare({
      path: `redacted, 64 KiB of ${name}`,
      mine: { name: 'relay', run: () => redact(text) },
      baseline: { name: 'JSON.stringify', run: () => JSON.stringify(text) },
    }),
  )
}

const span = createSpan()
let exported: ReadableSpan | undefined
const spans = relay.redact({
  onEnd(item: ReadableSpan) {
    exported = item
  },
})
const serialize = (item: ReadableSpan): unknown => JsonTraceSerializer.serializeRequest([item])
spans.onEnd(span)
prove('the span is passed on', String(serialize(exported ?? span)) === String(serialize(span)))
results.push(
  await compare({
    path: 'one span, redacted and serialized',
    mine: {
      name: 'relay',
      run() {
        spans.onEnd(span)
        return serialize(exported ?? span)
      },
    },
    baseline: { name: 'serialized', run: () => serialize(span) },
  }),
)

function createSpan(): ReadableSpan {
  const attributes = {
    'http.request.method': 'GET',
    'url.scheme': 'http',
    'url.path': '/users/42',
    'url.query': 'limit=10',
    'server.address': 'profile.internal.example',
    'server.port': 8080,
    'network.peer.address': '10.1.2.3',
    'network.peer.port': 41_234,
    'user_agent.original': 'node',
    'http.route': '/users/:id',
    'http.response.status_code': 200,
  }
  const started = new TracerProvider().getTracer('http').startSpan('GET /users/:id', { attributes })
  started.end()
  return started as unknown as ReadableSpan
}

report(results)
await relay.shutdown()
