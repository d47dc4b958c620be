/** A pool drains its queue in the middle of a caller's own code: what it takes out is not that caller's. */

import { createServer } from 'node:http'
import * as undici8 from 'undici'
import * as undici6 from 'undici-6'
import * as undici7 from 'undici-7'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'

const BIG = 'x'.repeat(66_000)
const seen: [string, string | undefined][] = []
const server = createServer((request, response) => {
  seen.push([request.url ?? '', request.headers.authorization])
  response.end(request.url === '/alice' ? BIG : 'ok')
})
let issuer: TestIssuer
let relay: TokenRelay
let origin: string

beforeAll(async () => {
  issuer = await startIssuer()
  origin = `http://127.0.0.1:${await listen(server)}`
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: origin }],
  })
})
afterAll(async () => {
  await relay.shutdown()
  await issuer[Symbol.asyncDispose]()
  await close(server)
})

it.each([
  ['6', undici6 as unknown as typeof undici8],
  ['7', undici7 as unknown as typeof undici8],
  ['8', undici8],
])('undici %s: a body that alice resumes lets bob and carol go, each with their own token [F12]', async (_, undici) => {
  seen.length = 0
  const pool = new undici.Pool(origin, { connections: 1 })
  const agent = new undici.RetryAgent(pool)
  const users = ['alice', 'bob', 'carol']
  const tokens = new Map<string, string>()
  for (const user of users) tokens.set(user, await issuer.token({ sub: user }))
  const as = <T>(user: string, fn: () => T): Promise<Awaited<T>> => runWithToken(tokens.get(user) ?? '', fn)
  const send = (user: string) => agent.request({ path: `/${user}`, method: 'GET' })

  // Nobody reads the body yet, so the only connection stays busy and the others wait in the queue.
  let resume: () => Promise<string> = () => Promise.reject(new Error('too early'))
  await as('alice', async () => {
    const response = await send('alice')
    resume = () => response.body.text()
  })
  const waiting = ['bob', 'carol'].map((user) => as(user, async () => (await send(user)).body.text()))
  await new Promise((resolve) => setImmediate(resolve))
  await as('alice', () => resume())
  await Promise.all(waiting)

  expect(new Map(seen)).toEqual(new Map(users.map((user) => [`/${user}`, `Bearer ${tokens.get(user)}`])))
  await pool.close()
})
