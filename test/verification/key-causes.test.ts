/** Why the keys of an issuer are not there: each cause has its own line on standard error, and its own word in metrics. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { DocumentCause } from '../../src/verification/document-error.ts'
import { DOCUMENT_CAUSES } from '../../src/verification/document-error.ts'
import type { Certificates } from '../support/certificates.ts'
import { createCertificates } from '../support/certificates.ts'
import { startFaultyIssuer } from '../support/faulty-issuer.ts'
import { close, listen } from '../support/issuer.ts'
import { startProgram } from '../support/process.ts'
import { createSigner } from '../support/signer.ts'

const METADATA = '/.well-known/openid-configuration'
const SYMMETRIC = { kty: 'oct', k: 'c2VjcmV0', kid: '1' }
const signer = createSigner()

let certificates: Certificates
let folder: string

beforeAll(async () => {
  certificates = await createCertificates()
  folder = mkdtempSync(join(tmpdir(), 'otel-token-relay-'))
  writeFileSync(join(folder, 'ca.pem'), certificates.ca)
})
afterAll(() => rmSync(folder, { recursive: true }))

/** An issuer that is started, as the program is configured for it. */
interface Place extends AsyncDisposable {
  readonly issuer: string
  readonly env?: Readonly<Record<string, string>>
}

/** Answers with these metadata and keys. `ISSUER` stands for the name of the issuer. */
async function published(metadata: unknown, keys: unknown = { keys: [signer.jwk] }): Promise<Place> {
  const faulty = await startFaultyIssuer()
  const text = JSON.stringify(metadata).replaceAll('ISSUER', faulty.origin)
  faulty.answer(METADATA, { body: text })
  faulty.answer('/jwks', { body: keys })
  return { issuer: faulty.origin, [Symbol.asyncDispose]: () => faulty[Symbol.asyncDispose]() }
}

/** Answers every request in one way. */
async function answering(
  answer: Parameters<Awaited<ReturnType<typeof startFaultyIssuer>>['answer']>[1],
): Promise<Place> {
  const faulty = await startFaultyIssuer()
  faulty.answer(METADATA, answer)
  return { issuer: faulty.origin, [Symbol.asyncDispose]: () => faulty[Symbol.asyncDispose]() }
}

async function overTls(metadata: object, env: Readonly<Record<string, string>>): Promise<Place> {
  const server = createTlsServer(certificates, (_, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ issuer, ...metadata }))
  })
  const issuer = `https://localhost:${await listen(server)}`
  return { issuer, env, [Symbol.asyncDispose]: () => close(server) }
}

const RIGHT = { issuer: 'ISSUER', jwks_uri: 'ISSUER/jwks' }
const NOTHING_TO_CLOSE = { [Symbol.asyncDispose]: async () => undefined }

const CASES: Readonly<Partial<Record<DocumentCause, () => Promise<Place>>>> = {
  async connection_refused() {
    const server = createServer()
    const issuer = `http://127.0.0.1:${await listen(server)}`
    await close(server)
    return { issuer, ...NOTHING_TO_CLOSE }
  },
  name_not_found: async () => ({ issuer: 'https://id.invalid', ...NOTHING_TO_CLOSE }),
  tls_not_trusted: () => overTls({}, {}),
  connection_failed: () => answering((request) => void request.socket.destroy()),
  async timeout() {
    const place = await answering(() => undefined)
    return { ...place, env: { TOKEN_RELAY_KEY_SET_TIMEOUT_MILLIS: '100' } }
  },
  redirect: () => answering({ status: 302, headers: { location: '/elsewhere' } }),
  not_found: () => answering({ status: 404 }),
  error_status: () => answering({ status: 500 }),
  not_json: () => answering({ headers: { 'content-type': 'text/html' }, body: '<title>Sign in</title>' }),
  too_large: () => answering({ body: ' '.repeat(2_000_000) }),
  issuer_slash: () => published({ ...RIGHT, issuer: 'ISSUER/' }),
  issuer_differs: () => published({ ...RIGHT, issuer: 'https://m4rk3r.example' }),
  endpoint_missing: () => published({ issuer: 'ISSUER' }),
  endpoint_cleartext: () =>
    overTls({ jwks_uri: 'http://m4rk3r.example/jwks' }, { NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem') }),
  endpoint_elsewhere: () => published({ ...RIGHT, jwks_uri: 'https://m4rk3r.example/jwks' }),
  not_a_key_set: () => published(RIGHT, ['m4rk3r']),
  no_keys: () => published(RIGHT, { keys: [] }),
  symmetric_keys: () => published(RIGHT, { keys: [SYMMETRIC] }),
  no_usable_key: () => published(RIGHT, { keys: [SYMMETRIC, { kty: 'm4rk3r' }] }),
}

it('every cause has a case', () => {
  expect(Object.keys(CASES)).toEqual(Object.keys(DOCUMENT_CAUSES))
})

it.each(Object.entries(CASES))('%s: standard error says so, by default', async (cause, begin) => {
  await using place = await begin()
  const { issuer } = place
  await using program = startProgram('service.cjs', {
    preload: ['--require', 'otel-token-relay/register'],
    env: {
      TOKEN_RELAY_ISSUER: issuer,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      TOKEN_RELAY_LOG_FORMAT: 'json',
      ...place.env,
    },
  })
  const now = Math.floor(Date.now() / 1000)
  const token = signer.token({ iss: issuer, aud: 'user-service', sub: 'alice', iat: now, exp: now + 300 })
  const headers = { authorization: `Bearer ${token}` }
  const answer = await fetch(`http://127.0.0.1:${await program.report<number>('port')}/whoami`, { headers })
  expect(answer.status).toBe(503)
  const why = DOCUMENT_CAUSES[cause as DocumentCause]
  await expect.poll(() => program.stderr().trim().split('\n').length).toBe(3)
  const lines = program.stderr().trim().split('\n')
  const [, problem, refusal] = lines.map((line) => JSON.parse(line) as object)
  expect(problem).toMatchObject({
    severity: 'error',
    event: 'problem',
    message: `keys of ${issuer}: could not be fetched: ${why}`,
    attributes: { 'auth.token.issuer': issuer, 'error.type': cause },
  })
  expect(refusal).toMatchObject({
    message: `503 ERR_TOKEN_KEYS_UNAVAILABLE: the keys of the issuer cannot be fetched, ${why}`,
  })
  expect(program.stderr()).not.toContain('m4rk3r')
})
