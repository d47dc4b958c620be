/** `doctor` without a program: ten set-ups that are broken in one way each, and one that is not. */

import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCertificates } from '../support/certificates.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import { checksOf, createApplication, runCommand } from './command.ts'

let issuer: TestIssuer
beforeAll(async () => {
  issuer = await startIssuer()
})
afterAll(() => issuer[Symbol.asyncDispose]())

const environment = (more: Readonly<Record<string, string>> = {}) => ({
  TOKEN_RELAY_ISSUER: issuer.issuer,
  TOKEN_RELAY_AUDIENCE: 'user-service',
  TOKEN_RELAY_DESTINATIONS: 'https://profile.internal.example',
  NODE_OPTIONS: '--import=otel-token-relay/register',
  ...more,
})

/** Without the preload, which would start a relay in the doctor itself. */
const quiet = (more: Readonly<Record<string, string>> = {}) => environment({ NODE_OPTIONS: '', ...more })

describe('a sound set-up', () => {
  it('has no findings, in 80 columns without colors', async () => {
    using application = createApplication()
    const { status, stdout, stderr } = await runCommand(['doctor'], {
      folder: application.folder,
      env: environment({ TOKEN_RELAY_LOG: 'off' }),
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('✓ 1 key, found by discovery')
    expect(stdout).toContain('✓ preloaded, in this order: otel-token-relay/register')
    expect(stdout).toContain('No findings.')
    expect(stdout).not.toContain('\u001b')
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
  })

  it('is the same as JSON, in a stable shape', async () => {
    using application = createApplication()
    const { stdout } = await runCommand(['doctor', '--json'], { folder: application.folder, env: quiet() })
    const { version, command, findings, checks } = JSON.parse(stdout) as Record<string, unknown>
    expect({ version, command, findings }).toEqual({ version: 1, command: 'doctor', findings: 0 })
    for (const check of checks as readonly Record<string, unknown>[]) {
      expect(check).toMatchObject({ section: expect.any(String), id: expect.any(String), text: expect.any(String) })
      expect(['ok', 'note', 'finding', 'skipped']).toContain(check['status'])
    }
  })

  it('may be a file', async () => {
    using application = createApplication()
    const file = application.write(
      'relay.json',
      JSON.stringify({ issuers: [{ issuer: issuer.issuer, audience: 'user-service' }], ingress: { mode: 'optional' } }),
    )
    const { status, find } = await checksOf(['doctor', '--config', file], { folder: application.folder })
    expect(status).toBe(0)
    expect(find('configuration.modes')[0]?.text).toContain('ingress.mode is optional')
  })
})

describe('doctor names', () => {
  it('a configuration that is wrong, by its option', async () => {
    using application = createApplication()
    const env = quiet({ TOKEN_RELAY_INGRESS_MODE: 'a secret that was pasted' })
    const { status, find, stdout } = await checksOf(['doctor'], { folder: application.folder, env })
    expect(status).toBe(1)
    expect(find('configuration')).toMatchObject([
      { status: 'finding', text: expect.stringContaining('TOKEN_RELAY_INGRESS_MODE') },
    ])
    expect(stdout).not.toContain('pasted')
  })

  it('no configuration at all', async () => {
    using application = createApplication()
    const { status, find } = await checksOf(['doctor'], { folder: application.folder })
    expect(status).toBe(1)
    expect(find('configuration')).toMatchObject([{ status: 'finding', advice: expect.stringContaining('init') }])
  })

  it('a missing SDK, unless that is meant', async () => {
    using application = createApplication(['@opentelemetry/sdk-node'])
    // What is above the folder counts, too, as it does for `require`.
    const { status, find } = await checksOf(['doctor'], { folder: application.folder, env: quiet() })
    expect(status).toBe(1)
    expect(find('opentelemetry.sdk')).toMatchObject([
      { status: 'finding', text: expect.stringContaining('@opentelemetry/sdk-node not installed') },
    ])
    const meant = await checksOf(['doctor'], { folder: application.folder, env: quiet({ OTEL_SDK_DISABLED: 'true' }) })
    expect(meant.status).toBe(0)
  })

  it('two versions of the API, and where they are', async () => {
    using application = createApplication()
    application.write('node_modules/old/node_modules/@opentelemetry/api/package.json', '{"version":"1.9.0"}')
    const { status, find } = await checksOf(['doctor'], { folder: application.folder, env: quiet() })
    expect(status).toBe(1)
    expect(find('opentelemetry.copies')).toMatchObject([
      { status: 'finding', text: expect.stringContaining('1.9.0 in node_modules/old/node_modules/@opentelemetry/api') },
    ])
  })

  it('copies of one version as no more than a note, and none of another workspace', async () => {
    using application = createApplication()
    using other = createApplication()
    application.write('node_modules/same/node_modules/@opentelemetry/api/package.json', '{"version":"1.10.0"}')
    other.write('node_modules/old/node_modules/@opentelemetry/api/package.json', '{"version":"1.9.0"}')
    application.link('workspace', other.folder)
    const { status, find } = await checksOf(['doctor'], { folder: application.folder, env: quiet() })
    expect(status).toBe(0)
    expect(find('opentelemetry.copies')).toMatchObject([{ status: 'note' }])
  })

  it('a folder in which the package is not installed', async () => {
    using application = createApplication()
    const folder = application.write('elsewhere/package.json', '{}').replace(/package\.json$/, '')
    const inside = await checksOf(['doctor'], { folder, env: quiet() })
    expect(inside.find('relay.version')).toMatchObject([{ status: 'ok' }])
    const outside = await checksOf(['doctor'], { folder: '/', env: quiet() })
    expect(outside.find('relay.version')).toMatchObject([{ status: 'finding' }])
  })

  it.each([
    ['ahead of', 3_600],
    ['behind', -3_600],
  ])('a clock of the issuer that is %s ours', async (words, seconds) => {
    using application = createApplication()
    const server = createServer((_, response) => {
      response.sendDate = false
      response.setHeader('date', new Date(Date.now() + seconds * 1000).toUTCString())
      response.setHeader('content-type', 'application/json').end(JSON.stringify(issuer.jwks))
    })
    const port = await listen(server)
    const env = quiet({ TOKEN_RELAY_JWKS_URI: `http://127.0.0.1:${port}/jwks` })
    const { status, find } = await checksOf(['doctor'], { folder: application.folder, env })
    await close(server)
    expect(status).toBe(1)
    expect(find('issuer.clock')).toMatchObject([
      { status: 'finding', text: expect.stringContaining(`s ${words} the clock here`) },
    ])
    expect(find('issuer.keys')).toMatchObject([{ status: 'ok' }])
  })

  it('a destination of gRPC that is named with http, before it is called', async () => {
    using application = createApplication()
    const env = quiet({ TOKEN_RELAY_DESTINATIONS: 'https://ledger.internal.example:50051' })
    const { find } = await checksOf(['doctor'], { folder: application.folder, env })
    expect(find('configuration.grpc')).toMatchObject([
      { status: 'note', advice: 'for calls of gRPC write grpcs://ledger.internal.example:50051' },
    ])
  })

  it('the other agents, and the order in which they are preloaded', async () => {
    using application = createApplication()
    application.write('node_modules/newrelic/package.json', '{"version":"14.0.0","main":"index.js"}')
    application.write('node_modules/newrelic/index.js', '')
    application.write('node_modules/dd-trace/package.json', '{"version":"6.0.0"}')
    const options = (first: string, second: string) => quiet({ NODE_OPTIONS: `--require ${first} --require=${second}` })
    const run = (first: string, second: string) =>
      checksOf(['doctor'], { folder: application.folder, env: options(first, second) })
    const late = await run('otel-token-relay/register', 'newrelic')
    expect(late.find('agent.newrelic')).toMatchObject([{ text: 'New Relic (newrelic) is preloaded after the relay' }])
    expect(late.find('agent.dd-trace')[0]?.text).toContain('installed and not preloaded')
    const early = await run('newrelic', 'otel-token-relay/register')
    expect(early.find('agent.newrelic')).toMatchObject([{ text: 'New Relic (newrelic) is preloaded before the relay' }])
    expect(early.find('preload.order')[0]?.text).toContain('newrelic, otel-token-relay/register')
  })

  it.each([
    ['a wait that is no time', ['doctor', '--wait', '0']],
    ['no program behind --', ['doctor', '--']],
    ['a program that cannot be started', ['doctor', '--', '/nowhere/program']],
    ['another word', ['doctor', 'service']],
  ])('%s as a mistake: exit code 2', async (_, args) => {
    using application = createApplication()
    const { status, stdout, stderr } = await runCommand(args, { folder: application.folder, env: quiet() })
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/^otel-token-relay: /)
  })
})

describe('an issuer behind a private authority', () => {
  it('is a finding until Node.js trusts the authority', async () => {
    using application = createApplication()
    const { key, cert, ca } = await createCertificates()
    const server = createTlsServer({ key, cert }, (_, response) => {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(issuer.jwks))
    })
    const env = quiet({ TOKEN_RELAY_JWKS_URI: `https://localhost:${await listen(server)}/jwks` })
    const untrusted = await checksOf(['doctor'], { folder: application.folder, env })
    const file = application.write('ca.pem', ca)
    const trusted = await checksOf(['doctor'], {
      folder: application.folder,
      env: { ...env, NODE_EXTRA_CA_CERTS: file },
    })
    await close(server)
    expect(untrusted.find('issuer.keys')).toMatchObject([
      { status: 'finding', text: expect.stringContaining('NODE_EXTRA_CA_CERTS') },
    ])
    expect(trusted.find('issuer.keys')).toMatchObject([{ status: 'ok' }])
  })
})
