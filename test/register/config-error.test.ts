/** A wrong configuration ends the program before it begins, in one line; or switches the relay off, when that was asked for. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { ProgramOptions } from '../support/process.ts'
import { complaintsIn, OTEL_LINES, startProgram } from '../support/process.ts'
import { startSink } from '../support/sink.ts'

const MARKER = 'm4rk3r'
const REGISTER = 'otel-token-relay/register'
const GOOD = { TOKEN_RELAY_ISSUER: 'https://id.example', TOKEN_RELAY_AUDIENCE: 'user-service' }

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'otel-token-relay-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

/** Runs a program to its end, which must come by itself. */
async function run(
  program: string,
  options: ProgramOptions,
): Promise<{ code: number | null; out: string; err: string }> {
  await using started = startProgram(program, options)
  const ended = await Promise.race([started.ended, started.report('port').catch(() => started.ended)])
  return { code: ended as number | null, out: started.stdout(), err: started.stderr() }
}

const notStarted = (problem: string): object => ({
  code: 1,
  out: '',
  err: `otel-token-relay: ${problem} (the program was not started)\n`,
})

describe('ends with exit code 1 and one line that names the variable, not its value', () => {
  it.each<readonly [string, Readonly<Record<string, string>>]>([
    ['TOKEN_RELAY_ISSUER: expected the issuer identifier', {}],
    ['TOKEN_RELAY_ISSUER: expected the issuer identifier', { TOKEN_RELAY_AUDIENCE: MARKER }],
    [
      'TOKEN_RELAY_ISSUER: discovery needs an issuer that is an https URL, or http on the loopback interface or with allowCleartext; or give jwksUri or jwks',
      { ...GOOD, TOKEN_RELAY_ISSUER: `http://${MARKER}.example` },
    ],
    [
      'TOKEN_RELAY_AUDIENCE: required: a name, a list of names, or null to accept tokens for any audience',
      { TOKEN_RELAY_ISSUER: `https://${MARKER}.example` },
    ],
    [
      'TOKEN_RELAY_DESTINATIONS: expected scheme://host[:port] without path or userinfo, or system:name',
      { ...GOOD, TOKEN_RELAY_DESTINATIONS: `https://a.example,https://a.example/${MARKER}` },
    ],
    [
      'TOKEN_RELAY_DESTINATIONS: clear text is accepted only on the loopback interface; for other hosts set allowCleartext: true',
      { ...GOOD, TOKEN_RELAY_DESTINATIONS: `http://${MARKER}.example` },
    ],
    [
      'TOKEN_RELAY_ALGORITHMS: expected one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519; none and HMAC are never accepted',
      { ...GOOD, TOKEN_RELAY_ALGORITHMS: 'ES256,HS256' },
    ],
    [
      'TOKEN_RELAY_INGRESS_MODE: expected require, optional, report or off',
      { ...GOOD, TOKEN_RELAY_INGRESS_MODE: MARKER },
    ],
    ['TOKEN_RELAY_MAX_TOKEN_BYTES: expected 256 to 65536 bytes', { ...GOOD, TOKEN_RELAY_MAX_TOKEN_BYTES: MARKER }],
    ['TOKEN_RELAY_FINGERPRINT_KEY: expected at least 16 characters', { ...GOOD, TOKEN_RELAY_FINGERPRINT_KEY: MARKER }],
    ['TOKEN_RELAY_AUDIENCES: is not a variable of otel-token-relay', { ...GOOD, TOKEN_RELAY_AUDIENCES: MARKER }],
    ['TOKEN_RELAY_ON_CONFIG_ERROR: expected exit or disable', { ...GOOD, TOKEN_RELAY_ON_CONFIG_ERROR: MARKER }],
    [
      'TOKEN_RELAY_CONFIG_FILE: the file cannot be read as JSON, or as a module without top-level await',
      { TOKEN_RELAY_CONFIG_FILE: `/${MARKER}.json` },
    ],
  ])('%s', async (problem, env) => {
    const result = await run('service.cjs', { preload: ['--require', REGISTER], env })
    expect(result).toEqual(notStarted(problem))
  })

  it('names the option and the file variable if the mistake is in the file', async () => {
    const options = { issuers: [{ issuer: 'https://id.example', audience: [MARKER, 7] }] }
    const env = { TOKEN_RELAY_CONFIG_FILE: file('wrong.json', JSON.stringify(options)) }
    const { code, out, err } = await run('service.cjs', { preload: ['--require', REGISTER], env })
    expect([code, out]).toEqual([1, ''])
    expect(err).toMatch(/^otel-token-relay: [^\n]+ \(the program was not started\)\n$/)
    expect(err).toContain('issuers[0].audience')
    expect(err).toContain('TOKEN_RELAY_CONFIG_FILE')
    expect(err).not.toContain('TOKEN_RELAY_AUDIENCE')
    expect(err).not.toContain(MARKER)
  })

  it('names the variable if the mistake is in one that replaces an option of the file', async () => {
    const options = { issuers: [{ issuer: 'https://id.example', audience: 'a' }], ingress: { mode: 'require' } }
    const env = {
      TOKEN_RELAY_CONFIG_FILE: file('overlaid.json', JSON.stringify(options)),
      TOKEN_RELAY_INGRESS_MODE: MARKER,
    }
    expect(await run('service.cjs', { preload: ['--require', REGISTER], env })).toEqual(
      notStarted('TOKEN_RELAY_INGRESS_MODE: expected require, optional, report or off'),
    )
  })
})

