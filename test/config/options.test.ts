/** Options: a mistake is a TypeError at start that names the path and never the value; what is left out has a default. */

import { inspect } from 'node:util'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { OptionError } from '../../src/base/option-checks.ts'
import { parseOptions } from '../../src/config/options.ts'
import type { DestinationOptions, IssuerOptions, TokenRelayOptions } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { createSigner } from '../support/signer.ts'

const MARKER = 'm4rk3r'
const ISSUER = { issuer: 'https://id.example', audience: 'user-service' }
const JWKS = { keys: [createSigner().jwk] }
const GOOD = { issuers: [ISSUER] }

const withIssuer = (changes: object): object => ({ issuers: [{ ...ISSUER, ...changes }] })
const withKeySet = (keySet: unknown): object => withIssuer({ keySet })
const withDestination = (...destinations: readonly unknown[]): object => ({ ...GOOD, destinations })
const introspectionAt = (endpoint: string): object => ({ endpoint, clientId: 'a', clientSecret: 'b' })
const exchangeAt = (tokenEndpoint: string): object => ({ tokenEndpoint, clientId: 'a', clientSecret: 'b' })
const withIngress = (ingress: unknown): object => ({ ...GOOD, ingress })

function mistake(options: unknown): OptionError {
  try {
    parseOptions(options)
  } catch (error) {
    if (error instanceof OptionError) return error
    throw error
  }
  throw new Error('was accepted')
}

describe('defaults', () => {
  it('are filled in for every option that is left out', () => {
    expect(parseOptions(GOOD)).toEqual({
      issuers: [
        {
          issuer: 'https://id.example',
          audience: ['user-service'],
          algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
          typ: null,
          requiredClaims: ['exp', 'iat', 'sub'],
          clockToleranceSeconds: 5,
          maxTokenAgeSeconds: undefined,
          maxLifetimeSeconds: undefined,
          requiredScopes: [],
          scopeClaims: ['scope', 'scp', 'roles'],
          roleClaims: [['roles']],
          claimRules: [],
          introspection: undefined,
          maxTokenBytes: 8_192,
          jwks: undefined,
          jwksUri: undefined,
          allowCleartext: false,
          keySet: {
            timeoutMillis: 5_000,
            cooldownMillis: 30_000,
            maxAgeMillis: 600_000,
            staleMillis: 3_600_000,
            maxBytes: 1_048_576,
          },
        },
      ],
      resolveIssuer: undefined,
      rules: [],
      exchanges: new Map(),
      ingress: {
        mode: 'require',
        foreignTokens: 'refuse',
        header: 'authorization',
        publicPaths: [],
        readyPath: undefined,
        cors: undefined,
        resourceMetadata: undefined,
        protectedResource: undefined,
        allowPreflight: false,
      },
      egress: { mode: 'enforce', detector: 'off' },
      sealing: {
        keys: [],
        producer: undefined,
        maxAgeSeconds: 3_600,
        paddingBytes: 256,
        maxOpenings: 1,
        replayWindow: undefined,
      },
      revocation: { list: undefined, onUnavailable: 'reject' },
      cache: { maxEntries: 10_000 },
      audit: {
        file: undefined,
        key: undefined,
        maxFileBytes: 67_108_864,
        onFailure: undefined,
        subjects: 'hash',
        logger: undefined,
      },
      telemetry: { actors: 'hash', log: 'problems', logFormat: 'text', pseudonymKey: undefined },
      fingerprintKey: undefined,
    })
  })

  it('are filled in for members that are undefined', () => {
    const explicit = { ...withIssuer({ typ: undefined, jwks: undefined, keySet: { maxBytes: undefined } }) }
    expect(parseOptions({ ...explicit, destinations: undefined, ingress: undefined })).toEqual(parseOptions(GOOD))
  })

  it('seal a queue, and do not seal an origin', () => {
    const { rules } = parseOptions(
      withDestination({ to: 'kafka:a' }, { to: 'kafka:b', seal: false }, { to: 'https://a.example' }),
    )
    expect(rules.map(({ to, seal }) => [to, seal])).toEqual([
      ['kafka:a', true],
      ['kafka:b', false],
      ['https://a.example', false],
    ])
  })

  it('leave the given options unchanged, and do not keep them', () => {
    const options = { issuers: [{ ...ISSUER, algorithms: ['ES256'] }], destinations: [{ to: 'https://a.example' }] }
    const before = structuredClone(options)
    const settings = parseOptions(options)
    expect(options).toEqual(before)
    options.issuers[0]?.algorithms.push('none')
    options.destinations.push({ to: 'https://evil.example' })
    expect([settings.issuers[0]?.algorithms, settings.rules.length]).toEqual([['ES256'], 1])
  })
})

