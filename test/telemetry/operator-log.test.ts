/** What a new operator reads on standard error: what is in place, and why a request was refused or a token withheld. */

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { LogRecord } from '../../src/index.ts'
import { TOKEN_ERRORS } from '../../src/token/errors.ts'
import { DOCUMENT_CAUSES } from '../../src/verification/document-error.ts'
import { VERSION } from '../../src/version.ts'
import { findToken } from '../support/exports.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Program } from '../support/process.ts'
import { startProgram } from '../support/process.ts'
import { ISSUER, optionsFor, withRelay } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

const PRELOAD = ['--require', 'otel-token-relay/register']
/** In no configuration. */
const MARKER = 'm4rk3r'

let issuer: TestIssuer
let other: TestIssuer
let named: Sink
let unnamed: Sink

beforeAll(async () => {
  issuer = await startIssuer()
  other = await startIssuer()
  named = await startSink()
  unnamed = await startSink()
})
afterAll(async () => {
  await Promise.all([issuer, other, named, unnamed].map((resource) => resource[Symbol.asyncDispose]()))
})

function start(env: Readonly<Record<string, string>> = {}): Program {
  const base = { TOKEN_RELAY_ISSUER: issuer.issuer, TOKEN_RELAY_AUDIENCE: 'user-service' }
  return startProgram('service.cjs', { preload: PRELOAD, env: { ...base, ...env } })
}

async function get(program: Program, authorization?: string, path = '/whoami'): Promise<number> {
  const port = await program.report<number>('port')
  const headers = authorization === undefined ? {} : { authorization }
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers })
  await response.text()
  return response.status
}

/** The lines so far, without the first one. */
function linesOf(program: Program): readonly string[] {
  return program.stderr().split('\n').slice(1, -1)
}

const now = (): number => Math.floor(Date.now() / 1000)

/** What is presented, and the line that explains the answer; `<issuer>` stands for the configured one. */
const REFUSALS: readonly (readonly [what: string, present: () => Promise<string | undefined>, line: string])[] = [
  [
    'no token',
    async () => undefined,
    '401 ERR_TOKEN_MISSING: Authorization has no bearer token, and one is required here',
  ],
  [
    'two words',
    async () => `Bearer ${MARKER} ${MARKER}`,
    '400 ERR_TOKEN_REQUEST: Authorization is not the word Bearer and one token',
  ],
  [
    'an opaque token',
    async () => `Bearer ${MARKER}`,
    '401 ERR_TOKEN_MALFORMED: it is an opaque token, which only an issuer with introspection can verify',
  ],
  [
    'an encrypted token',
    async () => `Bearer ${[1, 2, 3, 4, 5].map(() => MARKER).join('.')}`,
    '401 ERR_TOKEN_MALFORMED: it is an encrypted token (JWE), which only its recipient can read',
  ],
  [
    'a token that is too large',
    async () => `Bearer ${MARKER.repeat(2_000)}`,
    '401 ERR_TOKEN_TOO_LARGE: it is too large, every issuers[].maxTokenBytes is less',
  ],
  [
    'another issuer',
    async () => `Bearer ${await other.token()}`,
    '401 ERR_TOKEN_ISSUER: iss is another value, issuers are "<issuer>"',
  ],
  [
    'the issuer with a slash',
    async () => `Bearer ${await issuer.token({ iss: `${issuer.issuer}/` })}`,
    '401 ERR_TOKEN_ISSUER: iss differs from issuers[0].issuer by its last slash, issuers are "<issuer>"',
  ],
  [
    'another audience',
    async () => `Bearer ${await issuer.token({ aud: MARKER })}`,
    '401 ERR_TOKEN_AUDIENCE: aud is another value, issuers[0].audience accepts "user-service"',
  ],
  [
    'several other audiences',
    async () => `Bearer ${await issuer.token({ aud: [MARKER, 'account'] })}`,
    '401 ERR_TOKEN_AUDIENCE: aud is a list of other values, issuers[0].audience accepts "user-service" (2 of them)',
  ],
  [
    'no audience',
    async () => `Bearer ${await issuer.token({ aud: undefined } as never)}`,
    '401 ERR_TOKEN_CLAIM: aud is absent, issuers[0].audience accepts "user-service"',
  ],
  [
    'no subject',
    async () => `Bearer ${await issuer.token({ sub: undefined } as never)}`,
    '401 ERR_TOKEN_CLAIM: sub is absent, issuers[0].requiredClaims has it',
  ],
  [
    'an expired token',
    async () => `Bearer ${await issuer.token({ iat: now() - 7_300, exp: now() - 7_250 })}`,
    '401 ERR_TOKEN_EXPIRED: exp has passed, issuers[0].clockToleranceSeconds is 5 (2 h ago)',
  ],
  [
    'a token of the future',
    async () => `Bearer ${await issuer.token({ iat: now() + 250, exp: now() + 500 })}`,
    '401 ERR_TOKEN_NOT_YET_VALID: iat is in the future, issuers[0].clockToleranceSeconds is 5 (by 4 min; compare the clocks of issuer and service)',
  ],
  [
    'another type of token',
    async () => `Bearer ${await issuer.token({}, { typ: 'logout+jwt' })}`,
    '401 ERR_TOKEN_TYPE: typ is "logout+jwt", issuers[0].typ accepts <types>',
  ],
  [
    'a type that is not known',
    async () => `Bearer ${await issuer.token({}, { typ: MARKER })}`,
    '401 ERR_TOKEN_TYPE: typ is another value, issuers[0].typ accepts <types>',
  ],
  [
    'another algorithm',
    async () => `Bearer ${forged({ alg: 'HS256', kid: 'ES256-1', typ: 'at+jwt' })}`,
    '401 ERR_TOKEN_ALGORITHM: alg is "HS256", issuers[0].algorithms accepts "RS256", "PS256", "ES256", "EdDSA"',
  ],
  [
    'a key in the token',
    async () => `Bearer ${await issuer.token({}, { jku: `https://${MARKER}.example` })}`,
    '401 ERR_TOKEN_HEADER: the header has "jku"',
  ],
  [
    'an unknown key',
    async () => `Bearer ${await issuer.token({}, { kid: MARKER })}`,
    '401 ERR_TOKEN_KEY: kid is another value (issuers[0] has 1 key)',
  ],
  [
    'a forged signature',
    async () => `Bearer ${forged({ alg: 'ES256', kid: 'ES256-1', typ: 'at+jwt' })}`,
    '401 ERR_TOKEN_SIGNATURE: the signature is wrong (1 key of issuers[0] tried)',
  ],
  [
    'a sender-constrained token',
    async () => `Bearer ${await issuer.token({ cnf: { jkt: MARKER } })}`,
    '401 ERR_TOKEN_BOUND: cnf binds the token to a key (DPoP or mutual TLS)',
  ],
  [
    'a token without a scope',
    async () => `Bearer ${await issuer.token({ scope: `profiles:read ${MARKER}` })}`,
    '403 ERR_TOKEN_SCOPE: it lacks "invoices:read", issuers[0].requiredScopes has "profiles:read", "invoices:read"',
  ],
]

