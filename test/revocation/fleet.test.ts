/** Several processes of one service over a real Redis: what one of them revokes, all of them refuse. */

import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRedisRevocationList } from '../../src/redis/index.ts'
import { waitFor } from '../support/patience.ts'
import type { Program } from '../support/process.ts'
import { startProgram } from '../support/process.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'
import type { RedisServer } from '../support/redis.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const token = (sid: string): string => signer.token(goodClaims(ISSUER, { sid, jti: crypto.randomUUID() }))

describe.runIf(HAS_REDIS)('a fleet', () => {
  let redis: RedisServer
  const fleet: Program[] = []
  beforeEach(async () => {
    redis = await startRedis()
  })
  afterEach(async () => {
    await Promise.all(fleet.splice(0).map((program) => program[Symbol.asyncDispose]()))
    await redis[Symbol.asyncDispose]()
  })

  function start(): Program {
    const env = { REDIS_URL: redis.url, RELAY_OPTIONS: JSON.stringify(optionsFor([signer.jwk])) }
    const program = startProgram('fleet.cjs', { env })
    fleet.push(program)
    return program
  }
  async function statusNow(program: Program, bearer: string, target = '/'): Promise<number> {
    const port = await program.report<number>('port')
    const answer = await exchange(port, requestOf(target, [`Authorization: Bearer ${bearer}`]), () => false)
    return statuses(answer)[0] ?? 0
  }
  /** A process that got no time for a second says 503 until it has asked Redis again. */
  const status = (program: Program, bearer: string, target?: string): Promise<number> =>
    waitFor(async () => {
      const seen = await statusNow(program, bearer, target)
      expect(seen).not.toBe(503)
      return seen
    })
  const reaches = (program: Program, bearer: string, expected: number) =>
    waitFor(async () => expect(await statusNow(program, bearer)).toBe(expected))

  it('a session that was ended in one process is refused in all, remembered tokens included [C5]', async () => {
    const [first, ...others] = [start(), start(), start()] as const
    const [ended, other] = [token('session-1'), token('session-2')]
    for (const program of [first, ...others]) await reaches(program, ended, 200)
    expect(await status(first, ended, '/logout')).toBe(200)
    expect(await status(first, ended)).toBe(401)
    for (const program of others) {
      await reaches(program, ended, 401)
      expect(await status(program, token('session-1'))).toBe(401)
      expect(await status(program, other)).toBe(200)
    }
  })

  it('a subject that is revoked elsewhere is refused with tokens of an issuer whose clock is ahead, too [C5]', async () => {
    const program = start()
    const client = new Redis(redis.url, { lazyConnect: true })
    const elsewhere = createRedisRevocationList({ client })
    const ahead = signer.token(goodClaims(ISSUER, { iat: Math.floor(Date.now() / 1000) + 4 }))
    await reaches(program, ahead, 200)
    const hour = Date.now() + 3_600_000
    await waitFor(() => elsewhere.revoke({ issuer: ISSUER, subject: 'alice', expiresAtMillis: hour }))
    await reaches(program, ahead, 401)
    elsewhere.close()
  })

  it('a process that starts afterwards never lets it in, not even at first [C12]', async () => {
    const first = start()
    const ended = token('session-1')
    await reaches(first, ended, 200)
    expect(await status(first, ended, '/logout')).toBe(200)
    await first[Symbol.asyncDispose]()
    const restarted = start()
    const seen = new Set<number>()
    await waitFor(async () => {
      seen.add(await statusNow(restarted, ended))
      expect(seen).toContain(401)
    })
    for (let i = 0; i < 100; i += 1) seen.add(await statusNow(restarted, ended))
    // 503 while it reads the list, 401 ever after.
    expect([...seen].filter((each) => each !== 503)).toEqual([401])
  })

  it('without Redis no token is accepted, and once it is back all is as before [C13]', async () => {
    const [first, second] = [start(), start()] as const
    const [ended, good] = [token('session-1'), token('session-2')]
    for (const program of [first, second]) await reaches(program, good, 200)
    expect(await status(first, ended, '/logout')).toBe(200)
    await redis.kill()
    for (const program of [first, second]) await reaches(program, good, 503)
    // Empty, as after a crash without persistence: the processes tell it again what they know.
    await redis.restart()
    for (const program of [first, second]) {
      await reaches(program, good, 200)
      await reaches(program, ended, 401)
    }
  })
})