describe('accepts', () => {
  it.each<readonly [string, object]>([
    ['one audience', withIssuer({ audience: 'a' })],
    ['several audiences', withIssuer({ audience: ['a', 'b'] })],
    ['no check of the audience, in so many words', withIssuer({ audience: null })],
    ['an issuer that is no URL, with jwks', withIssuer({ issuer: 'my issuer', jwks: JWKS })],
    ['an issuer that is no URL, with jwksUri', withIssuer({ issuer: 'x', jwksUri: 'https://id.example/jwks' })],
    ['an issuer on the loopback interface', withIssuer({ issuer: 'http://localhost:8080' })],
    ['keys on the loopback interface', withIssuer({ jwksUri: 'http://127.0.0.1:8080/jwks' })],
    ['any type of an access token', withIssuer({ typ: null })],
    ['the strict type', withIssuer({ typ: 'at+jwt' })],
    ['a media type in full', withIssuer({ typ: 'application/at+jwt' })],
    ['several types', withIssuer({ typ: ['at+jwt', 'JWT', 'custom+jwt'] })],
    [
      'an issuer in clear text, on request',
      withIssuer({
        issuer: 'http://keycloak:8080/realms/a',
        allowCleartext: true,
        jwksUri: 'http://keycloak:8080/jwks',
        introspection: introspectionAt('http://keycloak:8080/introspect'),
        exchange: exchangeAt('http://keycloak:8080/token'),
      }),
    ],
    ['no required claims', withIssuer({ requiredClaims: [] })],
    [
      'every bound of the numbers',
      withIssuer({ clockToleranceSeconds: 0, maxTokenBytes: 256, maxTokenAgeSeconds: 0.5 }),
    ],
    ['the other bound', withIssuer({ clockToleranceSeconds: 300, maxTokenBytes: 65_536 })],
    ['no cooldown', withKeySet({ cooldownMillis: 0 })],
    ['clear text on request', withDestination({ to: 'http://a.example', allowCleartext: true })],
    ['allowCleartext where it is not needed', withDestination({ to: 'https://a.example', allowCleartext: true })],
    ['the same host with another port', withDestination({ to: 'https://a.example' }, { to: 'https://a.example:444' })],
    [
      'a wildcard beside its parent',
      withDestination({ to: 'https://a.example.com' }, { to: 'https://*.a.example.com' }),
    ],
    ['public paths', withIngress({ publicPaths: ['/health', '/public/*', '/'] })],
    ['the health checks of gRPC', withIngress({ publicPaths: ['grpc.health.v1.Health'] })],
    ['every mode', withIngress({ mode: 'optional' })],
    ['a function that logs', { ...GOOD, telemetry: { log: () => undefined } }],
    ['a fingerprint key', { ...GOOD, fingerprintKey: 'k'.repeat(16) }],
    ['options without prototype', Object.assign(Object.create(null) as object, GOOD)],
  ])('%s', (_, options) => {
    expect(() => parseOptions(options)).not.toThrow()
  })
})

const ISSUER_ID = 'expected the issuer identifier'
const AUDIENCE = 'required: a name, a list of names, or null to accept tokens for any audience'
const JWKS_URI = 'expected an https URL, or http on the loopback interface'
const DISCOVERY =
  'discovery needs an issuer that is an https URL, or http on the loopback interface or with allowCleartext; or give jwksUri or jwks'
const ALGORITHM =
  'expected one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519; none and HMAC are never accepted'
const TYP = 'expected at+jwt, JWT, another type that ends in +jwt, a list of types, or null for at+jwt, JWT and none'
const SEAL = 'expected true, false, or the kid of a sealing key'
const TOLERANCE = 'expected 0 to 300 seconds'
const BYTES = 'expected 256 to 65536 bytes'
const PUBLIC_KEY = 'expected a public signature key of sufficient strength'
const PUBLIC_PATH =
  'expected a path that starts with / and has no query, escape, parameter, dot segment or empty segment, or grpc.health.v1.Health'