/** A token of the issuer with another signature. */
function forged(header: object): string {
  const claims = { iss: issuer.issuer, sub: MARKER, aud: 'user-service', iat: now(), exp: now() + 300 }
  const parts = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  return [...parts, Buffer.alloc(64, 1).toString('base64url')].join('.')
}

describe('with register and no option of the log', () => {
  it('the first line says what is in place', async () => {
    await using program = start({ TOKEN_RELAY_DESTINATIONS: named.origin })
    await program.report('port')
    await expect
      .poll(() => program.stderr())
      .toBe(
        `otel-token-relay: version ${VERSION}; gate: all servers; ingress.mode: require; issuers: "${issuer.issuer}"; ` +
          'destinations: 1; OpenTelemetry SDK: started; other agents: none\n',
      )
  })

  it('the first line names other agents that are loaded', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'otel-token-relay-'))
    const agents = ['newrelic', '@sentry/node'].map((name) => join(folder, 'node_modules', name, 'index.cjs'))
    for (const file of agents) {
      mkdirSync(join(file, '..'), { recursive: true })
      writeFileSync(file, '')
    }
    const preload = [...agents.flatMap((file) => ['--require', file]), ...PRELOAD]
    const env = { TOKEN_RELAY_ISSUER: issuer.issuer, TOKEN_RELAY_AUDIENCE: 'user-service' }
    await using program = startProgram('service.cjs', { preload, env })
    await program.report('port')
    await expect.poll(() => program.stderr()).toContain('; other agents: newrelic, @sentry/node\n')
    rmSync(folder, { recursive: true })
  })

  it('each first refusal has its reason, and none of the token', async () => {
    await using program = start({ TOKEN_RELAY_REQUIRED_SCOPES: 'profiles:read,invoices:read' })
    const expected: string[] = []
    for (const [what, present, line] of REFUSALS) {
      const status = await get(program, await present())
      expected.push(
        `otel-token-relay: ${line.replace('<issuer>', issuer.issuer).replace('<types>', '"at+jwt", "JWT" or none')}`,
      )
      expect([what, status]).toEqual([what, Number(line.slice(0, 3))])
    }
    await expect.poll(() => linesOf(program).length).toBeGreaterThanOrEqual(expected.length)
    expect(linesOf(program)).toEqual(expected)
    expect(program.stderr()).not.toContain(MARKER)
  })

  it('a token that is withheld names the entry that destinations lacks', async () => {
    await using program = start({ TOKEN_RELAY_DESTINATIONS: named.origin })
    for (let calls = 0; calls < 3; calls += 1) {
      const path = `/call?client=http&url=${encodeURIComponent(`${unnamed.origin}/${MARKER}`)}`
      expect(await get(program, `Bearer ${await issuer.token()}`, path)).toBe(200)
    }
    expect(await get(program)).toBe(401)
    await expect
      .poll(() => linesOf(program))
      .toEqual([
        `otel-token-relay: withheld from "${unnamed.origin}": not_named, no entry of destinations names it`,
        expect.stringContaining('ERR_TOKEN_MISSING'),
      ])
  })
})

