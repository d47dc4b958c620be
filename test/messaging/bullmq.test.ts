/**
 * Jobs of BullMQ that share one injected token, and jobs that are attempted again, run as the right caller or not at
 * all.
 */

import { context, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { CompositePropagator, W3CTraceContextPropagator } from '@opentelemetry/core'
import { TracerProvider } from '@opentelemetry/sdk-trace'
import type { Job } from 'bullmq'
import { Queue, Worker } from 'bullmq'
import { BullMQOtel } from 'bullmq-otel'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import { addAsCaller, asCaller } from '../../src/messaging/bullmq.ts'
import { waitFor } from '../support/patience.ts'
import type { RedisServer } from '../support/redis.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { Resources } from '../support/resources.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const tokenOf = (sub: string): string => signer.token(goodClaims(ISSUER, { sub }))
const keys = [{ kid: 'orders-1', secret: randomSecret() }]

describe.runIf(HAS_REDIS)('bullmq', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis()
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    trace.setGlobalTracerProvider(new TracerProvider())
  })
  afterAll(async () => {
    trace.disable()
    context.disable()
    await redis[Symbol.asyncDispose]()
  })

  let relay: TokenRelay
  let resources: Resources
  beforeEach(() => {
    resources = new Resources()
  })
  afterEach(async () => {
    await resources[Symbol.asyncDispose]()
    propagation.disable()
    await relay.shutdown()
  })

  interface Opened {
    readonly queue: Queue
    /** The caller of each job, or the error code. */
    readonly seen: string[]
  }

  /** A queue with `bullmq-otel` on both sides, and a worker that fails each job on its first attempts. */
  async function open(name: string, { maxOpenings = 1, failures = 0 } = {}): Promise<Opened> {
    const sealing = { keys, maxOpenings }
    relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [{ to: `bullmq:${name}` }], sealing })
    propagation.setGlobalPropagator(
      new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), relay.propagator] }),
    )
    const connection = { host: '127.0.0.1', port: redis.port, maxRetriesPerRequest: null }
    const shared = { connection, telemetry: new BullMQOtel({ tracerName: 'test' }) }
    const queue = resources.adopt(new Queue(name, shared), (it) => it.close())
    const seen: string[] = []
    const handler = (job: Job): void => {
      seen.push(getActiveCredential()?.subject ?? 'nobody')
      if (job.attemptsMade < failures) throw new Error('not yet')
    }
    const worker = resources.adopt(new Worker(name, asCaller(handler), shared), (it) => it.close())
    worker.on('failed', (_, { message }) => seen.push(message))
    await worker.waitUntilReady()
    return { queue, seen }
  }

  it('jobs of one bulk share one sealed token, which opens once: one job runs as its caller, the others are rejected [G3, H2]', async () => {
    const { queue, seen } = await open('shared')
    await runWithToken(tokenOf('alice'), () => queue.addBulk([1, 2, 3].map((data) => ({ name: 'ship', data }))))
    await waitFor(() => expect(seen.toSorted()).toEqual(['ERR_TOKEN_SEAL', 'ERR_TOKEN_SEAL', 'alice']))
  })

  it('jobs of one bulk with their own tokens run as their callers, whatever caller adds them [G3]', async () => {
    const { queue, seen } = await open('own')
    const jobs = await Promise.all(
      ['alice', 'bob', 'bob', 'carol'].map((sub) =>
        runWithToken(tokenOf(sub), () => addAsCaller('own', (caller) => ({ name: 'ship', data: sub, opts: caller }))),
      ),
    )
    await runWithToken(tokenOf('mallory'), () => queue.addBulk(jobs))
    await waitFor(() => expect(seen.toSorted()).toEqual(['alice', 'bob', 'bob', 'carol']))
  })

  it.each([
    [3, ['alice', 'not yet', 'alice', 'not yet', 'alice']],
    [2, ['alice', 'not yet', 'alice', 'not yet', 'ERR_TOKEN_SEAL']],
    [1, ['alice', 'not yet', 'ERR_TOKEN_SEAL']],
  ])('a job that is attempted three times opens its token %i times, and fails for good after that [H2, H9]', async (maxOpenings, expected) => {
    const { queue, seen } = await open(`attempts-${maxOpenings}`, { maxOpenings, failures: 2 })
    await runWithToken(tokenOf('alice'), () => queue.add('ship', {}, { attempts: 3 }))
    await waitFor(() => expect(seen).toEqual(expected))
    await waitFor(async () => expect(await queue.getActiveCount()).toBe(0))
    expect(await queue.getFailedCount()).toBe(maxOpenings === 3 ? 0 : 1)
  })

  it.each([
    [2, 'alice'],
    [1, 'ERR_TOKEN_SEAL'],
  ])('a job that is retried after it failed, with %i openings, gets %s [H2, H9]', async (maxOpenings, expected) => {
    const { queue, seen } = await open(`retried-${maxOpenings}`, { maxOpenings, failures: 1 })
    const job = await runWithToken(tokenOf('alice'), () => queue.add('ship', {}))
    await waitFor(() => expect(seen).toEqual(['alice', 'not yet']))
    await waitFor(() => job.retry())
    await waitFor(() => expect(seen).toEqual(['alice', 'not yet', expected]))
  })
})
