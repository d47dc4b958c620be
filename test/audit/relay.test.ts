/** H10 H11 A relay with an audit trail: every decision is in it, whoever samples; what cannot be recorded is not done. */

import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { context, DiagLogLevel, diag } from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openAuditTrail } from '../../src/audit/trail.ts'
import { verifyAuditTrail } from '../../src/audit/verify.ts'
import type { AuditLogRecord, AuditOptions, TokenRelayOptions } from '../../src/index.ts'
import { getActiveCredential, runWithToken, setDestination } from '../../src/index.ts'
import { findToken } from '../support/exports.ts'
import { waitFor } from '../support/patience.ts'
import { randomSecret } from '../support/sealing.ts'
import type { Service } from '../support/service.ts'
import { bearer, startService, tokenOf } from '../support/service.ts'

const KEY = 'a key of this test, which is long enough'
let folder: string
let file: string
let service: Service | undefined
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'audited-')), 'trail')
  rmSync(folder, { recursive: true, force: true })
  renameSync(mkdtempSync(`${folder}-`), folder)
  file = join(folder, 'audit.jsonl')
})
afterEach(async () => {
  await service?.[Symbol.asyncDispose]()
  service = undefined
  diag.disable()
  rmSync(join(folder, '..'), { recursive: true, force: true })
})

async function audited(audit: AuditOptions, options: Partial<TokenRelayOptions> = {}): Promise<Service> {
  service = await startService({
    options: { audit, ...options },
    async handler(request, response) {
      if (request.url === '/call') await fetch(`${service?.sink.origin}/sink/x`)
      response.end(`hello ${getActiveCredential()?.subject}`)
    },
  })
  return service
}
const blocking = (): AuditOptions => ({ file, key: KEY, onFailure: 'block' })

interface Line {
  readonly event: string
  readonly traceId?: string
  readonly attributes: Readonly<Record<string, unknown>>
}
const linesOf = (): Line[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line)
const eventsOf = (): string[] => linesOf().map(({ event }) => event)
/** Takes the folder away, as a disk that is gone, and brings it back. */
const breakDisk = (): void => renameSync(folder, `${folder}-away`)
const mendDisk = (): void => renameSync(`${folder}-away`, folder)
const statusOf = (answer: string): number => Number(answer.slice(9, 12))