describe('the log', () => {
  const records: LogRecord[] = []
  const signer = createSigner()

  beforeEach(() => {
    records.length = 0
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  async function withLog(use: (verify: (token: string) => Promise<void>) => Promise<void>): Promise<void> {
    const telemetry = { log: (record: LogRecord) => void records.push(record) }
    await withRelay({ ...optionsFor([signer.jwk]), telemetry }, async (relay) =>
      use(async (token) => void (await relay.verify(token).catch(() => undefined))),
    )
  }
  const messages = (): readonly (readonly [string, number])[] =>
    records.filter(({ severity }) => severity !== 'info').map(({ message, omitted }) => [message, omitted])

  it('has one line a minute for a flood of one cause, and says how many others there were [H22]', async () => {
    await withLog(async (verify) => {
      for (let i = 0; i < 1_000; i += 1) await verify(`${MARKER}${i}`)
      const line = '401 ERR_TOKEN_MALFORMED: it is an opaque token, which only an issuer with introspection can verify'
      expect(messages()).toEqual([[line, 0]])
      vi.advanceTimersByTime(60_000)
      expect(messages()).toEqual([
        [line, 0],
        [line, 998],
      ])
      await verify(MARKER)
      vi.advanceTimersByTime(60_000)
      expect(messages()).toHaveLength(3)
      vi.advanceTimersByTime(120_000)
      await verify(MARKER)
      expect(messages().map(([, omitted]) => omitted)).toEqual([0, 998, 0, 0])
    })
  })

  it('has one cause for all audiences: a flood of them hides no other line [H22]', async () => {
    await withLog(async (verify) => {
      const claims = { iss: ISSUER, aud: 'user-service', sub: 'alice', iat: now(), exp: now() + 300 }
      for (let i = 0; i < 300; i += 1)
        await verify(signer.token({ ...claims, aud: Array.from({ length: i + 2 }, () => MARKER) }))
      await verify(signer.token({ ...claims, nonce: MARKER }))
      expect(messages().map(([message]) => message.slice(4))).toEqual([
        'ERR_TOKEN_AUDIENCE: aud is a list of other values, issuers[0].audience accepts "user-service" (2 of them)',
        'ERR_TOKEN_TYPE: it has nonce, as ID tokens have',
      ])
    })
  })

  it('has a bound for all causes together, if the application asks for scopes of many names [H22]', async () => {
    const telemetry = { log: (record: LogRecord) => void records.push(record) }
    await withRelay({ ...optionsFor([signer.jwk]), telemetry }, async (relay) => {
      const credential = await relay.verify(signer.token(goodClaims(ISSUER)))
      for (let i = 0; i < 1_000; i += 1) relay.checkScopes(credential, [`scope-${i}`])
    })
    expect(messages().length).toBeLessThan(300)
  })

  it('writes what was left out when the relay is shut down', async () => {
    await withLog(async (verify) => {
      for (let i = 0; i < 3; i += 1) await verify(MARKER)
    })
    expect(messages().map(([, omitted]) => omitted)).toEqual([0, 1])
  })

  it('breaks nothing if the function of the application throws', async () => {
    const telemetry = {
      log: () => {
        throw new Error('a broken logger')
      },
    }
    await withRelay({ ...optionsFor([signer.jwk]), telemetry }, async (relay) => {
      await expect(relay.verify(MARKER)).rejects.toMatchObject({ code: 'ERR_TOKEN_MALFORMED' })
    })
  })

  it('has no line that a value could forge, and none that is longer than a thousand characters [G15]', async () => {
    const audience = [`user\n401 ERR_TOKEN_TYPE: forged\u001b[2J\u2028`, 'x'.repeat(2_000)]
    const telemetry = { log: (record: LogRecord) => void records.push(record) }
    await withRelay({ ...optionsFor([signer.jwk], { audience }), telemetry }, async (relay) => {
      const claims = { iss: ISSUER, aud: MARKER, sub: 'alice', iat: now(), exp: now() + 300 }
      await relay.verify(signer.token(claims)).catch(() => undefined)
    })
    const [[line = ''] = []] = messages()
    expect(line).toContain('user\\u000a401 ERR_TOKEN_TYPE: forged\\u001b[2J\\u2028')
    expect(line).toMatch(/^[ -~]{1,1100}$/)
  })
})

describe('with TOKEN_RELAY_LOG', () => {
  it('off: nothing is written', async () => {
    await using program = start({ TOKEN_RELAY_LOG: 'off' })
    expect(await get(program)).toBe(401)
    await program.stop()
    expect(program.stderr()).toBe('')
  })

  it('decisions, as JSON: each decision is an object with ids of its trace and the fingerprint, and no token [G15]', async () => {
    await using program = start({
      OTEL_TRACES_EXPORTER: 'console',
      TOKEN_RELAY_LOG: 'decisions',
      TOKEN_RELAY_LOG_FORMAT: 'json',
      TOKEN_RELAY_DESTINATIONS: named.origin,
    })
    const token = await issuer.token({ sub: MARKER })
    const path = `/call?client=http&url=${encodeURIComponent(`${named.origin}/${MARKER}`)}`
    expect(await get(program, `Bearer ${token}`, path)).toBe(200)
    expect(await get(program, `Bearer ${await issuer.token({ aud: MARKER })}`)).toBe(401)
    await expect.poll(() => program.stderr().split('\n').length).toBe(5)
    const lines = program.stderr().trim().split('\n')
    const records = lines.map((line) => JSON.parse(line) as LogRecord)
    expect(records.map(({ severity, event }) => [severity, event])).toEqual([
      ['info', 'start'],
      ['info', 'auth.token.verified'],
      ['info', 'auth.token.forwarded'],
      ['warn', 'auth.token.rejected'],
    ])
    const identity = {
      'auth.token.issuer': issuer.issuer,
      'auth.token.fingerprint': expect.stringMatching(/^[\da-f]{16}$/) as string,
      trace_id: expect.stringMatching(/^[\da-f]{32}$/) as string,
      span_id: expect.stringMatching(/^[\da-f]{16}$/) as string,
    }
    for (const { attributes } of records.slice(1)) expect(attributes).toMatchObject(identity)
    expect(records[2]?.attributes).toMatchObject({ 'auth.decision.destination': named.origin })
    expect(findToken(program.stderr(), token)).toBeUndefined()
    expect(program.stderr()).not.toContain(MARKER)
  })

  it.each(['loud', ''])('%j is refused, or means the default', async (value) => {
    await using program = start({ TOKEN_RELAY_LOG: value })
    if (value === '') return void expect(await get(program)).toBe(401)
    expect(await program.ended).toBe(1)
    expect(program.stderr()).toBe(
      'otel-token-relay: TOKEN_RELAY_LOG: expected off, problems, decisions or a function (the program was not started)\n',
    )
  })
})

it('first-401.mjs runs, of docs/start/first-401.md', () => {
  const document = readFileSync(join(import.meta.dirname, '../../docs/start/first-401.md'), 'utf8')
  const [, program = ''] = /```js first-401\.mjs\n([\s\S]*?)```/.exec(document) ?? []
  const code = `${program}\nconsole.log(JSON.stringify([severity, message]))`
  const cwd = join(import.meta.dirname, '../otel-3')
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', code], {
    cwd,
    encoding: 'utf8',
  })
  const line = '401 ERR_TOKEN_MALFORMED: it is an opaque token, which only an issuer with introspection can verify'
  expect([stdout.trim(), stderr]).toEqual([JSON.stringify(['warn', line]), ''])
})

it('docs/start/first-401.md explains every code and every cause, and no others', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/start/first-401.md'), 'utf8')
  const rows = [...text.matchAll(/^\| `(ERR_\w+)` \|/gm)].map(([, code]) => code)
  expect(rows).toEqual(Object.keys(TOKEN_ERRORS))
  const [table = ''] = text.split('## Keys that are not there')[1]?.split('\n## ') ?? []
  const words = [...table.matchAll(/^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \|/gm)].flatMap(([, cell = '']) => cell.split(', '))
  expect(words.toSorted()).toEqual(
    Object.keys(DOCUMENT_CAUSES)
      .map((cause) => `\`${cause}\``)
      .toSorted(),
  )
})
