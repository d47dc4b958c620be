/** One admission behind every entrance: the same token has the same verdict, events, records and counts wherever it comes in. */

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from '@nestjs/common'
import { context, defaultTextMapGetter, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import express from 'express'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { RevocationList, TokenRelay, TokenRelayOptions } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runAsCaller, runWithToken } from '../../src/index.ts'
import { authenticate } from '../../src/ingress/adapters/express.ts'
import { TokenRelayGuard } from '../../src/ingress/adapters/nestjs.ts'
import { consume } from '../../src/messaging/index.ts'
import { createMemoryRevocationList } from '../../src/revocation/index.ts'
import { close, listen } from '../support/issuer.ts'
import type { RecordedMetrics } from '../support/metrics.ts'
import { recordMetrics } from '../support/metrics.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { signer, tokenOf } from '../support/service.ts'
import { createSigner, goodClaims, LIFE_SECONDS } from '../support/signer.ts'

const SOURCE = 'kafka:orders'
const DOWN = 'http://127.0.0.1:9'
const PATIENCE = { timeout: 30_000 }

const exporter = new InMemorySpanExporter()
const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })

let folder: string
let relay: TokenRelay
let metrics: RecordedMetrics
let revocations: RevocationList & { available: boolean }

beforeAll(() => {
  trace.setGlobalTracerProvider(provider)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
})
afterAll(() => {
  trace.disable()
  context.disable()
})
beforeEach(() => {
  metrics = recordMetrics()
  folder = mkdtempSync(join(tmpdir(), 'admission-'))
  const list = createMemoryRevocationList()
  revocations = Object.assign(Object.create(list) as typeof list, { available: true })
  relay = createRelay({ audit: { file: join(folder, 'audit.jsonl'), onFailure: 'block' } })
})
afterEach(async () => {
  exporter.reset()
  await relay.shutdown()
  await metrics[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

function createRelay(options: Pick<TokenRelayOptions, 'audit' | 'ingress'>): TokenRelay {
  return createTokenRelay({
    issuers: [
      ...optionsFor([signer.jwk], { requiredScopes: ['use'] }).issuers,
      { issuer: DOWN, audience: 'user-service' },
    ],
    destinations: [{ to: SOURCE, seal: false }],
    revocation: { list: revocations },
    ...options,
  })
}

const good = (): string => tokenOf({ scope: 'use', jti: crypto.randomUUID() })

/** Returns the subject that work runs as, or the code of the refusal. */
type Enter = (token: string | undefined, mode?: 'optional') => Promise<string | undefined>

interface EntranceCase {
  readonly enter: Enter
  /** Whether what happened is on the span, too. */
  readonly onSpan: boolean
  /** What is recorded beside the verdict on the token. */
  readonly alsoRecorded?: (outcome: string | undefined, isGood: boolean) => readonly string[]
}

const headersOf = (token: string | undefined): Record<string, string> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` }
const codeOf = (error: unknown): string => (error as { readonly code: string }).code
const inSpan = <T>(fn: () => Promise<T>): Promise<T> =>
  trace.getTracer('test').startActiveSpan('entrance', (span) => fn().finally(() => span.end()))

const ENTRANCES: Readonly<Record<string, EntranceCase>> = {
  'the gate': {
    onSpan: true,
    enter: (token) => viaServer(token, () => createServer(answerCaller), { gate: true }),
  },
  'an adapter': {
    onSpan: true,
    enter: (token) =>
      viaServer(token, () => createServer(express().use(authenticate()).get('/', answerCaller)), { gate: false }),
  },
  'relay.admit': {
    onSpan: true,
    enter: (token, mode) => inSpan(async () => admittedBy(await relay.admit({ headers: headersOf(token) }, { mode }))),
  },
  'a guard without a request': {
    onSpan: true,
    enter: (token) => inSpan(() => context.with(extracted(token), guardActive)),
  },
  'relay.verify': {
    onSpan: false,
    enter: (token) =>
      inSpan(() =>
        relay.verify(token as string).then(
          (credential) => credential.subject,
          (error) => codeOf(error),
        ),
      ),
  },
  runWithToken: {
    onSpan: false,
    enter: (token) => inSpan(() => runWithToken(token as string, activeSubject).catch(codeOf)),
  },
  runAsCaller: {
    onSpan: true,
    enter: (token) => inSpan(() => runAsCaller(extracted(token), activeSubject).catch(codeOf)),
  },
  consume: {
    onSpan: true,
    alsoRecorded: (outcome, isGood) => [`auth.message.decided ${isGood ? '' : outcome}`.trim()],
    enter: (token) =>
      inSpan(async () => {
        const consumed = await consume({ source: SOURCE, headers: headersOf(token) }, activeSubject, {
          undecidedMillis: 0,
        })
        return consumed.verdict === 'handled' ? consumed.result : consumed.error.code
      }),
  },
}

const activeSubject = (): string | undefined => getActiveCredential()?.subject

function extracted(token: string | undefined) {
  const base = trace.setSpan(ROOT_CONTEXT, trace.getActiveSpan() as NonNullable<ReturnType<typeof trace.getActiveSpan>>)
  return relay.propagator.extract(base, headersOf(token), defaultTextMapGetter)
}

function admittedBy(admission: Awaited<ReturnType<TokenRelay['admit']>>): string | undefined {
  return admission.admitted ? admission.run(activeSubject) : admission.error.code
}

const WEB_SOCKET = {
  getType: () => 'ws',
  getHandler: () => () => undefined,
  getClass: () => class {},
} as unknown as ExecutionContext

async function guardActive(): Promise<string | undefined> {
  try {
    expect(await new TokenRelayGuard().canActivate(WEB_SOCKET)).toBe(true)
    return activeSubject()
  } catch (error) {
    return codeOf((error as { readonly cause: unknown }).cause)
  }
}

const answerCaller = (_: unknown, response: { end(text: string): unknown }): void => {
  response.end(JSON.stringify({ subject: activeSubject() }))
}

/** The code is in no answer: it is read from the span. */
async function viaServer(
  token: string | undefined,
  make: () => ReturnType<typeof createServer>,
  { gate }: { readonly gate: boolean },
): Promise<string | undefined> {
  if (gate) relay.instrumentation.enable()
  else relay.instrumentation.disable()
  const server = make()
  const restore = traceServers()
  const port = await listen(server)
  try {
    const response = await fetch(`http://127.0.0.1:${port}/`, { headers: headersOf(token) })
    const body = await response.text()
    if (response.ok) return (JSON.parse(body) as { readonly subject?: string }).subject
    await expect.poll(rejectionOnSpan, PATIENCE).toBeDefined()
    return rejectionOnSpan()
  } finally {
    restore()
    server.closeAllConnections()
    await close(server)
  }
}

/** On the prototype, and saying what it wraps, as instrumentations of OpenTelemetry do. */
function traceServers(): () => void {
  const { prototype } = Server
  const emit = prototype.emit as (this: Server, event: string, ...args: unknown[]) => boolean
  const traced = function (this: Server, event: string, ...args: unknown[]): boolean {
    if (event !== 'request') return emit.call(this, event, ...args)
    return trace.getTracer('test').startActiveSpan('entrance', (span) => {
      ;(args[1] as NodeJS.EventEmitter).once('close', () => span.end())
      return emit.call(this, event, ...args)
    })
  }
  prototype.emit = Object.assign(traced, { __original: emit }) as never
  return () => {
    prototype.emit = emit as never
  }
}

const rejectionOnSpan = (): string | undefined =>
  spanEvents()
    .find((text) => text.startsWith('auth.token.rejected'))
    ?.split(' ')[1]

function spanEvents(): readonly string[] {
  return exporter
    .getFinishedSpans()
    .flatMap((span) => span.events)
    .map(({ name, attributes }) => `${name} ${(attributes?.['error.type'] as string) ?? ''}`.trim())
    .filter((text) => text.startsWith('auth.') && !text.startsWith('auth.token.revoked'))
}

function records(): readonly string[] {
  if (!existsSync(folder)) return []
  return readFileSync(join(folder, 'audit.jsonl'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as { event: string; attributes: Record<string, unknown> })
    .map(({ event, attributes }) => `${event} ${(attributes['error.type'] as string) ?? ''}`.trim())
    .filter((text) => !text.startsWith('auth.token.revoked'))
}

async function counts(): Promise<Readonly<Record<string, unknown>>> {
  const points = await metrics.values('auth.verifications')
  const total: Record<string, number> = {}
  for (const [attributes, value] of points) {
    const { 'auth.verification.outcome': outcome, 'error.type': code } = attributes as Record<string, string>
    const name = [outcome, code].filter(Boolean).join(' ')
    total[name] = (total[name] ?? 0) + (value as number)
  }
  return total
}

interface StateCase {
  readonly token: () => string | undefined | Promise<string>
  /** Subject or code. */
  readonly outcome: string
  readonly counted: Readonly<Record<string, number>>
  /** Before the token comes in. */
  readonly given?: (token: string) => unknown
}

const STATES: Readonly<Record<string, StateCase>> = {
  'no token': { token: () => undefined, outcome: 'ERR_TOKEN_MISSING', counted: {} },
  'a good token': { token: good, outcome: 'alice', counted: { verified: 1 } },
  'what is no token': {
    token: () => 'garbage',
    outcome: 'ERR_TOKEN_MALFORMED',
    counted: { 'rejected ERR_TOKEN_MALFORMED': 1 },
  },
  'an expired token': {
    token: () => tokenOf({ scope: 'use', exp: Math.floor(Date.now() / 1000) - 10 }),
    outcome: 'ERR_TOKEN_EXPIRED',
    counted: { 'rejected ERR_TOKEN_EXPIRED': 1 },
  },
  'a forged token': {
    token: () => createSigner('ES256', 'ES256-1').token(goodClaims(ISSUER, { scope: 'use' })),
    outcome: 'ERR_TOKEN_SIGNATURE',
    counted: { 'rejected ERR_TOKEN_SIGNATURE': 1 },
  },
  'a token without a required scope': {
    token: () => tokenOf({ scope: 'other' }),
    outcome: 'ERR_TOKEN_SCOPE',
    counted: { 'rejected ERR_TOKEN_SCOPE': 1 },
  },
  'a token whose keys cannot be read': {
    token: () => signer.token(goodClaims(DOWN)),
    outcome: 'ERR_TOKEN_KEYS_UNAVAILABLE',
    counted: { 'undecided ERR_TOKEN_KEYS_UNAVAILABLE': 1 },
  },
  'a token that was revoked': {
    token: good,
    given: (token) => relay.revoke({ issuer: ISSUER, tokenId: claimsOf(token).jti, expiresAtMillis: Date.now() + 1e5 }),
    outcome: 'ERR_TOKEN_REVOKED',
    counted: { 'rejected ERR_TOKEN_REVOKED': 1 },
  },
  'a token while the revocation list cannot be trusted': {
    token: good,
    given: () => {
      revocations.available = false
    },
    outcome: 'ERR_TOKEN_REVOCATION_UNAVAILABLE',
    counted: { 'undecided ERR_TOKEN_REVOCATION_UNAVAILABLE': 1 },
  },
  'a token while the audit trail cannot be written': {
    token: good,
    given: breakTrail,
    outcome: 'ERR_TOKEN_AUDIT_UNAVAILABLE',
    counted: { 'undecided ERR_TOKEN_AUDIT_UNAVAILABLE': 1 },
  },
}

function claimsOf(token: string): { readonly jti: string } {
  return JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()) as { jti: string }
}

function breakTrail(): void {
  rmSync(folder, { recursive: true, force: true })
}

/** What is seen of one token at one entrance, in every place where it is seen. */
interface Seen {
  readonly outcome: string
  readonly events: readonly string[]
  readonly records: readonly string[]
  readonly counted: Readonly<Record<string, number>>
}

function expectedOf({ onSpan, alsoRecorded }: EntranceCase, state: StateCase, hasToken: boolean): Seen {
  // A program that asks about a text has to give one.
  if (!hasToken && !onSpan) return expectedOf({ onSpan, enter }, STATES['what is no token'] as StateCase, true)
  const { outcome, counted } = state
  const isGood = outcome === 'alice'
  const isTrailDown = outcome === 'ERR_TOKEN_AUDIT_UNAVAILABLE'
  const verdict = isGood ? 'auth.token.verified' : `auth.token.rejected ${outcome}`
  const recorded = [verdict, ...(alsoRecorded?.(outcome, isGood) ?? [])]
  // It was verified before it turned out that it could not be recorded.
  const verified = isTrailDown ? ['auth.token.verified'] : []
  return {
    outcome,
    events: onSpan ? [...verified, ...recorded] : [],
    records: isTrailDown ? [] : recorded,
    counted,
  }
}

const enter: Enter = async () => undefined

describe.each(Object.entries(ENTRANCES))('%s', (_entrance, entrance) => {
  it.each(Object.entries(STATES))('decides on %s as every other entrance does', async (_state, state) => {
    const token = await state.token()
    await state.given?.(token as string)
    const expected = expectedOf(entrance, state, token !== undefined)
    expect(await entrance.enter(token)).toBe(expected.outcome)
    await expect.poll(spanEvents, PATIENCE).toEqual(expected.events)
    await relay.shutdown()
    expect(records()).toEqual(expected.records)
    expect(await counts()).toEqual(expected.counted)
  })
})

/** Without an audit trail, a token that is remembered goes the straight way; with one, it never does. */
describe.each(Object.entries(ENTRANCES))('%s, asked again', (_entrance, entrance) => {
  const states = Object.entries(STATES).filter(([, { given }]) => given !== breakTrail)

  it.each(states)('decides on %s alike on the straight way and on the general one', async (_state, state) => {
    const token = await state.token()
    const seen = []
    for (const isStraight of [false, true]) {
      if (isStraight) await startWithoutTrail()
      await entrance.enter(token)
      await state.given?.(token as string)
      const outcome = await entrance.enter(token)
      seen.push({ outcome, events: spanEvents(), counted: await counts() })
    }
    const [general, straight] = seen
    expect(straight).toEqual(general)
    expect(straight?.outcome).toBe(expectedOf(entrance, state, token !== undefined).outcome)
  })
})

async function startWithoutTrail(): Promise<void> {
  await relay.shutdown()
  await metrics[Symbol.asyncDispose]()
  metrics = recordMetrics()
  exporter.reset()
  revocations = Object.assign(createMemoryRevocationList(), { available: true })
  relay = createRelay({})
}

/** Those that ask by the mode of the relay. The others ask for a token in any mode. */
const WITH_MODE = ['the gate', 'an adapter', 'relay.admit', 'a guard without a request']

describe.each(Object.entries(ENTRANCES))('%s, while ingress.mode is report [E18]', (name, entrance) => {
  const hasMode = WITH_MODE.includes(name)

  it.each(Object.entries(STATES))('records %s as ever, and refuses no request', async (_state, state) => {
    await restart({ mode: 'report' })
    const token = await state.token()
    await state.given?.(token as string)
    const expected = expectedOf(entrance, state, token !== undefined)
    const isGood = expected.outcome === 'alice'
    expect(await entrance.enter(token)).toBe(hasMode && !isGood ? undefined : expected.outcome)
    await expect.poll(spanEvents, PATIENCE).toEqual(expected.events)
    await relay.shutdown()
    expect(records()).toEqual(expected.records)
    expect(await counts()).toEqual(expected.counted)
    const isReported = hasMode && !isGood
    expect(await callerless()).toEqual(isReported ? { [expected.outcome]: 1 } : {})
    expect(modesOnSpan()).toEqual(isReported ? ['report'] : [])
  })
})

/** The code of each state in which `optional` lets a request in if it ignores tokens of others. */
const LET_IN: Readonly<Record<string, { readonly code: string; readonly events: readonly string[] }>> = {
  'no token': { code: 'ERR_TOKEN_MISSING', events: [] },
  'what is no token': { code: 'ERR_TOKEN_MALFORMED', events: ['auth.token.ignored ERR_TOKEN_MALFORMED'] },
}
const OPTIONAL = ['the gate', 'relay.admit']

describe.each(
  Object.entries(ENTRANCES).filter(([name]) => OPTIONAL.includes(name)),
)('%s, while ingress.mode is optional', (_entrance, entrance) => {
  it.each(Object.entries(STATES))('ignores tokens of others, and none of ours: %s [E19]', async (stateName, state) => {
    await restart({ mode: 'optional', foreignTokens: 'ignore' })
    const token = await state.token()
    await state.given?.(token as string)
    const letIn = LET_IN[stateName]
    const refused = expectedOf(entrance, state, token !== undefined)
    const expected =
      letIn === undefined ? refused : { ...letIn, outcome: undefined, records: letIn.events, counted: {} }
    expect(await entrance.enter(token, 'optional')).toBe(expected.outcome)
    await expect.poll(spanEvents, PATIENCE).toEqual(expected.events)
    await relay.shutdown()
    expect(records()).toEqual(expected.records)
    expect(await counts()).toEqual(expected.counted)
    expect(await callerless()).toEqual(letIn === undefined ? {} : { [letIn.code]: 1 })
  })
})

async function restart(ingress: NonNullable<TokenRelayOptions['ingress']>): Promise<void> {
  await relay.shutdown()
  relay = createRelay({ audit: { file: join(folder, 'audit.jsonl'), onFailure: 'block' }, ingress })
}

async function callerless(): Promise<Readonly<Record<string, unknown>>> {
  const points = await metrics.values('auth.callerless_requests')
  return Object.fromEntries([...points].map(([attributes, value]) => [(attributes as never)['error.type'], value]))
}

const modesOnSpan = (): readonly unknown[] =>
  exporter
    .getFinishedSpans()
    .flatMap((span) => span.events)
    .flatMap(({ attributes }) => attributes?.['auth.ingress.mode'] ?? [])

/** Inside the work of an admitted caller, the application asks about the same token again. */
const AGAIN: Readonly<Record<string, (token: string, meanwhile: () => unknown) => Promise<string | undefined>>> = {
  'relay.admit inside the request that the token has opened': async (token, meanwhile) => {
    const headers = headersOf(token)
    const first = await relay.admit({ headers })
    if (!first.admitted) throw first.error
    return first.run(async () => {
      await meanwhile()
      return admittedBy(await relay.admit({ headers: headersOf(token) }))
    })
  },
  'relay.admit for the same request': async (token, meanwhile) => {
    const headers = headersOf(token)
    expect(admittedBy(await relay.admit({ headers }))).toBe('alice')
    await meanwhile()
    return admittedBy(await relay.admit({ headers }))
  },
  'a guard that is asked for every message of a socket': (token, meanwhile) =>
    context.with(extracted(token), async () => {
      expect(await guardActive()).toBe('alice')
      await meanwhile()
      return guardActive()
    }),
  'runAsCaller in the same context': async (token, meanwhile) => {
    const ctx = extracted(token)
    expect(await runAsCaller(ctx, activeSubject)).toBe('alice')
    await meanwhile()
    return runAsCaller(ctx, activeSubject).catch(codeOf)
  },
}

const MEANWHILE: Readonly<Record<string, readonly [(token: string) => unknown, string]>> = {
  nothing: [() => undefined, 'alice'],
  'the token was revoked': [
    (token) => relay.revoke({ issuer: ISSUER, tokenId: claimsOf(token).jti, expiresAtMillis: Date.now() + 1e5 }),
    'ERR_TOKEN_REVOKED',
  ],
  'the token has expired': [() => vi.setSystemTime(Date.now() + (LIFE_SECONDS + 6) * 1000), 'ERR_TOKEN_EXPIRED'],
  'the revocation list cannot be trusted any more': [
    () => {
      revocations.available = false
    },
    'ERR_TOKEN_REVOCATION_UNAVAILABLE',
  ],
  'the audit trail cannot be written any more': [
    async () => {
      breakTrail()
      await relay.verify(good()).catch(() => undefined)
    },
    'ERR_TOKEN_AUDIT_UNAVAILABLE',
  ],
}

describe.each(Object.entries(AGAIN))('a verdict is never final: %s [C14]', (_name, askTwice) => {
  afterEach(() => vi.useRealTimers())

  it.each(Object.entries(MEANWHILE))('after %s', async (_meanwhile, [change, outcome]) => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const token = good()
    expect(await inSpan(() => askTwice(token, () => change(token)))).toBe(outcome)
  })

  it('records and counts the caller once', async () => {
    expect(await inSpan(() => askTwice(good(), () => undefined))).toBe('alice')
    await relay.shutdown()
    expect(records()).toEqual(['auth.token.verified'])
    expect(await counts()).toEqual({ verified: 1 })
  })
})
