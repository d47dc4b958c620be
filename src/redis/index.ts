/** `otel-token-relay/redis`: what the processes of a fleet know together. */

export type { IoredisClient, NodeRedisClient, RedisClient } from './connection.ts'
export type { RedisReplayWindow, RedisReplayWindowOptions } from './replay-window.ts'
export { createRedisReplayWindow } from './replay-window.ts'
export type { RedisRevocationList, RedisRevocationOptions } from './revocation-list.ts'
export { createRedisRevocationList, RevocationStoreError } from './revocation-list.ts'
export type { RedisTokenCache, RedisTokenCacheOptions } from './token-cache.ts'
export { createRedisTokenCache } from './token-cache.ts'
