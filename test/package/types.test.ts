/** The declarations of the packed artifact, as a TypeScript program with strict settings sees them. */

import { beforeAll, describe, expect, it } from 'vitest'
import { OTEL_LINES } from '../support/process.ts'
import { compile } from './compile.ts'

const CONSUMER = `
import { context, type TextMapPropagator } from '@opentelemetry/api'
import {
  createTokenRelay,
  deleteCredential,
  getActiveCredential,
  getCredential,
  RelayActiveError,
  runWithToken,
  setCredential,
  setDestination,
  InsufficientScopeError,
  TokenError,
  TokenRejectedError,
  UndecidedError,
  type CacheOptions,
  type ClaimRule,
  type Claims,
  type DestinationOptions,
  type IngressOptions,
  type IntrospectionOptions,
  type IssuerOptions,
  type KeySetOptions,
  type RelayInstrumentation,
  type ResolveIssuer,
  type RevocationEntry,
  type RevocationFacts,
  type RevocationList,
  type RevocationOptions,
  type TokenErrorCode,
  type TokenRejectedCode,
  type TokenRelay,
  type TokenRelayOptions,
  type UndecidedCode,
  type VerifiedCredential,
} from 'otel-token-relay'
import { createRedisRevocationList, type RedisClient } from 'otel-token-relay/redis'
import { createMemoryRevocationList } from 'otel-token-relay/revocation'

const rule: ClaimRule = (claims) => claims['tenant'] === 'a'
const introspection: IntrospectionOptions = { endpoint: 'https://b.example.com/i', clientId: 'a', clientSecret: 'b' }
const cache: CacheOptions = { maxEntries: 100 }
const list: RevocationList = createMemoryRevocationList()
const revocation: RevocationOptions = { list, onUnavailable: 'accept' }
const resolveIssuer: ResolveIssuer = async (issuer) => (issuer === 'a' ? { issuer, audience: 'a' } : undefined)
export const shared = (client: RedisClient): RevocationList => createRedisRevocationList({ client, prefix: 'a' })

const keySet: KeySetOptions = { timeoutMillis: 1_000, cooldownMillis: 0, maxAgeMillis: 1, staleMillis: 0, maxBytes: 1 }
const issuers: readonly IssuerOptions[] = [
  { issuer: 'https://id.example.com', audience: 'a' },
  { issuer: 'https://b.example.com', audience: ['a', 'b'], typ: null, algorithms: ['ES256'], keySet },
  { issuer: 'https://c.example.com', audience: null, jwks: { keys: [{}] }, claimRules: [rule], requiredScopes: ['a'] },
  { issuer: 'https://d.example.com', audience: 'a', introspection },
]
const destinations: DestinationOptions[] = [{ to: 'https://a.example' }, { to: 'kafka:a', seal: false }]
const ingress: IngressOptions = { mode: 'optional', publicPaths: ['/health'] }
const options: TokenRelayOptions = {
  issuers, destinations, ingress, fingerprintKey: 'sixteen characters', cache, revocation, resolveIssuer,
}

export const relay: TokenRelay = createTokenRelay(options)
export const propagator: TextMapPropagator = relay.propagator
export const instrumentation: RelayInstrumentation = relay.instrumentation

export async function use(token: string): Promise<number> {
  const credential: VerifiedCredential = await relay.verify(token)
  const claims: Claims = credential.claims
  const email: unknown = claims['email']
  const subject: string | undefined = getActiveCredential()?.subject
  const scopes: readonly string[] = getCredential(setCredential(context.active(), credential))?.scopes ?? []
  deleteCredential(setDestination(context.active(), 'kafka:a'))
  const length: number = await runWithToken(token, async () => [email, subject, ...scopes].length)
  const entry: RevocationEntry = { issuer: 'a', sessionId: 'b', expiresAtMillis: 1 }
  await relay.revoke(entry)
  await relay.revoke(credential)
  const facts: RevocationFacts = credential
  const ready: boolean = relay.ready() && list.isRevoked(facts)
  await relay.hydrate()
  await relay.shutdown()
  return ready ? 0 : length
}

export function status(error: unknown): number {
  if (error instanceof UndecidedError) return error.retryAfterSeconds
  if (error instanceof InsufficientScopeError) return error.requiredScopes.length
  if (error instanceof TokenRejectedError) return error.status
  if (error instanceof TokenError) {
    const code: TokenErrorCode = error.code
    const known: (TokenRejectedCode | UndecidedCode)[] = ['ERR_TOKEN_MISSING', 'ERR_TOKEN_UNDECIDED']
    if (code === 'ERR_TOKEN_SCOPE') return 0
    return known.length
  }
  return error instanceof RelayActiveError && error.code === 'ERR_RELAY_ACTIVE' ? 1 : 0
}
`

const IMPORTS = `
import { context } from '@opentelemetry/api'
import { createTokenRelay, setCredential, TokenError, TokenRejectedError } from 'otel-token-relay'
import type { VerifiedCredential } from 'otel-token-relay'
declare const credential: VerifiedCredential
const issuer = 'https://id.example.com'
`

