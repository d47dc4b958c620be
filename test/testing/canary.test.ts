/** G10 Canary mode: finds a token in whatever is exported, printed and thrown, and proves at the exit that there is none. */

import { InMemoryLogRecordExporter, LoggerProvider, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import type { Canary } from '../../src/testing/index.ts'
import { CanaryError, createCanary } from '../../src/testing/index.ts'
import { startProgram } from '../support/process.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const token = signer.token(goodClaims(ISSUER))

describe('in this process', () => {
  let canary: Canary
  let relay: TokenRelay
  beforeEach(() => {
    canary = createCanary()
    relay = createTokenRelay(optionsFor([signer.jwk]))
  })
  afterEach(async () => {
    canary.stop()
    await relay.shutdown()
  })
  const places = (): string[] => canary.report().sightings.map(({ place }) => place)

  it('marks what the relay accepts, and only that by itself', async () => {
    await relay.verify(token)
    const refused = signer.token(goodClaims(ISSUER, { aud: 'another' }))
    await expect(relay.verify(refused)).rejects.toThrow()
    canary.look('answer', { headers: new Map([['x-debug', refused.slice(refused.lastIndexOf('.'))]]) })
    expect(canary.report()).toMatchObject({ tokens: 1, sightings: [] })
    canary.assertUnseen()
    canary.look('answer', { headers: new Map([['x-debug', canary.mark(refused).slice(-40)]]) })
    expect(canary.report().sightings).toEqual([{ place: 'answer', encoding: 'as it is', count: 1 }])
    expect(() => canary.assertUnseen()).toThrow(CanaryError)
  })

  it('proves nothing without a token, and nothing without having looked', async () => {
    canary.look('answer', 'a text')
    expect(() => canary.assertUnseen()).toThrow('no token was marked: nothing is proved')
    canary.stop()
    canary = createCanary()
    canary.mark(token)
    expect(() => canary.assertUnseen()).toThrow('nothing was looked through: nothing is proved')
  })

  it('names places and encodings, and never the token', async () => {
    canary.mark(token)
    canary.look('answer', new Error(`bad header: ${Buffer.from(token).toString('hex')}`))
    canary.look('body', Buffer.from(encodeURIComponent(`{"token":"${token}"}`)))
    const error = (() => {
      try {
        return canary.assertUnseen()
      } catch (thrown) {
        return thrown as CanaryError
      }
    })()
    expect(error).toMatchObject({ name: 'CanaryError' })
    expect(error?.message).toMatch(
      /^pieces of tokens were seen: answer \(hexadecimal, 2 times\), body \(as it is, 1 times\)$/,
    )
    expect(JSON.stringify([error, error?.message])).not.toContain(token.slice(0, 12))
  })

  it.each([false, true])('spans, log records and metrics that are exported, redacted: %s', async (isRedacted) => {
    const redact = <T extends object>(processor: T): T => (isRedacted ? relay.redact(processor) : processor)
    const spans = redact(new SimpleSpanProcessor({ exporter: canary.watch(new InMemorySpanExporter()) }))
    const logs = redact(new SimpleLogRecordProcessor({ exporter: canary.watch(new InMemoryLogRecordExporter()) }))
    await relay.verify(token)
    const span = new TracerProvider({ spanProcessors: [spans] }).getTracer('test').startSpan('GET')
    span.recordException(new Error(`bad header: Bearer ${token}`))
    span.end()
    new LoggerProvider({ processors: [logs] }).getLogger('test').emit({ body: { headers: [`Bearer ${token}`] } })
    expect(canary.report().characters).toMatchObject({ exported: expect.any(Number) })
    expect(places()).toEqual(isRedacted ? [] : ['exported'])
  })

  it('metrics that are exported, which nobody redacts', async () => {
    const exporter = canary.watch(new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE))
    const provider = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter })] })
    provider.getMeter('test').createCounter('calls').add(1, { caller: 'somebody' })
    canary.mark(token)
    await provider.forceFlush()
    expect(places()).toEqual([])
    provider.getMeter('test').createCounter('calls').add(1, { caller: token })
    await provider.forceFlush()
    expect(places()).toEqual(['exported'])
    await provider.shutdown()
  })

  it('gives back what it has taken', () => {
    const { write } = process.stdout
    canary.stop()
    expect(process.stdout.write).not.toBe(write)
    const listeners = process.listenerCount('exit')
    createCanary().stop()
    expect(process.listenerCount('exit')).toBe(listeners)
  })
})

describe('at the exit of a process', () => {
  async function run(...args: string[]): Promise<readonly [code: number | null, line: string | undefined]> {
    await using program = startProgram('canary.cjs', { args })
    const code = await program.ended
    return [
      code,
      program
        .stderr()
        .split('\n')
        .findLast((line) => line.startsWith('otel-token-relay canary: ')),
    ]
  }
  const said = (text: string): string => `otel-token-relay canary: ${text}`

  it('says what was looked through, and that there was nothing', async () => {
    expect(await run()).toEqual([0, expect.stringMatching(/: no piece of 1 tokens in stdout \d+ characters$/)])
  })

  it.each([
    ['print', 1, 'stdout (as it is, 1 times)'],
    ['warn', 1, 'stderr (base64, 1 times)'],
    ['halves', 1, 'stdout (as it is, 1 times)'],
    ['throw', 1, 'thrown (as it is, 2 times)'],
    ['reject', 1, 'thrown (as it is, 1 times)'],
    ['quit', 1, 'stdout (as it is, 1 times)'],
  ])('%s: the exit code is %s', async (way, code, seen) => {
    expect(await run(way)).toEqual([code, said(`pieces of tokens were seen: ${seen}`)])
  })

  it.each(['pieces', 'cut'])('%s: fewer than 12 characters of one segment are no sighting', async (way) => {
    expect(await run(way)).toEqual([0, expect.stringContaining('no piece of 1 tokens')])
  })

  it('proves nothing where no token was there', async () => {
    expect(await run('nobody')).toEqual([1, said('no token was marked: nothing is proved')])
  })

  it('says nothing once it was stopped', async () => {
    expect(await run('stop')).toEqual([0, undefined])
  })
})