describe.each(OTEL_LINES)('on %s', (line) => {
  it.each([
    ['--require', 'service.cjs'],
    ['--require', 'service.mjs'],
    ['--import', 'service.cjs'],
    ['--import', 'service.mjs'],
  ])('%s, %s: does not start', async (flag, program) => {
    const env = { TOKEN_RELAY_ISSUER: `https://${MARKER}.example` }
    const result = await run(program, { line, preload: [flag, REGISTER], env })
    const problem = 'TOKEN_RELAY_AUDIENCE: required: a name, a list of names, or null to accept tokens for any audience'
    expect(result).toEqual(notStarted(problem))
  })
})

it('does not start beside auto-instrumentations, in either order', async () => {
  const auto = '@opentelemetry/auto-instrumentations-node/register'
  for (const preload of [
    ['--require', REGISTER, '--require', auto],
    ['--require', auto, '--require', REGISTER],
  ]) {
    const { code, out, err } = await run('service.cjs', { preload, env: {} })
    expect([code, out]).toEqual([1, ''])
    expect(err.trimEnd().split('\n')).toEqual([
      'otel-token-relay: TOKEN_RELAY_ISSUER: expected the issuer identifier (the program was not started)',
    ])
  }
})

describe('beside a relay that was created before', () => {
  const active = 'another token relay is active: preload one, or create one in code'
  const env = { ...GOOD, TOKEN_RELAY_INGRESS_MODE: 'require' }
  const inCode = (ingress?: object): Record<string, string> => {
    const [issuer, audience] = [GOOD.TOKEN_RELAY_ISSUER, GOOD.TOKEN_RELAY_AUDIENCE]
    return { RELAY_OPTIONS: JSON.stringify({ issuers: [{ issuer, audience }], ...(ingress && { ingress }) }) }
  }
  /** Another instance of the same module, as a second copy of the package is one. */
  const again = `${pathToFileURL(createRequire(join(import.meta.dirname, '../otel-3/package.json')).resolve('otel-token-relay/register')).href}?again`
  const changed = (name: string, value: string): string =>
    `data:text/javascript,process.env.${name}=${encodeURIComponent(JSON.stringify(value))}`

  it.each([
    ['of mode off', { mode: 'off' }],
    ['whose gate nothing has put up', undefined],
    ['of the same configuration, made in code', { mode: 'require' }],
  ])('one %s: does not start', async (_, ingress) => {
    const preload = ['--require', './programs/relay-only.cjs', '--require', REGISTER]
    expect(await run('service.cjs', { preload, env: { ...env, ...inCode(ingress) } })).toEqual(notStarted(active))
  })

  it.each([
    ['TOKEN_RELAY_INGRESS_MODE', 'optional'],
    ['TOKEN_RELAY_REQUIRED_SCOPES', 'admin'],
    ['TOKEN_RELAY_AUDIENCE', 'another-service'],
  ])('one that register has made of another %s: does not start', async (name, value) => {
    const preload = ['--import', REGISTER, '--import', changed(name, value), '--import', again]
    expect(await run('service.cjs', { preload, env })).toEqual(notStarted(active))
  })

  it.each([
    ['the same module', REGISTER],
    ['another copy', again],
  ])('one that register has made of the same configuration, by %s: the program is gated', async (_, second) => {
    await using program = startProgram('service.cjs', { preload: ['--import', REGISTER, '--import', second], env })
    const port = await program.report<number>('port')
    expect((await fetch(`http://127.0.0.1:${port}/whoami`)).status).toBe(401)
    expect(complaintsIn(program.stderr())).toEqual([])
  })
})

describe('TOKEN_RELAY_ON_CONFIG_ERROR=disable', () => {
  let issuer: TestIssuer
  beforeAll(async () => {
    issuer = await startIssuer()
  })
  afterAll(() => issuer[Symbol.asyncDispose]())

  it.each(['--require', '--import'])('%s: starts, says that it is disabled, and forwards nothing', async (flag) => {
    await using sink = await startSink()
    const env = {
      TOKEN_RELAY_ON_CONFIG_ERROR: 'disable',
      TOKEN_RELAY_ISSUER: issuer.issuer,
      TOKEN_RELAY_DESTINATIONS: sink.origin,
    }
    await using program = startProgram('service.cjs', { preload: [flag, REGISTER], env })
    const origin = `http://127.0.0.1:${await program.report<number>('port')}`
    const headers = { authorization: `Bearer ${await issuer.token()}` }

    expect(await (await fetch(`${origin}/whoami`)).json()).toEqual({ subject: null, scopes: [] })
    expect(await (await fetch(`${origin}/whoami`, { headers })).json()).toEqual({ subject: null, scopes: [] })
    for (const client of ['fetch', 'undici', 'http']) {
      const url = encodeURIComponent(`${sink.origin}/${client}`)
      const response = await fetch(`${origin}/call?client=${client}&url=${url}`, { headers })
      expect(await response.json()).toEqual({ status: 200, subjectAfter: null })
    }
    expect(sink.received.map(({ target, authorization }) => [target, authorization])).toEqual([
      ['/fetch', []],
      ['/undici', []],
      ['/http', []],
    ])
    expect(issuer.requests).toEqual([])
    expect(program.stderr()).toBe(
      'otel-token-relay: TOKEN_RELAY_AUDIENCE: required: a name, a list of names, or null to accept tokens for any audience (disabled: requests are NOT verified and no token is forwarded)\n',
    )
  })
})

it('a good configuration file starts the program', async () => {
  const options = { issuers: [{ issuer: 'https://id.example', audience: null }] }
  const env = { TOKEN_RELAY_CONFIG_FILE: file('good.cjs', `module.exports = ${JSON.stringify(options)}`) }
  await using program = startProgram('service.cjs', { preload: ['--require', REGISTER], env })
  const port = await program.report<number>('port')
  expect((await fetch(`http://127.0.0.1:${port}/whoami`)).status).toBe(401)
  expect(complaintsIn(program.stderr())).toEqual([])
})
