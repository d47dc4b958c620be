/** The service proves to the token endpoint who it is, with what is in its files now. */

import type { KeyObject } from 'node:crypto'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeProtectedHeader, jwtVerify } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ExchangeOptions, TokenSource } from '../../src/index.ts'
import type { Certificates } from '../support/certificates.ts'
import { createCertificates } from '../support/certificates.ts'
import type { Rig } from '../support/exchange-rig.ts'
import { outcome, startRig } from '../support/exchange-rig.ts'
import { waitFor } from '../support/patience.ts'
import type { TokenEndpoint, TokenQuestion } from '../support/token-endpoint.ts'
import { startTokenEndpoint } from '../support/token-endpoint.ts'

let rig: Rig
let folder: string
beforeAll(async () => {
  rig = await startRig()
})
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'client-'))
  rig.endpoint.requests.length = 0
  rig.endpoint.answer = {}
})
afterEach(() => rmSync(folder, { recursive: true }))
afterAll(() => rig[Symbol.asyncDispose]())

const file = (name: string, contents: string): string => {
  writeFileSync(join(folder, name), contents)
  return join(folder, name)
}
const last = (endpoint: TokenEndpoint = rig.endpoint): TokenQuestion => endpoint.requests.at(-1) as TokenQuestion

/** Asks for a token, anew each time. */
async function asking(exchange: Partial<ExchangeOptions>): Promise<() => Promise<unknown>> {
  const relay = await rig.relayWith({ exchange: { clientSecret: undefined as never, ...exchange } })
  return () =>
    outcome(
      relay
        .tokenSource({ grant: 'client_credentials' })
        .get()
        .then(() => 'got'),
    )
}

describe('a secret', () => {
  it('client_secret_basic: form-encoded, then in base64 (RFC 6749 §2.3.1)', async () => {
    const ask = await asking({ clientId: 'user service', clientSecret: 'a:b c%ä' })
    await ask()
    expect(last().authorization).toBe(`Basic ${Buffer.from('user+service:a%3Ab+c%25%C3%A4').toString('base64')}`)
    expect(last().parameters.has('client_secret')).toBe(false)
  })

  it('client_secret_post: in the body', async () => {
    const ask = await asking({ clientAuthentication: 'client_secret_post', clientSecret: 'a:b c%ä' })
    await ask()
    expect(last().authorization).toBeUndefined()
    expect(Object.fromEntries(last().parameters)).toMatchObject({ client_id: 'user-service', client_secret: 'a:b c%ä' })
  })

  it('in a file: without the line end, and as it is at that moment', async () => {
    const clientSecretFile = file('secret', 'first\n')
    const ask = await asking({ clientAuthentication: 'client_secret_post', clientSecretFile })
    await ask()
    file('secret', 'second\r\n')
    await ask()
    expect(rig.endpoint.requests.map(({ parameters }) => parameters.get('client_secret'))).toEqual(['first', 'second'])
  })

  it('in a file that is empty or gone for a moment: the last one is used', async () => {
    const clientSecretFile = file('secret', 'first')
    const ask = await asking({ clientAuthentication: 'client_secret_post', clientSecretFile })
    file('secret', '')
    expect(await ask()).toBe('got')
    rmSync(clientSecretFile)
    expect(await ask()).toBe('got')
    file('secret', 'third')
    await ask()
    expect(rig.endpoint.requests.map(({ parameters }) => parameters.get('client_secret'))).toEqual([
      'first',
      'first',
      'third',
    ])
  })

  it('as Kubernetes rotates it: a link far up the path is replaced', async () => {
    for (const version of ['1', '2']) {
      mkdirSync(join(folder, version))
      file(join(version, 'secret'), `secret-${version}`)
    }
    const point = (version: string): void => {
      symlinkSync(version, join(folder, 'next'))
      renameSync(join(folder, 'next'), join(folder, '..data'))
    }
    point('1')
    symlinkSync(join('..data', 'secret'), join(folder, 'secret'))
    const ask = await asking({ clientAuthentication: 'client_secret_post', clientSecretFile: join(folder, 'secret') })
    await ask()
    point('2')
    await ask()
    expect(rig.endpoint.requests.map(({ parameters }) => parameters.get('client_secret'))).toEqual([
      'secret-1',
      'secret-2',
    ])
  })
})

