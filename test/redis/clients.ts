/** The two clients of Redis that are understood, quick to connect again. */

import { Redis } from 'ioredis'
import { createClient } from 'redis'
import type { RedisClient } from '../../src/redis/index.ts'

export const CLIENTS: readonly (readonly [name: string, clientFor: (url: string) => RedisClient])[] = [
  ['ioredis', (url) => new Redis(url, { lazyConnect: true, retryStrategy: () => 50 })],
  ['redis', (url) => createClient({ url, socket: { reconnectStrategy: () => 50 } })],
]