describe('every decision is in the trail [H11]', () => {
  it('with caller, destination, reason and rule, also without tracing', async () => {
    const { send, sink, relay } = await audited(blocking())
    const token = tokenOf()
    expect(statusOf(await send([bearer(token)], '/call'))).toBe(200)
    expect(statusOf(await send([bearer('a.b.c')]))).toBe(401)
    await runWithToken(token, async () => {
      await fetch(`http://localhost:${sink.port}/sink/other`)
      await relay.revoke({ issuer: 'https://id.example', subject: 'alice', expiresAtMillis: Date.now() + 60_000 })
      await fetch(`${sink.origin}/sink/revoked`)
    })
    await relay.shutdown()

    const lines = linesOf()
    expect(
      lines.map(({ event, attributes }) => [event, attributes['error.type'] ?? attributes['auth.decision.reason']]),
    ).toEqual([
      ['auth.token.verified', undefined],
      ['auth.token.forwarded', undefined],
      ['auth.token.rejected', 'ERR_TOKEN_MALFORMED'],
      ['auth.token.verified', undefined],
      ['auth.token.withheld', 'not_named'],
      ['auth.token.revoked', undefined],
      ['auth.token.withheld', 'revoked'],
    ])
    const [verified, forwarded, , , withheld, revoked] = lines.map(({ attributes }) => attributes)
    const who = {
      'auth.token.fingerprint': expect.stringMatching(/^[\da-f]{16}$/),
      'auth.token.issuer': 'https://id.example',
    }
    const subject = verified?.['auth.token.subject']
    expect(verified).toMatchObject({ ...who, 'auth.token.subject': expect.stringMatching(/^[\da-f]{16}$/) })
    expect(forwarded).toMatchObject({
      ...who,
      'server.address': '127.0.0.1',
      'server.port': sink.port,
      'auth.decision.rule': sink.origin,
      'auth.decision.destination': sink.origin,
    })
    expect(withheld).toMatchObject({ ...who, 'auth.token.subject': subject, 'server.address': 'localhost' })
    expect(revoked).toMatchObject({ 'auth.revocation.kind': 'subject', 'auth.revocation.fingerprint': subject })
    expect(await verifyAuditTrail([file], Buffer.from(KEY))).toMatchObject({ lines: 7, findings: [] })
  })

  it('messages, scopes that are lacking, and checks of the application, too', async () => {
    const sealing = { keys: [{ kid: 'a', secret: randomSecret() }] }
    const { relay, sink } = await audited(blocking(), { sealing, destinations: [{ to: 'kafka:orders' }] })
    const token = tokenOf()
    await runWithToken(token, () =>
      relay.propagator.inject(setDestination(context.active(), 'kafka:orders'), {}, { set: () => undefined }),
    )
    relay.checkScopes(await relay.verify(token), ['nobody:has'])
    await relay.shutdown()
    expect(sink.received).toEqual([])
    expect(eventsOf()).toEqual([
      'auth.token.verified',
      'auth.token.sealed',
      'auth.token.verified',
      'auth.token.rejected',
    ])
    expect(linesOf().at(-1)?.attributes).toMatchObject({
      'error.type': 'ERR_TOKEN_SCOPE',
      'auth.token.fingerprint': expect.any(String),
    })
  })

  it('without tokens and claims, however they are written, and each in its own line', async () => {
    const forged = 'mallory\r\n{"sequence":1,"event":"auth.token.verified"}\u2028","hash":"0'
    const tokens = [
      tokenOf({ sub: forged, jti: forged, sid: forged, scope: forged }),
      tokenOf({ sub: forged, aud: forged }),
    ]
    const { send, relay } = await audited(blocking())
    for (const token of tokens) await send([bearer(token)], '/call')
    await relay.shutdown()
    const text = readFileSync(file, 'latin1')
    expect(eventsOf()).toEqual(['auth.token.verified', 'auth.token.forwarded', 'auth.token.rejected'])
    for (const token of tokens) expect(findToken(text, token)).toBeUndefined()
    expect(text).not.toMatch(/mallory|user-service|\\u2028|[^\n -~]/)
  })

  it('with subjects left out if the options say so', async () => {
    const { send, relay } = await audited({ ...blocking(), subjects: 'omit' })
    await send([bearer(tokenOf())])
    await relay.shutdown()
    expect(linesOf()[0]?.attributes).not.toHaveProperty(['auth.token.subject'])
  })

  it('and goes to a logger of OpenTelemetry, with or without a file', async () => {
    const records: AuditLogRecord[] = []
    const { send } = await audited({ logger: { emit: (record) => void records.push(record) } })
    await send([bearer(tokenOf())])
    await send([])
    expect(records).toMatchObject([
      {
        eventName: 'auth.token.verified',
        severityNumber: 9,
        attributes: { 'auth.token.issuer': 'https://id.example' },
      },
      { eventName: 'auth.token.rejected', attributes: { 'error.type': 'ERR_TOKEN_MISSING' } },
    ])
    expect(existsSync(file)).toBe(false)
  })

  it('which a broken logger does not keep from anything', async () => {
    const emit = (): never => {
      throw new Error('broken')
    }
    const { send, relay } = await audited({ ...blocking(), logger: { emit } })
    expect(statusOf(await send([bearer(tokenOf())]))).toBe(200)
    await relay.shutdown()
    expect(eventsOf()).toEqual(['auth.token.verified'])
  })
})

