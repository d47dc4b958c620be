/** Sealed messages between the relay and programs in Python and Java, as docs/guides/other-languages.md describes them. */

import type { SpanContext } from '@opentelemetry/api'
import { context, propagation, TraceFlags, trace } from '@opentelemetry/api'
import { CompositePropagator, W3CTraceContextPropagator } from '@opentelemetry/core'
import { Redis } from 'ioredis'
import type { JWK } from 'jose'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import { consume, produce } from '../../src/messaging/index.ts'
import { createRedisReplayWindow } from '../../src/redis/index.ts'
import { readBlocks, readDocument } from '../docs/markdown.ts'
import type { Vectors } from '../sealing/vectors.ts'
import { VECTORS_FILE } from '../sealing/vectors.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { startRedis } from '../support/redis.ts'
import { Resources } from '../support/resources.ts'
import type { ForeignMessage, ForeignPrograms } from './sealing/foreign-programs.ts'
import { prepareJava, preparePython } from './sealing/foreign-programs.ts'

type SealingOptions = NonNullable<Parameters<typeof createTokenRelay>[0]['sealing']>

const vectors = JSON.parse(readDocument(VECTORS_FILE)) as Vectors
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const TRACEPARENT = `00-${TRACE}-b7ad6b7169203331-01`
const SPAN: SpanContext = { traceId: TRACE, spanId: 'b7ad6b7169203331', traceFlags: TraceFlags.SAMPLED }
const [secretKey, p256Key, x25519Key] = vectors.keys as unknown as readonly [JWK, JWK, JWK]

const blocks = ['docs/guides/other-languages.md', 'docs/guides/other-languages-programs.md'].flatMap((page) =>
  readBlocks(readDocument(page)),
)

let issuer: TestIssuer
beforeAll(async () => {
  issuer = await startIssuer()
})
afterAll(() => issuer[Symbol.asyncDispose]())
beforeEach(() => propagation.disable())

interface Service extends AsyncDisposable {
  /** A message that the relay has sealed, with the key `kid`, for alice. */
  readonly send: (token: string) => Promise<ForeignMessage>
  /** The subject of its caller, or the code of the error. */
  readonly receive: (message: ForeignMessage) => Promise<unknown>
}

/** A service with the relay, whose first key is `keys[0]`. */
function startService(keys: readonly JWK[], sealing: SealingOptions = {}): Service {
  const relay: TokenRelay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: 'kafka:orders' }],
    telemetry: { log: 'off' },
    sealing: {
      ...sealing,
      keys: keys.map(({ kid = '', ...key }) =>
        key.kty === 'oct' ? { kid, secret: String(key.k) } : { kid, jwk: key },
      ),
    },
  })
  propagation.setGlobalPropagator(
    new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), relay.propagator] }),
  )
  return {
    send: (token) =>
      runWithToken(token, () =>
        context.with(trace.setSpanContext(context.active(), SPAN), () =>
          produce('kafka:orders', (headers) => ({ ...headers, source: 'kafka:orders' }) as unknown as ForeignMessage),
        ),
      ),
    async receive({ source, authorization, traceparent }) {
      const headers = { authorization, ...(traceparent === undefined ? {} : { traceparent }) }
      const consumed = await consume({ source, headers }, () => getActiveCredential()?.subject)
      return consumed.verdict === 'handled' ? consumed.result : consumed.error.code
    },
    async [Symbol.asyncDispose]() {
      propagation.disable()
      await relay.shutdown()
    },
  }
}

function publicPart({ d: _, ...members }: JWK): JWK {
  return members
}

interface Language {
  readonly name: string
  readonly prepare: typeof preparePython
  readonly keys: readonly JWK[]
}

const LANGUAGES: readonly Language[] = [
  { name: 'Python', prepare: preparePython, keys: [secretKey, p256Key, x25519Key] },
  // Nimbus needs another library for X25519.
  { name: 'Java', prepare: prepareJava, keys: [secretKey, p256Key] },
]

it('the pages have no block that no program runs', () => {
  const files = ['count.lua', 'counting.py', 'opening.py', 'sealing.py', 'Sealed.java']
  expect(blocks.map(({ file }) => file)).toEqual(files)
})

describe.each(LANGUAGES)('$name', ({ prepare, keys }) => {
  let programs: ForeignPrograms
  beforeAll(() => {
    programs = prepare(blocks)
  })
  afterAll(() => programs[Symbol.dispose]())

  it('opens the good vectors, and refuses the wrong ones', () => {
    const names = new Map(keys.map((key) => [key.crv ?? 'secret', key]))
    const good = vectors.good.filter(({ name }) => names.has('X25519') || !name.includes('X25519'))
    const { opened } = programs.run({ keys, messages: [...good, ...vectors.wrong] })
    const seen = [...good, ...vectors.wrong].map(({ name }, i) => [name, opened[i]])
    expect(seen).toEqual([
      ...good.map(({ name }) => [name, vectors.token]),
      ...vectors.wrong.map(({ name }) => [name, 'refused']),
    ])
  })

  it('opens what the relay seals', async () => {
    const token = await issuer.token()
    for (const key of keys) {
      await using service = startService([publicPart(key)])
      const message = await service.send(token)
      expect(message.traceparent).toContain(TRACE)
      expect(programs.run({ keys, messages: [message] }).opened).toEqual([token])
    }
  })

  it('seals what the relay opens, once, for its queue and trace', async () => {
    const token = await issuer.token()
    const claims = decodeJwt(token)
    const about = { token, token_exp: claims.exp ?? 0, destination: 'kafka:orders', producer: 'spring-service' }
    for (const key of keys) {
      await using service = startService([key])
      const sealing = { ...about, trace: TRACE, key: publicPart(key) }
      const { sealed } = programs.run({ seal: [sealing, { ...sealing, trace: null }, sealing] })
      const [first = '', untraced = '', other = ''] = sealed
      const message = { source: 'kafka:orders', traceparent: TRACEPARENT }
      expect(await service.receive({ ...message, authorization: first })).toBe('alice')
      expect(await service.receive({ ...message, authorization: first })).toBe('ERR_TOKEN_SEAL')
      expect(await service.receive({ source: 'kafka:orders', authorization: untraced })).toBe('alice')
      expect(await service.receive({ source: 'kafka:orders', authorization: other })).toBe('ERR_TOKEN_SEAL')
    }
  })
})

describe('openings that Python and the relay count in one Redis', () => {
  it.each([
    ['Python opens first', true],
    ['the relay opens first', false],
  ])('%s', async (_, pythonIsFirst) => {
    await using resources = new Resources()
    const redis = resources.use(await startRedis())
    using programs = preparePython(blocks)
    const client = new Redis(redis.url, { lazyConnect: true })
    const replayWindow = createRedisReplayWindow({ client, timeoutMillis: 30_000 })
    await using service = startService([secretKey], { replayWindow })
    const message = await service.send(await issuer.token())
    const sealed = message.authorization.split(' ')[1] ?? ''
    const { kid = '' } = secretKey
    const exp = (JSON.parse(Buffer.from(sealed.split('.')[0] ?? '', 'base64url').toString()) as { exp: number }).exp
    const count = () => programs.run({ count: [{ url: redis.url, kid, sealed, exp }] }).counted

    if (pythonIsFirst) expect(count()).toEqual([1])
    expect(await service.receive(message)).toBe(pythonIsFirst ? 'ERR_TOKEN_SEAL' : 'alice')
    expect(count()).toEqual([pythonIsFirst ? 3 : 2])
    replayWindow.close()
    client.disconnect()
  })
})