describe('private_key_jwt', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).privateKey
  const ed = generateKeyPairSync('ed25519').privateKey
  const pem = (key: KeyObject, type: 'pkcs8' | 'pkcs1' | 'sec1') => String(key.export({ type, format: 'pem' } as never))
  const jwk = (key: KeyObject, members: object) => JSON.stringify({ ...key.export({ format: 'jwk' }), ...members })
  const [p256, p384, p521] = [ec('P-256'), ec('P-384'), ec('P-521')]

  it.each<readonly [string, string, KeyObject, string]>([
    ['RSA, PKCS #8', pem(rsa, 'pkcs8'), rsa, 'RS256'],
    ['RSA, PKCS #1', pem(rsa, 'pkcs1'), rsa, 'RS256'],
    ['RSA, JWK', jwk(rsa, {}), rsa, 'RS256'],
    ['RSA, JWK that says PS384', jwk(rsa, { alg: 'PS384' }), rsa, 'PS384'],
    ['P-256, PKCS #8', pem(p256, 'pkcs8'), p256, 'ES256'],
    ['P-256, SEC 1', pem(p256, 'sec1'), p256, 'ES256'],
    ['P-384, JWK', jwk(p384, {}), p384, 'ES384'],
    ['P-521, PKCS #8', pem(p521, 'pkcs8'), p521, 'ES512'],
    ['Ed25519, PKCS #8', pem(ed, 'pkcs8'), ed, 'Ed25519'],
    ['Ed25519, JWK', jwk(ed, { alg: 'EdDSA' }), ed, 'Ed25519'],
  ])('%s', async (_, text, key, alg) => {
    const privateKeyFile = file('key', text)
    const ask = await asking({ clientAuthentication: 'private_key_jwt', privateKeyFile, keyId: 'key-1' })
    expect(await ask()).toBe('got')
    const assertion = last().parameters.get('client_assertion') ?? ''
    const options = { audience: rig.issuer.issuer, issuer: 'user-service', subject: 'user-service' }
    const { payload, protectedHeader } = await jwtVerify(assertion, createPublicKey(key), {
      ...options,
      algorithms: [alg],
    })
    expect(protectedHeader).toMatchObject({ alg, kid: 'key-1' })
    expect(payload.jti).toBeDefined()
    expect(last().authorization).toBeUndefined()
  })

  it('has the kid of the JWK, or none; and another key once the file is another one', async () => {
    const privateKeyFile = file('key', jwk(p256, { kid: 'first' }))
    const ask = await asking({ clientAuthentication: 'private_key_jwt', privateKeyFile })
    await ask()
    // Half of it has been written.
    file('key', pem(rsa, 'pkcs8').slice(0, 900))
    await ask()
    file('key', pem(rsa, 'pkcs8'))
    await ask()
    const headers = rig.endpoint.requests.map(({ parameters }) =>
      decodeProtectedHeader(parameters.get('client_assertion') ?? ''),
    )
    expect(headers).toEqual([{ alg: 'ES256', kid: 'first' }, { alg: 'ES256', kid: 'first' }, { alg: 'RS256' }])
  })
})