describe('while the trail cannot be written [H10]', () => {
  it('block admits no caller and sends no token, until the trail can be written again', async () => {
    const { send, sink, relay } = await audited(blocking())
    const token = tokenOf()
    await runWithToken(token, async () => {
      breakDisk()
      const refused = await send([bearer(token)])
      expect(statusOf(refused)).toBe(503)
      expect(refused).toMatch(/retry-after: 1/i)
      expect(relay.ready()).toBe(false)
      await fetch(`${sink.origin}/sink/blocked`)
      expect(relay.explain(sink.origin)).toMatchObject({ verdict: 'withhold', reason: 'audit_failed' })
    })
    await expect(relay.verify(token)).rejects.toMatchObject({ code: 'ERR_TOKEN_AUDIT_UNAVAILABLE', retryable: true })
    expect(sink.received.map(({ authorization }) => authorization)).toEqual([[]])
    expect(statusOf(await send([bearer('a.b.c')]))).toBe(401)

    mendDisk()
    await waitFor(() => expect(relay.ready()).toBe(true))
    expect(statusOf(await send([bearer(token)], '/call'))).toBe(200)
    expect(sink.received.at(-1)?.authorization).toEqual([`Bearer ${token}`])
    await relay.shutdown()
    const resumed = linesOf().find(({ event }) => event === 'auth.audit.resumed')
    expect(resumed?.attributes['auth.audit.lost']).toBeGreaterThan(0)
    expect(await verifyAuditTrail([file], Buffer.from(KEY))).toMatchObject({ findings: [] })
  })

  it('continue admits every caller, and reports the outage once as an error', async () => {
    const errors: string[] = []
    const logger = {
      error: (message: string) => void errors.push(message),
      warn() {},
      info() {},
      debug() {},
      verbose() {},
    }
    diag.setLogger(logger, { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true })
    const { send, sink, relay } = await audited({ ...blocking(), onFailure: 'continue' })
    breakDisk()
    const token = tokenOf()
    for (let i = 0; i < 3; i += 1) expect(statusOf(await send([bearer(token)], '/call'))).toBe(200)
    await waitFor(() => expect(errors).toHaveLength(1))
    expect(errors[0]).toBe('otel-token-relay: the audit trail cannot be written')
    expect(relay.ready()).toBe(true)
    expect(sink.received.map(({ authorization }) => authorization)).toEqual(Array(3).fill([`Bearer ${token}`]))
    mendDisk()
    await waitFor(() => expect(eventsOf()).toContain('auth.audit.resumed'))
    expect(linesOf()[0]?.attributes).toEqual({ 'auth.audit.lost': 6 })
  })
})

describe('a trail is refused at the start', () => {
  const key = 'k'.repeat(32)
  it.each<readonly [string, string, AuditOptions]>([
    ['without a choice', 'audit.onFailure: required with file: block or continue', { file: 'x' }],
    ['with another choice', 'audit.onFailure: expected block or continue', { file: 'x', onFailure: 'ignore' as never }],
    ['with a short key', 'audit.key: expected 32 to 4096 characters', { file: 'x', onFailure: 'block', key: 'short' }],
    [
      'with two keys',
      'audit.keyFile: contradicts key: give one of them',
      { file: 'x', onFailure: 'block', key, keyFile: 'y' },
    ],
    [
      'with no key in the file',
      'audit.keyFile: cannot be read, or holds no key: expected 32 to 4096 characters',
      { file: 'x', onFailure: 'block', keyFile: '/nowhere/secret' },
    ],
    ['with a key for nothing', 'audit.key: needs file', { key }],
    ['with small files', 'audit.maxFileBytes: expected 4096 to 268435456 bytes', { maxFileBytes: 1 }],
    ['with no logger', 'audit.logger: expected a logger of OpenTelemetry', { logger: {} as never }],
    ['in no folder', 'audit.file: cannot be written', { file: '/nowhere/secret/a', onFailure: 'block' }],
  ])('%s', async (_, message, audit) => {
    await expect(audited(audit)).rejects.toMatchObject({ code: 'ERR_RELAY_OPTION', message })
  })

  it('if another relay writes it, or it is something else', async () => {
    writeFileSync(file, 'root:x:0:0\n')
    const problem = 'audit.file: is no audit trail, has another key, or is damaged: verify it, and move it away'
    await expect(audited(blocking())).rejects.toMatchObject({ message: problem })
    rmSync(file)
    writeFileSync(`${file}.lock`, '1')
    const unknown = 'audit.file: is locked by a relay that may still run: remove the file .lock once it has ended'
    await expect(audited(blocking())).rejects.toMatchObject({ message: unknown })
    expect(readdirSync(folder)).toEqual(['audit.jsonl.guard', 'audit.jsonl.lock'])
    rmSync(`${file}.lock`)
    const other = openAuditTrail({ file, maxBytes: 1_000_000, key: Buffer.from(KEY) })
    const held = 'audit.file: another relay writes it: each needs its own file'
    await expect(audited(blocking())).rejects.toMatchObject({ message: held })
    await other.close()
  })
})