const DESTINATION = 'expected scheme://host[:port] without path or userinfo, or system:name'
const CLEARTEXT = 'clear text is accepted only on the loopback interface; for other hosts set allowCleartext: true'

describe('refuses, with path and problem', () => {
  it.each<readonly [path: string, problem: string, options: unknown]>([
    ['options', 'required: an object with issuers', undefined],
    ['options', 'required: an object with issuers', null],
    ['options', 'required: an object with issuers', MARKER],
    ['options', 'required: an object with issuers', [ISSUER]],
    ['issuers', 'required: at least one issuer', {}],
    ['issuers', 'required: at least one issuer', { issuers: [] }],
    ['issuers', 'required: at least one issuer', { issuers: ISSUER }],
    ['issuers', 'required: at least one issuer', { issuers: MARKER }],
    ['issuers[0].issuer', ISSUER_ID, { issuers: [{ audience: 'a' }] }],
    ['issuers[0].issuer', ISSUER_ID, withIssuer({ issuer: '' })],
    ['issuers[0].issuer', ISSUER_ID, withIssuer({ issuer: new URL(`https://${MARKER}.example`) })],
    ['issuers[0].issuer', DISCOVERY, withIssuer({ issuer: MARKER })],
    ['issuers[0].issuer', DISCOVERY, withIssuer({ issuer: `http://${MARKER}.example` })],
    ['issuers[0].issuer', DISCOVERY, withIssuer({ issuer: `https://${MARKER}@id.example` })],
    ['issuers[0].issuer', DISCOVERY, withIssuer({ issuer: `file:///${MARKER}` })],
    ['issuers[1].issuer', 'appears twice', { issuers: [ISSUER, { ...ISSUER, audience: 'other' }] }],
    ['issuers[0].audience', AUDIENCE, { issuers: [{ issuer: 'https://id.example' }] }],
    ['issuers[0].audience', AUDIENCE, withIssuer({ audience: '' })],
    ['issuers[0].audience', AUDIENCE, withIssuer({ audience: 7 })],
    ['issuers[0].audience[1]', AUDIENCE, withIssuer({ audience: [MARKER, 7] })],
    ['issuers[0].audience', AUDIENCE, withIssuer({ audience: /m4rk3r/ })],
    ['issuers[0].jwksUri', CLEARTEXT, withIssuer({ jwksUri: `http://${MARKER}.example` })],
    [
      'issuers[0].introspection.endpoint',
      CLEARTEXT,
      withIssuer({ introspection: introspectionAt(`http://${MARKER}`) }),
    ],
    ['issuers[0].exchange.tokenEndpoint', CLEARTEXT, withIssuer({ exchange: exchangeAt(`http://${MARKER}/`) })],
    ['issuers[0].allowCleartext', 'expected true or false', withIssuer({ allowCleartext: MARKER })],
    ['issuers[0].issuer', DISCOVERY, withIssuer({ issuer: `ftp://${MARKER}`, allowCleartext: true })],
    ['issuers[0].jwksUri', JWKS_URI, withIssuer({ jwksUri: `http://a:${MARKER}@b`, allowCleartext: true })],
    ['issuers[0].jwksUri', JWKS_URI, withIssuer({ jwksUri: `https://user:${MARKER}@id.example/jwks` })],
    ['issuers[0].jwksUri', JWKS_URI, withIssuer({ jwksUri: MARKER })],
    ['issuers[0].jwksUri', JWKS_URI, withIssuer({ jwksUri: 7 })],
    [
      'issuers[0].jwks',
      'contradicts jwksUri: give one of them',
      withIssuer({ jwks: JWKS, jwksUri: 'https://id.example' }),
    ],
    ['issuers[0].jwks.keys', 'expected a list of public keys', withIssuer({ jwks: {} })],
    ['issuers[0].jwks.keys', 'expected a list of public keys', withIssuer({ jwks: { keys: [] } })],
    ['issuers[0].jwks.keys[0]', PUBLIC_KEY, withIssuer({ jwks: { keys: [MARKER] } })],
    ['issuers[0].jwks.keys[0]', PUBLIC_KEY, withIssuer({ jwks: { keys: [{ kty: 'oct', k: MARKER }] } })],
    [
      'issuers[0].jwks.keys[1]',
      PUBLIC_KEY,
      withIssuer({ jwks: { keys: [...JWKS.keys, { ...JWKS.keys[0], d: MARKER }] } }),
    ],
    ['issuers[0].jwks.x5c', 'is not an option', withIssuer({ jwks: { ...JWKS, x5c: MARKER } })],
    ['issuers[0].algorithms', 'expected a list of algorithms', withIssuer({ algorithms: [] })],
    ['issuers[0].algorithms', 'expected a list of algorithms', withIssuer({ algorithms: 'ES256' })],
    ['issuers[0].algorithms[0]', ALGORITHM, withIssuer({ algorithms: ['none'] })],
    ['issuers[0].algorithms[1]', ALGORITHM, withIssuer({ algorithms: ['ES256', 'HS256'] })],
    ['issuers[0].algorithms[0]', ALGORITHM, withIssuer({ algorithms: [MARKER] })],
    ['issuers[0].algorithms[0]', ALGORITHM, withIssuer({ algorithms: ['es256'] })],
    ['issuers[0].typ[0]', TYP, withIssuer({ typ: [MARKER] })],
    ['issuers[0].requiredClaims', 'expected a list of claim names', withIssuer({ requiredClaims: MARKER })],
    ['issuers[0].requiredClaims[1]', 'expected a claim name', withIssuer({ requiredClaims: ['exp', ''] })],
    ['issuers[0].requiredClaims[0]', 'expected a claim name', withIssuer({ requiredClaims: [7] })],
    ['issuers[0].clockToleranceSeconds', TOLERANCE, withIssuer({ clockToleranceSeconds: -1 })],
    ['issuers[0].clockToleranceSeconds', TOLERANCE, withIssuer({ clockToleranceSeconds: 301 })],
    ['issuers[0].clockToleranceSeconds', TOLERANCE, withIssuer({ clockToleranceSeconds: Number.NaN })],
    ['issuers[0].clockToleranceSeconds', TOLERANCE, withIssuer({ clockToleranceSeconds: '5' })],
    ['issuers[0].maxTokenAgeSeconds', 'expected seconds, more than 0', withIssuer({ maxTokenAgeSeconds: 0 })],
    ['issuers[0].maxTokenAgeSeconds', 'expected seconds, more than 0', withIssuer({ maxTokenAgeSeconds: Infinity })],
    ['issuers[0].maxTokenAgeSeconds', 'expected seconds, more than 0', withIssuer({ maxTokenAgeSeconds: MARKER })],
    ['issuers[0].maxTokenBytes', BYTES, withIssuer({ maxTokenBytes: 255 })],
    ['issuers[0].maxTokenBytes', BYTES, withIssuer({ maxTokenBytes: 65_537 })],
    ['issuers[0].maxTokenBytes', BYTES, withIssuer({ maxTokenBytes: 1_000.5 })],
    ['issuers[0].maxTokenBytes', BYTES, withIssuer({ maxTokenBytes: MARKER })],
    ['issuers[0].keySet.timeoutMillis', 'expected whole milliseconds, at least 1', withKeySet({ timeoutMillis: 0 })],
    [
      'issuers[0].keySet.timeoutMillis',
      'expected whole milliseconds, at least 1',
      withKeySet({ timeoutMillis: MARKER }),
    ],
    ['issuers[0].keySet.cooldownMillis', 'expected whole milliseconds, at least 0', withKeySet({ cooldownMillis: -1 })],
    ['issuers[0].keySet.maxAgeMillis', 'expected whole milliseconds, at least 1', withKeySet({ maxAgeMillis: 0.5 })],
    [
      'issuers[0].keySet.maxAgeMillis',
      'expected whole milliseconds, at least 1',
      withKeySet({ maxAgeMillis: Infinity }),
    ],
    ['issuers[0].keySet.maxBytes', 'expected whole bytes, at least 1', withKeySet({ maxBytes: 0 })],
    ['issuers[0].keySet.maxBytes', 'expected whole bytes, at least 1', withKeySet({ maxBytes: MARKER })],
    ['destinations', 'expected a list of destinations', { ...GOOD, destinations: MARKER }],
    ['destinations', 'expected a list of destinations', { ...GOOD, destinations: { to: 'https://a.example' } }],
    ['destinations[0].to', 'required: scheme://host[:port] or system:name', withDestination({})],
    ['destinations[0].to', DESTINATION, withDestination({ to: MARKER })],
    [
      'destinations[1].to',
      DESTINATION,
      withDestination({ to: 'https://a.example' }, { to: `https://a.example/${MARKER}` }),
    ],
    ['destinations[0].to', CLEARTEXT, withDestination({ to: `http://${MARKER}.example` })],
    ['destinations[0].to', CLEARTEXT, withDestination({ to: `grpc://${MARKER}.example`, allowCleartext: false })],
    [
      'destinations[0].allowCleartext',
      'expected true or false',
      withDestination({ to: 'https://a.example', allowCleartext: MARKER }),
    ],
    ['destinations[0].seal', SEAL, withDestination({ to: 'kafka:a', seal: [MARKER] })],
    ['destinations[0].seal', 'names no key of sealing.keys', withDestination({ to: 'kafka:a', seal: MARKER })],
    [
      'destinations[0].seal',
      'is for messaging destinations only',
      withDestination({ to: 'https://a.example', seal: true }),
    ],
    [
      'destinations[0].seal',
      'is for messaging destinations only',
      withDestination({ to: 'https://a.example', seal: false }),
    ],
    [
      'destinations[1].to',
      'appears twice',
      withDestination({ to: 'https://a.example' }, { to: 'https://A.example:443' }),
    ],
    [
      'destinations[1].to',
      'appears twice',
      withDestination({ to: 'kafka:a', seal: true }, { to: 'kafka:a', seal: false }),
    ],
    ['ingress.mode', 'expected require, optional, report or off', withIngress({ mode: MARKER })],
    ['ingress.mode', 'expected require, optional, report or off', withIngress({ mode: false })],
    ['ingress.publicPaths', 'expected a list of paths', withIngress({ publicPaths: '/health' })],
    ['ingress.publicPaths[0]', PUBLIC_PATH, withIngress({ publicPaths: [MARKER] })],
    ['ingress.publicPaths[0]', 'expected a path such as /health', withIngress({ publicPaths: [''] })],
    ['ingress.publicPaths[1]', PUBLIC_PATH, withIngress({ publicPaths: ['/a', `/a?${MARKER}`] })],
    ['ingress.publicPaths[0]', PUBLIC_PATH, withIngress({ publicPaths: [`/%61/${MARKER}`] })],
    ['ingress.publicPaths[0]', PUBLIC_PATH, withIngress({ publicPaths: [`/a;${MARKER}`] })],
    ['ingress.publicPaths[0]', PUBLIC_PATH, withIngress({ publicPaths: [`/a/../${MARKER}`] })],
    ['ingress.publicPaths[0]', PUBLIC_PATH, withIngress({ publicPaths: [`//${MARKER}`] })],
    ['ingress.publicPaths[0]', PUBLIC_PATH, withIngress({ publicPaths: [`/${MARKER}/./*`] })],
    ['telemetry.log', 'expected off, problems, decisions or a function', { ...GOOD, telemetry: { log: MARKER } }],
    ['telemetry.log', 'expected off, problems, decisions or a function', { ...GOOD, telemetry: { log: true } }],
    ['telemetry.logFormat', 'expected text or json', { ...GOOD, telemetry: { logFormat: MARKER } }],
    ['telemetry.pseudonymKey', 'expected at least 16 characters', { ...GOOD, telemetry: { pseudonymKey: MARKER } }],
    ['fingerprintKey', 'expected at least 16 characters', { ...GOOD, fingerprintKey: MARKER }],
    ['fingerprintKey', 'expected at least 16 characters', { ...GOOD, fingerprintKey: Buffer.alloc(32) }],
    ['destination', 'is not an option', { ...GOOD, destination: [{ to: MARKER }] }],
    ['issuers[0].audiences', 'is not an option', withIssuer({ audiences: [MARKER] })],
    ['issuers[0].keySet.timeout', 'is not an option', withKeySet({ timeout: MARKER })],
    ['destinations[0].realm', 'is not an option', withDestination({ to: 'https://a.example', realm: MARKER })],
    ['ingress.public', 'is not an option', withIngress({ public: MARKER })],
  ])('%s: %s', (path, problem, options) => {
    const error = mistake(options)
    expect(error).toMatchObject({ code: 'ERR_RELAY_OPTION', name: 'TypeError', path, problem })
    expect(error.message).toBe(`${path}: ${problem}`)
    expect(error).toBeInstanceOf(TypeError)
    expect(inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true })).not.toContain(MARKER)
  })

  it.each<readonly [path: string, problem: string, options: unknown]>([
    ['issuers[0].audience', AUDIENCE, withIssuer({ audience: [] })],
    ['issuers[0].typ', TYP, withIssuer({ typ: '' })],
    ['issuers[0].typ', TYP, withIssuer({ typ: [] })],
    ['issuers[0].typ', TYP, withIssuer({ typ: MARKER })],
    ['issuers[0].typ', TYP, withIssuer({ typ: 'any' })],
    ['issuers[0].typ', TYP, withIssuer({ typ: 'at+jwt,JWT' })],
    ['issuers[0].typ', TYP, withIssuer({ typ: ' JWT' })],
    ['issuers[0].typ[1]', TYP, withIssuer({ typ: ['at+jwt', 'none'] })],
    ['issuers[0].typ[1]', TYP, withIssuer({ typ: ['at+jwt', null] })],
    ['issuers[0]', 'expected an object', { issuers: [MARKER] }],
    ['issuers[0].jwks', 'expected an object', withIssuer({ jwks: MARKER })],
    ['issuers[0].keySet', 'expected an object', withKeySet(MARKER)],
    ['destinations[0]', 'expected an object', withDestination('https://a.example')],
    ['ingress', 'expected an object', withIngress(MARKER)],
  ])('%s: %s, in the words of this package', (path, problem, options) => {
    expect(mistake(options).message).toBe(`${path}: ${problem}`)
  })

  it('an empty destination, with its own message', () => {
    expect(mistake(withDestination({ to: '' }))).toMatchObject({
      code: 'ERR_RELAY_OPTION',
      message: 'destinations[0].to: required: scheme://host[:port] or system:name',
    })
  })

  it('options that contain themselves', () => {
    const options: Record<string, unknown> = { ...GOOD }
    options['ingress'] = options
    expect(mistake(options).code).toBe('ERR_RELAY_OPTION')
  })
})

