/** Several processes of one service: the issuer is asked once for all of them, and Redis holds no token. */

import { Redis } from 'ioredis'
import { decodeJwt } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createCanaries } from '../../src/testing/pieces.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { waitFor } from '../support/patience.ts'
import { startProgram } from '../support/process.ts'
import type { RedisServer } from '../support/redis.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import { Resources } from '../support/resources.ts'
import { randomSecret } from '../support/sealing.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'
import type { TokenEndpoint } from '../support/token-endpoint.ts'
import { startTokenEndpoint } from '../support/token-endpoint.ts'

const PROCESSES = 4
const CALLS = 25

interface Caller {
  readonly name: string
  readonly token: string
}

describe.runIf(HAS_REDIS)('a fleet', () => {
  let [issuer, endpoint, sink, redis]: [TestIssuer?, TokenEndpoint?, Sink?, RedisServer?] = []
  beforeEach(async () => {
    issuer = await startIssuer()
    endpoint = await startTokenEndpoint(issuer)
    sink = await startSink()
    redis = await startRedis()
  })
  afterEach(() => Promise.all([issuer, endpoint, sink, redis].map((each) => each?.[Symbol.asyncDispose]())))

  const caller = async (name: string, claims = {}): Promise<Caller> => ({
    name,
    token: (await issuer?.token({ sub: name, ...claims })) ?? '',
  })

  function environment(callers: readonly Caller[]): Record<string, string> {
    const exchange = { tokenEndpoint: endpoint?.url, clientId: 'user-service', clientSecret: 'secret' }
    const options = {
      issuers: [{ issuer: issuer?.issuer, audience: 'user-service', exchange }],
      destinations: [{ to: sink?.origin, exchange: { audience: 'billing' } }],
      sealing: { keys: [{ kid: 'cache-1', secret: randomSecret() }] },
    }
    return {
      REDIS_URL: redis?.url ?? '',
      RELAY_OPTIONS: JSON.stringify(options),
      CALLERS: JSON.stringify(callers),
      CALLS: String(CALLS),
      SINK: sink?.origin ?? '',
    }
  }

  /** The tokens with which the calls of each caller arrived. */
  async function run(callers: readonly Caller[]): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
    const env = environment(callers)
    await using programs = new Resources()
    const fleet = Array.from({ length: PROCESSES }, () => programs.use(startProgram('cache.cjs', { env })))
    await Promise.all(fleet.map((program) => program.report('ready')))
    await Promise.all(fleet.map((program) => program.ask('called')))
    const received = sink?.received ?? []
    expect(received).toHaveLength(PROCESSES * CALLS)
    const of = (name: string) => received.filter(({ target }) => target === `/${name}`)
    return new Map(
      callers.map(({ name }) => [name, new Set(of(name).map(({ authorization }) => authorization.join().slice(7)))]),
    )
  }

  it('of 4 processes with 25 callers of one token costs one exchange [F16]', async () => {
    const tokens = await run([await caller('alice')])
    expect(endpoint?.requests).toHaveLength(1)
    expect([...(tokens.get('alice') ?? [])].map((token) => decodeJwt(token).aud)).toEqual(['billing'])
  })

  it('costs one exchange per token: neither two subjects nor two sessions of one share [F16]', async () => {
    const callers = await Promise.all([caller('alice'), caller('bob'), caller('bob-again', { sub: 'bob' })])
    const tokens = await run(callers)
    expect(endpoint?.requests).toHaveLength(3)
    const sent = callers.map(({ name }) => [...(tokens.get(name) ?? [])])
    expect(sent.map((each) => each.map((token) => decodeJwt(token).sub))).toEqual([['alice'], ['bob'], ['bob']])
    expect(new Set(sent.flat()).size).toBe(3)
  })

  it('leaves no piece of a token in Redis, however it is read [G5, H8]', async () => {
    const callers = await Promise.all(['first', 'second'].map((name) => caller(`${name}-marked-subject-of-a-token`)))
    const canaries = createCanaries()
    const tokens = await run(callers)
    for (const { name, token } of callers) {
      for (const each of [token, ...(tokens.get(name) ?? [])]) canaries.add(each, name)
    }
    await using kept = await keptIn(redis?.url ?? '')
    const { values } = kept
    expect(values).toHaveLength(2)
    for (const value of values) expect(outsideOf(value)).toEqual(OUTSIDE)
    const found = async () => {
      const texts = Object.entries((await redis?.stored()) ?? {})
      // The test above covers what stands on the outside: its times are those of the token.
      const inside = (text: string) => values.reduce((rest, value) => rest.replaceAll(headerOf(value), ''), text)
      for (const [how, text] of texts) expect([how, values.every((value) => text.includes(value))]).toEqual([how, true])
      return Object.fromEntries(texts.map(([how, text]) => [how, canaries.find(inside(text)) !== undefined]))
    }
    expect(await found()).toEqual({ values: false, dumps: false, file: false })
    // The search finds what it looks for: one that is deliberately not sealed, and in pieces.
    const [, payload = ''] = callers[0]?.token.split('.') ?? []
    await kept.client.set('not sealed', `x${Buffer.from(payload.slice(20, 40)).toString('hex')}y`)
    expect(await found()).toEqual({ values: true, dumps: true, file: true })
  })
})

/** What can be read of a kept token without the key, by name and kind. */
const OUTSIDE = {
  alg: 'A256KW',
  enc: 'A256GCM',
  kid: 'cache-1',
  typ: 'token-relay+jwe',
  iss: 'user-service',
  aud: expect.stringMatching(/^exchanged:[\w-]{43}$/),
  jti: expect.stringMatching(/^[\da-f-]{36}$/),
  iat: expect.any(Number),
  exp: expect.any(Number),
}

const headerOf = (value: string): string => value.split('.')[0] ?? ''
const outsideOf = (value: string): unknown => JSON.parse(Buffer.from(headerOf(value), 'base64url').toString())

async function keptIn(url: string) {
  const client = new Redis(url)
  // No request waits until a token is stored.
  const keys = await waitFor(async () => {
    const found = await client.keys('*:exchanged:*')
    expect(found.filter((key) => key.endsWith(':asking'))).toEqual([])
    return found
  })
  const values = (await Promise.all(keys.map((key) => client.get(key)))).map(String)
  return { client, values, [Symbol.asyncDispose]: async () => void (await client.quit()) }
}