describe('tls_client_auth', () => {
  let certificates: Certificates
  let secure: TokenEndpoint
  beforeAll(async () => {
    certificates = await createCertificates()
    const { ca, key, cert } = certificates
    secure = await startTokenEndpoint(rig.issuer, { ca, key, cert, requestCert: true, rejectUnauthorized: true })
  })
  beforeEach(() => {
    secure.requests.length = 0
    secure.answer = {}
  })
  afterAll(() => secure[Symbol.asyncDispose]())

  /** The options for a client that is called `name`; writes its files. */
  async function clientCalled(name: string): Promise<Partial<ExchangeOptions>> {
    const { cert, key } = await certificates.client(name)
    return {
      tokenEndpoint: secure.url,
      clientAuthentication: 'tls_client_auth',
      certificateFile: file('tls.crt', cert),
      certificateKeyFile: file('tls.key', key),
      caFile: file('ca.crt', certificates.ca),
    }
  }

  it('shows the certificate, and says which client it is (RFC 8705 §2)', async () => {
    const ask = await asking(await clientCalled('user-service'))
    expect(await ask()).toBe('got')
    expect(last(secure).certificate).toBe('user-service')
    expect(Object.fromEntries(last(secure).parameters)).toMatchObject({ client_id: 'user-service' })
    expect(last(secure).parameters.has('client_secret')).toBe(false)
  })

  it('the token endpoint is found in the metadata: on the host of the issuer, or on the one for certificates [F17]', async () => {
    const { tokenEndpoint: _, ...found } = await clientCalled('user-service')
    const attempt = async (metadata: object, changes: object = {}): Promise<unknown> => {
      for (const name of Object.keys(rig.issuer.metadata)) Reflect.deleteProperty(rig.issuer.metadata, name)
      Object.assign(rig.issuer.metadata, metadata)
      return (await asking({ ...found, ...changes, tokenEndpoint: undefined as never }))()
    }
    const aliases = { mtls_endpoint_aliases: { token_endpoint: secure.url } }
    expect(await attempt(aliases)).toBe('got')
    // Another host takes an explicit option, so that a tampered document cannot move it.
    expect(await attempt({ token_endpoint: secure.url })).toBe('ERR_TOKEN_EXCHANGE_UNAVAILABLE')
    expect(await attempt({})).toBe('ERR_TOKEN_EXCHANGE_UNAVAILABLE')
    const secret = { clientAuthentication: 'client_secret_basic', clientSecret: 'a' }
    expect(await attempt(aliases, secret)).toBe('ERR_TOKEN_EXCHANGE_UNAVAILABLE')
    expect(secure.requests).toHaveLength(1)
  })

  it('is refused without one, and the authority is not that of Node.js', async () => {
    const { tokenEndpoint = '', caFile = '' } = await clientCalled('user-service')
    expect(await (await asking({ tokenEndpoint, caFile, clientSecret: 'a' }))()).toBe('ERR_TOKEN_EXCHANGE_UNAVAILABLE')
    expect(await (await asking({ tokenEndpoint, clientSecret: 'a' }))()).toBe('ERR_TOKEN_EXCHANGE_UNAVAILABLE')
    expect(secure.requests).toEqual([])
  })

  it('is rotated without a restart: the next request has the new one, those under way end with the old one', async () => {
    const ask = await asking(await clientCalled('first'))
    await ask()
    const ready = Promise.withResolvers<void>()
    secure.answer = { after: ready.promise }
    const underWay = ask()
    await waitFor(() => expect(secure.requests).toHaveLength(2))

    const next = await certificates.client('second')
    // The certificate is there before its key: the old pair is used until both fit each other.
    file('tls.crt', next.cert)
    secure.answer = {}
    expect(await ask()).toBe('got')
    file('tls.key', next.key)
    expect(await ask()).toBe('got')
    ready.resolve()
    expect(await underWay).toBe('got')
    expect(secure.requests.map(({ certificate }) => certificate)).toEqual(['first', 'first', 'first', 'second'])
  })
})

it('a failed request says nothing of the secret, the key, or the client', async () => {
  const privateKeyFile = file(
    'key',
    String(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })),
  )
  const relay = await rig.relayWith({
    exchange: { clientSecret: undefined as never, clientAuthentication: 'private_key_jwt', privateKeyFile },
  })
  rig.endpoint.answer = { status: 400, body: '{"error":"invalid_client","error_description":"m4rk3r"}' }
  const source: TokenSource = relay.tokenSource({ grant: 'client_credentials' })
  const error = (await source.get().catch((reason: unknown) => reason)) as Error
  expect(Object.keys(error).toSorted()).toEqual(['challenge', 'code', 'name', 'retryable', 'status'])
  expect(JSON.stringify({ ...error, message: error.message, stack: error.stack })).not.toMatch(
    /m4rk3r|PRIVATE|user-service"/,
  )
})
