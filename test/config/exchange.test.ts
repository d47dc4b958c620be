/** Options of token exchange: a mistake is named by its path at start, and no value is shown. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OptionError } from '../../src/base/option-checks.ts'
import { parseOptions } from '../../src/config/options.ts'
import { createSigner } from '../support/signer.ts'

const MARKER = 'm4rk3r'
const folder = mkdtempSync(join(tmpdir(), 'options-'))
const file = (name: string): string => join(folder, name)
beforeAll(() => {
  writeFileSync(file('secret'), MARKER)
  writeFileSync(file('empty'), '\n')
  writeFileSync(file('key.pem'), createSigner().privateKey.export({ type: 'pkcs8', format: 'pem' }))
  writeFileSync(file('key.json'), `{ "kty": "oct", "k": "${MARKER}" }`)
  writeFileSync(file('garbage'), `{ "${MARKER}`)
})
afterAll(() => rmSync(folder, { recursive: true }))

const CLIENT = { clientId: 'a', clientSecret: 'b' }
const withClient = (exchange: unknown, issuer = {}): object => ({
  issuers: [{ issuer: 'https://id.example', audience: 'a', exchange, ...issuer }],
})
const withRule = (exchange: unknown, client: unknown = CLIENT): object => ({
  ...withClient(client),
  destinations: [{ to: 'https://a.example', exchange }],
})
const keyed = (privateKeyFile: string): object =>
  withClient({ clientId: 'a', clientAuthentication: 'private_key_jwt', privateKeyFile })

function mistake(options: unknown): OptionError | undefined {
  try {
    parseOptions(options)
    return undefined
  } catch (error) {
    if (error instanceof OptionError) return error
    throw error
  }
}

const UNUSABLE = 'a file is missing, or does not hold what is expected'
const SCOPES = 'expected scopes, as a list or separated by spaces'

describe('refuses, with path and problem', () => {
  it.each<readonly [path: string, problem: string, options: () => object]>([
    ['issuers[0].exchange', 'expected an object', () => withClient(MARKER)],
    ['issuers[0].exchange.clientId', 'required: what this service is called at the issuer', () => withClient({})],
    [
      'issuers[0].exchange.tokenEndpoint',
      'clear text is accepted only on the loopback interface; for other hosts set allowCleartext: true',
      () => withClient({ ...CLIENT, tokenEndpoint: `http://${MARKER}.example` }),
    ],
    [
      'issuers[0].exchange.tokenEndpoint',
      'required: discovery needs an issuer that is an https URL, or http on the loopback interface or with allowCleartext',
      () => withClient(CLIENT, { issuer: MARKER, jwks: { keys: [createSigner().jwk] } }),
    ],
    [
      'issuers[0].exchange.clientAuthentication',
      'expected one of client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth, self_signed_tls_client_auth',
      () => withClient({ ...CLIENT, clientAuthentication: MARKER }),
    ],
    ['issuers[0].exchange.clientSecret', 'required with client_secret_basic', () => withClient({ clientId: 'a' })],
    [
      'issuers[0].exchange.privateKeyFile',
      'required with private_key_jwt',
      () => withClient({ clientId: 'a', clientAuthentication: 'private_key_jwt' }),
    ],
    [
      'issuers[0].exchange.certificateFile',
      'required with tls_client_auth',
      () => withClient({ clientId: 'a', clientAuthentication: 'tls_client_auth' }),
    ],
    [
      'issuers[0].exchange.clientSecret',
      'is not used with tls_client_auth',
      () =>
        withClient({
          ...CLIENT,
          clientAuthentication: 'tls_client_auth',
          certificateFile: MARKER,
          certificateKeyFile: 'b',
        }),
    ],
    [
      'issuers[0].exchange.privateKeyFile',
      'is not used with client_secret_basic',
      () => withClient({ ...CLIENT, privateKeyFile: MARKER }),
    ],
    [
      'issuers[0].exchange.clientSecret',
      'contradicts clientSecretFile',
      () => withClient({ ...CLIENT, clientSecretFile: file('secret') }),
    ],
    [
      'issuers[0].exchange.certificateKeyFile',
      'certificate and key go together',
      () => withClient({ ...CLIENT, certificateFile: MARKER }),
    ],
    [
      'issuers[0].exchange.clientSecretFile',
      UNUSABLE,
      () => withClient({ clientId: 'a', clientSecretFile: file(MARKER) }),
    ],
    [
      'issuers[0].exchange.clientSecretFile',
      UNUSABLE,
      () => withClient({ clientId: 'a', clientSecretFile: file('empty') }),
    ],
    ['issuers[0].exchange.clientSecretFile', UNUSABLE, () => withClient({ clientId: 'a', clientSecretFile: folder })],
    ['issuers[0].exchange.privateKeyFile', UNUSABLE, () => keyed(file('secret'))],
    ['issuers[0].exchange.privateKeyFile', UNUSABLE, () => keyed(file('key.json'))],
    ['issuers[0].exchange.privateKeyFile', UNUSABLE, () => keyed(file('garbage'))],
    ['issuers[0].exchange.caFile', UNUSABLE, () => withClient({ ...CLIENT, caFile: file(MARKER) })],
    [
      'issuers[0].exchange.certificateFile',
      UNUSABLE,
      () => withClient({ ...CLIENT, certificateFile: file('key.pem'), certificateKeyFile: file('key.pem') }),
    ],
    [
      'issuers[0].exchange.grant',
      'expected token_exchange or jwt_bearer',
      () => withClient({ ...CLIENT, grant: MARKER }),
    ],
    [
      'issuers[0].exchange.actor',
      'is for the grant token_exchange only',
      () => withClient({ ...CLIENT, grant: 'jwt_bearer', actor: true }),
    ],
    ['issuers[0].exchange.maxEntries', 'expected 1 to 1000000 entries', () => withClient({ ...CLIENT, maxEntries: 0 })],
    [
      'issuers[0].exchange.renewBeforeSeconds',
      'expected seconds, at least 0',
      () => withClient({ ...CLIENT, renewBeforeSeconds: -1 }),
    ],
    [
      'issuers[0].exchange.maxLifetimeSeconds',
      'expected seconds, at least 1',
      () => withClient({ ...CLIENT, maxLifetimeSeconds: 0 }),
    ],
    [`issuers[0].exchange.${MARKER}`, 'is not an option', () => withClient({ ...CLIENT, [MARKER]: 1 })],
    [
      'destinations[0].exchange',
      'needs exchange of an issuer',
      () => ({ ...withRule({ audience: 'a' }), ...withClient(undefined) }),
    ],
    [
      'destinations[0].exchange.audience',
      'required: audience, resource or scope says what the token is for',
      () => withRule({}),
    ],
    ['destinations[0].exchange.audience', 'expected a name or a list of names', () => withRule({ audience: [] })],
    ['destinations[0].exchange.resource[0]', 'expected absolute URIs', () => withRule({ resource: MARKER })],
    ['destinations[0].exchange.scope[0]', SCOPES, () => withRule({ scope: [`${MARKER} b`] })],
    ['destinations[0].exchange.scope[0]', SCOPES, () => withRule({ scope: `"${MARKER}` })],
    [
      'destinations[0].exchange.tokenType',
      'expected access_token or jwt',
      () => withRule({ audience: 'a', tokenType: MARKER }),
    ],
    [
      'destinations[0].exchange.prepare',
      'expected call or ingress',
      () => withRule({ audience: 'a', prepare: MARKER }),
    ],
    [
      'destinations[0].exchange.onFailure',
      'expected withhold or forward',
      () => withRule({ audience: 'a', onFailure: MARKER }),
    ],
    [
      'destinations[0].consume.onMissing',
      'this value is called no-caller now',
      () => ({ ...withClient(CLIENT), destinations: [{ to: 'kafka:a', consume: { onMissing: 'nobody' } }] }),
    ],
    [
      'destinations[0].consume.onMissing',
      'expected reject or no-caller',
      () => ({ ...withClient(CLIENT), destinations: [{ to: 'kafka:a', consume: { onMissing: MARKER } }] }),
    ],
    ['telemetry.actors', 'expected hash or plain', () => ({ ...withClient(CLIENT), telemetry: { actors: MARKER } })],
  ])('%s: %s', (path, problem, options) => {
    const error = mistake(options())
    expect([error?.path, error?.problem]).toEqual([path, problem])
    if (!path.includes(MARKER)) expect(String(error?.stack)).not.toContain(MARKER)
  })

  it('the exchange of an issuer that a resolver names', async () => {
    const { resolveIssuer } = parseOptions({
      issuers: [],
      resolveIssuer: async () => ({ issuer: 'https://id.example', audience: 'a', exchange: CLIENT }),
    })
    await expect(resolveIssuer?.('https://id.example')).rejects.toThrow('exchange: cannot be resolved')
  })
})

it('accepts names and scopes as texts and as lists', () => {
  const requestOf = (exchange: object) => parseOptions(withRule(exchange)).rules[0]?.exchange?.request
  const rest = { resource: [], tokenType: 'access_token' }
  expect(requestOf({ audience: 'a', scope: ' b  c ' })).toEqual({ audience: ['a'], scope: ['b', 'c'], ...rest })
  expect(requestOf({ audience: ['a', 'd'], scope: ['b'] })).toEqual({ audience: ['a', 'd'], scope: ['b'], ...rest })
})

it('takes nothing from a polluted prototype [H15]', () => {
  Object.defineProperty(Object.prototype, 'exchange', { value: CLIENT, configurable: true, writable: true })
  try {
    const { exchanges, rules } = parseOptions({
      issuers: [{ issuer: 'https://id.example', audience: 'a' }],
      destinations: [{ to: 'https://a.example' }],
    })
    expect([exchanges.size, rules[0]?.exchange]).toEqual([0, undefined])
  } finally {
    Reflect.deleteProperty(Object.prototype, 'exchange')
  }
})