describe('a program compiles', () => {
  it('as an ES module and as CommonJS', () => {
    expect(compile({ 'consumer.mts': CONSUMER, 'consumer.cts': CONSUMER })).toEqual([])
  })

  it.each([
    ['with a bundler', 'consumer.ts', { module: 'esnext', moduleResolution: 'bundler' }],
    ['with the older resolution of Node.js', 'consumer.mts', { module: 'node20', moduleResolution: 'node16' }],
  ])('%s', (_, file, resolution) => {
    expect(compile({ [file]: CONSUMER }, resolution)).toEqual([])
  })

  it.each(OTEL_LINES)('with the relay in the NodeSDK of %s', (line) => {
    const text = `
      import { NodeSDK } from '@opentelemetry/sdk-node'
      import { createTokenRelay } from 'otel-token-relay'
      const relay = createTokenRelay({ issuers: [{ issuer: 'https://id.example.com', audience: 'a' }] })
      new NodeSDK({ textMapPropagator: relay.propagator, instrumentations: [relay.instrumentation] })`
    // Of the declarations that come along, only ours are at stake here.
    const errors = compile({ 'sdk.mts': text }, {}, line)
    expect(errors.filter((line) => /^sdk\.mts|otel-token-relay/.test(line))).toEqual([])
  })
})

describe('otel-token-relay/grpc', () => {
  const text = `
    import { Server, type ServerInterceptor } from '@grpc/grpc-js'
    import { authenticate, requireScope, type MethodScopes } from 'otel-token-relay/grpc'
    const byMethod: MethodScopes = { '/profiles.Profiles/Get': ['profiles:read'] }
    export const interceptor: ServerInterceptor = requireScope('a', 'b')
    new Server({ interceptors: [authenticate(), authenticate({ mode: 'optional' }), requireScope(byMethod), interceptor] })`
  const wrong = ["authenticate({ mode: 'off' })", "requireScope(['a'])", "requireScope({ '/a.B/C': 'a' })"]
  // Of the declarations that come along, only ours are at stake here.
  const own = (errors: readonly string[]) => errors.filter((line) => /^grpc\.mts|otel-token-relay/.test(line))

  it('has types that fit grpc-js', () => {
    expect(own(compile({ 'grpc.mts': text }))).toEqual([])
  })

  it.each(wrong)('has types that refuse %s', (statement) => {
    expect(own(compile({ 'grpc.mts': `${text}\n${statement}` }))).toHaveLength(1)
  })
})

const WRONG = [
  ['without issuers', 'createTokenRelay({})', 'TS2741'],
  ['without an audience', 'createTokenRelay({ issuers: [{ issuer }] })', 'TS2741'],
  ['with an undefined audience', 'createTokenRelay({ issuers: [{ issuer, audience: undefined }] })', 'TS2322'],
  ['with an unknown option', "createTokenRelay({ issuers: [], destination: 'a' })", 'TS2561'],
  ['with an unknown mode', "createTokenRelay({ issuers: [], ingress: { mode: 'maybe' } })", 'TS2322'],
  ['with a destination that is a string', "createTokenRelay({ issuers: [], destinations: ['a'] })", 'TS2322'],
  [
    'with a time that is a string',
    "createTokenRelay({ issuers: [{ issuer, audience: 'a', clockToleranceSeconds: '5' }] })",
    'TS2322',
  ],
  ['when it puts a raw token into a context', "setCredential(context.active(), 'token')", 'TS2345'],
  ['when it writes to a credential', "credential.subject = 'mallory'", 'TS2540'],
  ['when it writes to claims', "credential.claims['sub'] = 'mallory'", 'TS2542'],
  ['when it adds a scope', "credential.scopes.push('admin')", 'TS2339'],
  ['when it constructs the abstract error', "new TokenError('ERR_TOKEN_MISSING')", 'TS2674'],
  ['when it rejects with a code that means "undecided"', "new TokenRejectedError('ERR_TOKEN_UNDECIDED')", 'TS2345'],
  ['when it imports what is internal', "import 'otel-token-relay/dist/relay.js'", 'TS2882'],
] as const

describe('a program does not compile', () => {
  let errors: readonly string[]
  beforeAll(() => {
    errors = compile(
      Object.fromEntries(WRONG.map(([, statement], i) => [`wrong-${i}.mts`, `${IMPORTS}\n${statement}\n`])),
    )
  })

  it.each(WRONG.map(([title, , code], i) => [title, `wrong-${i}.mts`, code]))('%s', (_, file, code) => {
    const own = errors.filter((line) => line.startsWith(`${file}(`))
    expect(own).toHaveLength(1)
    expect(own[0]).toMatch(new RegExp(`\\(8,\\d+\\): error ${code}:`))
  })

  it('for no other reason', () => {
    expect(errors).toHaveLength(WRONG.length)
  })
})