it('no option enables HMAC [A18]', () => {
  for (const alg of ['HS256', 'HS384', 'HS512', 'none', 'None', 'dir', 'A128KW', 'RSA1_5']) {
    expect(mistake(withIssuer({ algorithms: [alg] })).message).toBe(`issuers[0].algorithms[0]: ${ALGORITHM}`)
  }
})

it('createTokenRelay throws the same error, and leaves nothing behind', async () => {
  expect(() => createTokenRelay({ issuers: [] })).toThrow(new OptionError('issuers', 'required: at least one issuer'))
  const relay = createTokenRelay(GOOD)
  await relay.shutdown()
})

describe('types', () => {
  it('require an audience, which may be null', () => {
    expectTypeOf<{ issuer: string }>().not.toExtend<IssuerOptions>()
    expectTypeOf<{ issuer: string; audience: undefined }>().not.toExtend<IssuerOptions>()
    expectTypeOf<{ issuer: string; audience: null }>().toExtend<IssuerOptions>()
    expectTypeOf<{ issuer: string; audience: readonly string[] }>().toExtend<IssuerOptions>()
  })

  it('require issuers and to, and nothing else', () => {
    expectTypeOf<object>().not.toExtend<TokenRelayOptions>()
    expectTypeOf<{ issuers: readonly IssuerOptions[] }>().toExtend<TokenRelayOptions>()
    expectTypeOf<object>().not.toExtend<DestinationOptions>()
    expectTypeOf<string>().not.toExtend<DestinationOptions>()
    expectTypeOf<{ to: string }>().toExtend<DestinationOptions>()
  })

  it('do not compile with a misspelt option', () => {
    // @ts-expect-error audience is missing
    const issuer: IssuerOptions = { issuer: 'https://id.example' }
    // @ts-expect-error it is called destinations
    const options: TokenRelayOptions = { issuers: [issuer], destination: [] }
    // @ts-expect-error there is no such mode
    const mode: NonNullable<NonNullable<TokenRelayOptions['ingress']>['mode']> = 'strict'
    expect([options, mode]).toHaveLength(2)
  })
})
