/** What everything that is shared through Redis is told. */

import type { RedisClient } from './connection.ts'

export const PREFIX = 'otel-token-relay'

/** Throws a TypeError for what is no client, or no prefix. */
export function checkPlace(client: RedisClient, prefix: string): void {
  if (typeof client?.duplicate !== 'function') throw new TypeError('client: expected a client of ioredis or redis')
  if (typeof prefix !== 'string' || prefix === '') throw new TypeError('prefix: expected a text')
}

/** Throws a TypeError for a number that is not within its limits. */
export function checkMillis(name: string, value: number, min: number, max = 60_000): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new TypeError(`${name}: expected ${min} to ${max} whole milliseconds`)
}
