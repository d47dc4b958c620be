/** Queue, retries, time-outs, circuit breaker and fallback keep the caller of each call. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import * as z from 'zod'
import type { Endpoint, ServiceClientOptions } from '../../src/client/index.ts'
import { createServiceClient, get } from '../../src/client/index.ts'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Reply, Service } from '../support/scripted-service.ts'
import { json, startService } from '../support/scripted-service.ts'

const CALLERS = Array.from({ length: 40 }, (_, i) => `user-${i}`)

let issuer: TestIssuer
let service: Service
let relay: TokenRelay
let tokens: ReadonlyMap<string, string>

beforeAll(async () => {
  issuer = await startIssuer()
  service = await startService()
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service', jwks: issuer.jwks }],
    destinations: [{ to: service.origin }],
  })
  tokens = new Map(await Promise.all(CALLERS.map(async (sub) => [sub, await issuer.token({ sub })] as const)))
})
afterAll(async () => {
  await relay.shutdown()
  await Promise.all([issuer, service].map((resource) => resource[Symbol.asyncDispose]()))
})

const application = new AsyncLocalStorage<string>()
/** Which code of the application ran, for which call, and as which caller. */
let seen: { readonly where: string; readonly whose: string; readonly as: readonly unknown[] }[]
beforeEach(() => {
  seen = []
})

function look(where: string, whose: string): void {
  seen.push({ where, whose, as: [getActiveCredential()?.subject, application.getStore()] })
}

const Answer = z.object({ user: z.string() }).transform(({ user }) => {
  look('validator', user)
  return user
})

type Read = Endpoint<{ readonly user: string }, string>

function create(options: Partial<ServiceClientOptions<{ read: Read }>> = {}) {
  const watched: typeof fetch = (input, init) => {
    look('attempt', String(input).split('/').at(-1) ?? '')
    return fetch(input, init)
  }
  const read = get('/profiles/{user}', {
    response: Answer,
    fallback: ({ code }, { user }) => {
      look('fallback', String(user))
      return code
    },
  })
  return createServiceClient({ baseUrl: service.origin, fetch: watched, ...options, endpoints: { read } })
}

/** Makes calls of all callers at once. */
async function callAll(client: ReturnType<typeof create>): Promise<readonly string[]> {
  const call = (user: string): Promise<string> =>
    application.run(user, () => runWithToken(tokens.get(user) ?? '', () => client.read({ user })))
  return Promise.all(CALLERS.map(call))
}

/** Requests with another caller's token, or none, since `from`. */
function wrongTokens(from: number): readonly string[] {
  return service.asked.slice(from).flatMap(({ target, headers }) => {
    const user = target.split('/').at(-1) ?? ''
    return headers.authorization === `Bearer ${tokens.get(user)}` ? [] : [user]
  })
}

function wrongContexts(): readonly unknown[] {
  return seen.filter(({ whose, as }) => as.some((who) => who !== whose))
}

function countOf(where: string): number {
  return seen.filter((one) => one.where === where).length
}

const late = (fn: () => void): void => void setTimeout(fn, Math.random() * 5)
const userOf = (target: string): string => target.split('/').at(-1) ?? ''

it('every request has the token of its caller, through queue and retries [F12]', async () => {
  const attempts = new Map<string, number>()
  const flaky: Reply = (response, _, { target }) =>
    late(() => {
      const attempt = (attempts.get(target) ?? 0) + 1
      attempts.set(target, attempt)
      if (attempt > 1) json(response, { user: userOf(target) })
      else if (attempts.size % 2 === 0) response.writeHead(503).end()
      else response.socket?.resetAndDestroy()
    })
  service.answer(flaky)
  const from = service.asked.length
  const client = create({
    timeoutMillis: 30_000,
    retry: { maxAttempts: 3, baseDelayMillis: 5, budgetRatio: 1 },
    circuitBreaker: false,
    bulkhead: { maxConcurrent: 3, maxQueued: 100 },
  })
  const results = await callAll(client)
  const given = results.filter((result, i) => result === CALLERS[i]).length
  // If a connection breaks once more than planned, the call ends with its fallback, also as its caller.
  expect(given + countOf('fallback')).toBe(CALLERS.length)
  expect(given).toBeGreaterThan(CALLERS.length / 2)
  expect([wrongTokens(from), wrongContexts()]).toEqual([[], []])
})

it('the fallback after a time-out runs as its own caller, and so does the next request [F12]', async () => {
  service.answer((response, _, { target }) => {
    const user = userOf(target)
    // Every second call hangs and occupies its slot until it times out.
    if (Number(user.slice(5)) % 2 === 0) late(() => json(response, { user }))
  })
  const from = service.asked.length
  const client = create({
    timeoutMillis: 30_000,
    attemptTimeoutMillis: 50,
    retry: false,
    circuitBreaker: false,
    bulkhead: { maxConcurrent: 5, maxQueued: 100 },
  })
  const results = await callAll(client)
  expect(results.filter((_, i) => i % 2 === 1)).toEqual(Array.from({ length: 20 }, () => 'ERR_SERVICE_TIMEOUT'))
  expect([countOf('fallback') >= 20, wrongTokens(from), wrongContexts()]).toEqual([true, [], []])
})

it('every caller keeps its identity while the circuit opens, half-opens and closes [F12]', async () => {
  service.answer((response) => late(() => response.writeHead(500).end()))
  const changes: unknown[] = []
  const client = create({
    retry: false,
    circuitBreaker: { failureRatio: 0.5, minimumCalls: 5, openMillis: 1 },
    bulkhead: { maxConcurrent: 2, maxQueued: 100 },
    onCircuitChange: ({ state }) => {
      const as = getActiveCredential()?.subject
      changes.push(state)
      seen.push({ where: 'listener', whose: application.getStore() ?? 'nobody', as: [as] })
    },
  })
  const from = service.asked.length
  await callAll(client)
  expect(countOf('fallback')).toBe(CALLERS.length)
  service.answer((response, _, { target }) => json(response, { user: userOf(target) }))
  await expect
    .poll(async () => {
      await callAll(client)
      return changes.at(-1)
    })
    .toBe('closed')
  expect(changes).toContain('half_open')
  expect(countOf('listener')).toBe(changes.length)
  expect([wrongTokens(from), wrongContexts()]).toEqual([[], []])
})

it('the application’s own Authorization overrides the token', async () => {
  service.answer((response, _, { target }) => json(response, { user: userOf(target) }))
  const client = create({ headers: { Authorization: 'Basic b3du' } })
  await runWithToken(tokens.get('user-0') ?? '', () => client.read({ user: 'user-0' }))
  expect(service.asked.at(-1)?.headers.authorization).toBe('Basic b3du')
})
