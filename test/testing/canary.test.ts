/** Canary mode finds a token in all exports, output and errors, or proves at the exit that there is none [G10]. */

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

function nested(value: unknown, levels: number): unknown {
  let outer = value
  for (let level = 0; level < levels; level += 1) outer = { outer }
  return outer
}

describe('a canary in this process', () => {
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

  it('marks only the tokens that the relay accepts automatically', async () => {
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

  it('proves nothing without a token, and nothing without a search', async () => {
    canary.look('answer', 'a text')
    expect(() => canary.assertUnseen()).toThrow('no token was marked: nothing is proved')
    canary.stop()
    canary = createCanary()
    canary.mark(token)
    expect(() => canary.assertUnseen()).toThrow('nothing was searched: nothing is proved')
  })

  it.each<readonly [string, (token: string) => unknown]>([
    ['a list of numbers', (text) => ({ body: [...Buffer.from(text)] })],
    ['numbers by index', (text) => ({ body: { ...Buffer.from(text) } })],
    ['a buffer that was JSON', (text) => JSON.parse(JSON.stringify(Buffer.from(text)))],
    ['numbers of two bytes', (text) => new Uint16Array(Buffer.from(text))],
    ['memory', (text) => new Uint8Array(Buffer.from(text)).buffer],
    ['a list of characters', (text) => [...text]],
    ['a member with an underscore', (text) => ({ attributes: { _authorization: text } })],
    ['a symbol', (text) => ({ [Symbol('header')]: text })],
    ['base64 of UTF-16', (text) => Buffer.from(text, 'utf16le').toString('base64')],
    ['octal digits', (text) => [...Buffer.from(text)].map((byte) => `\\${byte.toString(8)}`).join('')],
    ['five thousand objects in each other', (text) => nested(text, 5_000)],
  ])('finds %s', (_, write) => {
    canary.look('exported', write(canary.mark(token)))
    expect(places()).toContain('exported')
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

  it.each([false, true])('searches exported spans, log records and metrics, redacted: %s', async (isRedacted) => {
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

  it('searches exported metrics, which are not redacted', async () => {
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

  it('restores everything that it replaced', () => {
    const { write } = process.stdout
    canary.stop()
    expect(process.stdout.write).not.toBe(write)
    const listeners = process.listenerCount('exit')
    createCanary().stop()
    expect(process.listenerCount('exit')).toBe(listeners)
  })
})

describe('a canary at the exit of a process', () => {
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

  it('says what it searched, and that it found nothing', async () => {
    expect(await run()).toEqual([0, expect.stringMatching(/: no piece of 1 tokens in stdout \d+ characters$/)])
  })

  it.each([
    ['print', 1, 'stdout (as it is, 1 times)'],
    ['warn', 1, 'stderr (base64, 1 times)'],
    ['halves', 1, 'stdout (as it is, 1 times)'],
    ['throw', 1, 'thrown (as it is, 2 times)'],
    ['reject', 1, 'thrown (as it is, 1 times)'],
    ['quit', 1, 'stdout (as it is, 1 times)'],
    ['end', 1, 'stdout (as it is, 1 times)'],
    ['by descriptor', 1, 'stdout (as it is, 1 times)'],
    ['by descriptor, later', 1, 'stdout (as it is, 1 times)'],
    ['by name', 1, 'stdout (as it is, 1 times)'],
    ['raw', 1, 'stderr (as it is, 1 times)'],
    ['decoded', 1, 'stdout (as it is, 1 times)'],
    ['pino', 1, 'stdout (as it is, 1 times)'],
    ['pino, destination', 1, 'stdout (as it is, 1 times)'],
    ['pino, at the exit', 1, 'stdout (as it is, 1 times)'],
  ])('finds a token in %s, with exit code %s', async (way, code, seen) => {
    expect(await run(way)).toEqual([code, said(`pieces of tokens were seen: ${seen}`)])
  })

  it.each([
    ['character by character', 'as it is'],
    ['a character a line', 'a character a line'],
    ['in pieces', 'as it is'],
    ['base64 in pieces', 'base64'],
  ])('remembers earlier output: %s', async (way, encoding) => {
    const seen = expect.stringContaining(`pieces of tokens were seen: stdout (${encoding}, `)
    expect(await run(way)).toEqual([1, seen])
  })

  it.each([
    ['pino, transport', '1 worker threads'],
    ['worker', '1 worker threads'],
    ['child', '1 child processes'],
  ])('proves nothing if other threads or processes may have printed: %s', async (way, others) => {
    expect(await run(way)).toEqual([1, said(`the output of ${others} was not searched: nothing is proved`)])
    const proof = new RegExp(`no piece of 1 tokens in stdout \\d+ characters, without the output of ${others}$`)
    expect(await run(way, 'reported')).toEqual([0, expect.stringMatching(proof)])
  })

  it('sees the output of a child process that comes through this one', async () => {
    expect(await run('child with pipes')).toEqual([0, expect.stringContaining('no piece of 1 tokens')])
  })

  it.each(['pieces', 'cut'])('ignores fewer than 12 characters of one segment: %s', async (way) => {
    expect(await run(way)).toEqual([0, expect.stringContaining('no piece of 1 tokens')])
  })

  it('proves nothing without a token', async () => {
    expect(await run('nobody')).toEqual([1, said('no token was marked: nothing is proved')])
  })

  it('prints nothing after stop', async () => {
    expect(await run('stop')).toEqual([0, undefined])
  })
})
