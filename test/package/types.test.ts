/** The declarations of the packed artifact, as a TypeScript program with strict settings sees them. */

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { ROOT } from '../readme/markdown.ts'
import { createScratch } from './scratch.ts'

const scratch = createScratch()
afterAll(() => scratch[Symbol.dispose]())

interface Resolution {
  readonly module: string
  readonly moduleResolution: string
}

/** The errors that the compiler finds in `text`, one line each. Declarations of all packages are checked, too. */
function compile(file: string, text: string, resolution: Partial<Resolution> = {}): readonly string[] {
  const config = {
    compilerOptions: {
      target: 'es2023',
      lib: ['es2023'],
      module: 'nodenext',
      moduleResolution: 'nodenext',
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      types: ['node'],
      noEmit: true,
      ...resolution,
    },
    files: [file],
  }
  scratch.write({ [file]: text, 'tsconfig.json': JSON.stringify(config) })
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
  const { stdout } = spawnSync(tsc, ['-p', scratch.folder, '--pretty', 'false'], {
    cwd: scratch.folder,
    encoding: 'utf8',
  })
  return stdout.split('\n').filter((line) => line.includes('error TS'))
}

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
  TokenError,
  TokenRejectedError,
  UndecidedError,
  type Claims,
  type DestinationOptions,
  type IngressOptions,
  type IssuerOptions,
  type KeySetOptions,
  type RelayInstrumentation,
  type TokenErrorCode,
  type TokenRejectedCode,
  type TokenRelay,
  type TokenRelayOptions,
  type UndecidedCode,
  type VerifiedCredential,
} from 'otel-token-relay'

const keySet: KeySetOptions = { timeoutMillis: 1_000, cooldownMillis: 0, maxAgeMillis: 1, staleMillis: 0, maxBytes: 1 }
const issuers: readonly IssuerOptions[] = [
  { issuer: 'https://id.example.com', audience: 'a' },
  { issuer: 'https://b.example.com', audience: ['a', 'b'], typ: null, algorithms: ['ES256'], keySet },
  { issuer: 'https://c.example.com', audience: null, jwks: { keys: [{}] } },
]
const destinations: DestinationOptions[] = [{ to: 'https://a.example' }, { to: 'kafka:a', seal: false }]
const ingress: IngressOptions = { mode: 'optional', publicPaths: ['/health'] }
const options: TokenRelayOptions = { issuers, destinations, ingress, fingerprintKey: 'sixteen characters' }

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
  await relay.shutdown()
  return length
}

export function status(error: unknown): number {
  if (error instanceof UndecidedError) return error.retryAfterSeconds
  if (error instanceof TokenRejectedError) return error.status
  if (error instanceof TokenError) {
    const code: TokenErrorCode = error.code
    const known: (TokenRejectedCode | UndecidedCode)[] = ['ERR_TOKEN_MISSING', 'ERR_TOKEN_UNDECIDED', code]
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
  it.each([
    ['as an ES module', 'consumer.mts', {}],
    ['as CommonJS', 'consumer.cts', {}],
    ['with a bundler', 'consumer.ts', { module: 'esnext', moduleResolution: 'bundler' }],
    ['with the resolution of Node.js 20', 'consumer.mts', { module: 'node20', moduleResolution: 'node16' }],
  ])('%s', (_, file, resolution) => {
    expect(compile(file, CONSUMER, resolution)).toEqual([])
  })

  it('with the relay in a NodeSDK', () => {
    const text = `
      import { NodeSDK } from '@opentelemetry/sdk-node'
      import { registerInstrumentations } from '@opentelemetry/instrumentation'
      import { createTokenRelay } from 'otel-token-relay'
      const relay = createTokenRelay({ issuers: [{ issuer: 'https://id.example.com', audience: 'a' }] })
      new NodeSDK({ textMapPropagator: relay.propagator, instrumentations: [relay.instrumentation] })
      registerInstrumentations({ instrumentations: [relay.instrumentation] })`
    // Of the declarations that come along, only ours are at stake here.
    const errors = compile('sdk.mts', text)
    expect(errors.filter((line) => /^sdk\.mts|otel-token-relay/.test(line))).toEqual([])
  })
})

describe('a program does not compile', () => {
  it.each([
    ['without issuers', 'createTokenRelay({})', 'TS2345'],
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
    ['when it constructs the abstract error', "new TokenError('ERR_TOKEN_MISSING')", 'TS2511'],
    ['when it rejects with a code that means "undecided"', "new TokenRejectedError('ERR_TOKEN_UNDECIDED')", 'TS2345'],
    ['when it imports what is internal', "import 'otel-token-relay/dist/relay.js'", 'TS2307'],
  ])('%s', (_, statement, code) => {
    const errors = compile('wrong.mts', `${IMPORTS}\n${statement}\n`)
    expect(errors).toHaveLength(1)
    expect(errors[0]).toMatch(new RegExp(`^wrong\\.mts\\(8,\\d+\\): error ${code}:`))
  })
})
