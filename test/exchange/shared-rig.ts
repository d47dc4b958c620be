/** A rig whose relay can be replaced by another process's: with an empty memory, and the same cache on a real Redis. */

import { Redis } from 'ioredis'
import type { RedisTokenCache } from '../../src/redis/index.ts'
import { createRedisTokenCache } from '../../src/redis/index.ts'
import type { RelayChanges, Rig } from '../support/exchange-rig.ts'
import { outcome, startRig } from '../support/exchange-rig.ts'
import type { RecordedMetrics } from '../support/metrics.ts'
import { recordMetrics } from '../support/metrics.ts'
import { waitFor } from '../support/patience.ts'
import type { RedisServer } from '../support/redis.ts'
import { startRedis } from '../support/redis.ts'
import { Resources } from '../support/resources.ts'
import { randomSecret } from '../support/sealing.ts'

export interface SharedRig extends AsyncDisposable {
  readonly rig: Rig
  readonly redis: RedisServer
  readonly direct: Redis
  readonly cache: RedisTokenCache
  readonly key: { readonly kid: string; readonly secret: string }
  readonly asked: () => number
  /** Goes on as another process of the service, which remembers nothing. */
  another(changes?: RelayChanges): Promise<void>
  /** Prepares a call as the subject of `token`, and resolves with how that ended. */
  prepare(token: string): Promise<unknown>
  /** The keys of what is kept, once there are `count`. */
  kept(count: number): Promise<readonly string[]>
  /** How often each outcome was counted since the last time, with the code of an error. */
  outcomes(): Promise<Readonly<Record<string, number>>>
  clear(): Promise<void>
}

export async function startSharedRig(timeoutMillis = 10_000): Promise<SharedRig> {
  await using resources = new Resources()
  const redis = resources.use(await startRedis())
  const direct = new Redis(redis.url, { retryStrategy: () => 50 }).on('error', () => undefined)
  resources.defer(() => direct.disconnect())
  const client = new Redis(redis.url, { lazyConnect: true, retryStrategy: () => 50 })
  const cache = createRedisTokenCache({ client, timeoutMillis, waitMillis: 0 })
  resources.defer(() => cache.close())
  const key = { kid: 'cache-1', secret: randomSecret() }
  const shared = { exchange: { sharedCache: cache }, relay: { sealing: { keys: [key] } } }
  const rig = resources.use(await startRig(shared))
  const metrics: RecordedMetrics = resources.use(recordMetrics())
  const moved = resources.move()
  let before: Record<string, number> = {}

  const sharedRig: SharedRig = {
    rig,
    redis,
    direct,
    cache,
    key,
    asked: () => rig.endpoint.requests.length,
    async another({ exchange, relay, issuer, ...changes } = {}) {
      await rig.relayWith({
        ...changes,
        exchange: { ...shared.exchange, ...exchange },
        // Without a request for the keys of the issuer.
        issuer: { jwks: rig.issuer.jwks, ...issuer },
        relay: { ...shared.relay, ...relay },
      })
    },
    prepare: (token) => rig.as(token, () => outcome(rig.relay.prepare(rig.sink.origin))),
    kept: (count) =>
      waitFor(async () => {
        const keys = await direct.keys('*:exchanged:*')
        if (keys.length !== count || keys.some((name) => name.endsWith(':asking'))) throw new Error(keys.join())
        return keys
      }),
    async outcomes() {
      const now: Record<string, number> = {}
      for (const [attributes, value] of await metrics.values('auth.exchange.cache')) {
        const { 'auth.exchange.cache.outcome': name, 'error.type': code } = attributes as Record<string, string>
        now[code === undefined ? `${name}` : `${name} ${code}`] = value as number
      }
      const added = Object.entries(now).map(([name, value]) => [name, value - (before[name] ?? 0)] as const)
      before = now
      return Object.fromEntries(added.filter(([, value]) => value > 0))
    },
    async clear() {
      await direct.flushall()
      rig.endpoint.requests.length = 0
      rig.endpoint.answer = {}
      rig.sink.clear()
      await sharedRig.another()
      await sharedRig.outcomes()
    },
    [Symbol.asyncDispose]: () => moved[Symbol.asyncDispose](),
  }
  return sharedRig
}
