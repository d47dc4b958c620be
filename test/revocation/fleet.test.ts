/** Several processes of one service over a real Redis: what one of them is told, all of them know. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Program } from '../support/process.ts'
import { startProgram } from '../support/process.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'
import type { RedisServer } from '../support/redis.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const token = (sid: string): string => signer.token(goodClaims(ISSUER, { sid, jti: crypto.randomUUID() }))
/** Where the bound of the README is one second, a machine that is busy with other things may have some more. */
const eventually = { timeout: 20_000, interval: 5 }

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
    vi.waitFor(async () => {
      const seen = await statusNow(program, bearer, target)
      expect(seen).not.toBe(503)
      return seen
    }, eventually)
  const reaches = (program: Program, bearer: string, expected: number) =>
    vi.waitFor(async () => expect(await statusNow(program, bearer)).toBe(expected), eventually)

  it('C5 a session that was ended in one process is refused in all, remembered tokens included', async () => {
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

  it('C12 a process that starts afterwards never lets it in, not even at first', async () => {
    const first = start()
    const ended = token('session-1')
    await reaches(first, ended, 200)
    expect(await status(first, ended, '/logout')).toBe(200)
    await first[Symbol.asyncDispose]()
    const restarted = start()
    const seen = new Set<number>()
    await vi.waitFor(async () => {
      seen.add(await statusNow(restarted, ended))
      expect(seen).toContain(401)
    }, eventually)
    for (let i = 0; i < 100; i += 1) seen.add(await statusNow(restarted, ended))
    // 503 while it reads the list, 401 ever after.
    expect([...seen].filter((each) => each !== 503)).toEqual([401])
  })

  it('C13 without Redis nobody is let in, and once it is back all is as before', async () => {
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
