/** `init`: the file that it writes is accepted by the relay, is never overwritten, and says what the issuer needs. */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { FaultyIssuer } from '../support/faulty-issuer.ts'
import { startFaultyIssuer } from '../support/faulty-issuer.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Application } from './command.ts'
import { checksOf, createApplication, runCommand } from './command.ts'

let issuer: TestIssuer
let faulty: FaultyIssuer
let application: Application
beforeAll(async () => {
  issuer = await startIssuer()
  faulty = await startFaultyIssuer()
})
afterAll(async () => {
  await issuer[Symbol.asyncDispose]()
  await faulty[Symbol.asyncDispose]()
})
beforeEach(() => {
  application = createApplication()
})
afterEach(() => application[Symbol.dispose]())

const FILE = 'token-relay.config.mjs'
const run = (...args: readonly string[]) => runCommand(['init', '--yes', ...args], { folder: application.folder })
const written = (file = FILE): string => readFileSync(join(application.folder, file), 'utf8')
async function optionsIn(file = FILE): Promise<Record<string, unknown>> {
  const module = (await import(pathToFileURL(join(application.folder, file)).href)) as { readonly default: object }
  return { ...module.default }
}

describe('init', () => {
  it('writes what doctor and explain accept, and says how to start', async () => {
    const given = ['--issuer', issuer.issuer, '--audience', 'orders', '--destination', 'https://a.example,kafka:orders']
    const { status, stdout, stderr } = await run(...given)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain(`TOKEN_RELAY_CONFIG_FILE=${FILE} \\\n    node --import otel-token-relay/register app.js\n`)
    expect(await optionsIn()).toEqual({
      issuers: [{ issuer: issuer.issuer, audience: 'orders' }],
      destinations: [{ to: 'https://a.example' }, { to: 'kafka:orders' }],
      ingress: { mode: 'require' },
    })
    const config = ['--config', join(application.folder, FILE)]
    expect((await runCommand(['doctor', ...config], { folder: application.folder })).status).toBe(0)
    expect((await runCommand(['explain', 'https://a.example/x', ...config])).status).toBe(0)
  })

  it('writes CommonJS, several audiences and another mode', async () => {
    const given = ['--issuer', issuer.issuer, '--audience', 'orders,bills', '--mode', 'optional', '--file', 'relay.cjs']
    expect((await run(...given)).status).toBe(0)
    expect(await optionsIn('relay.cjs')).toMatchObject({
      issuers: [{ audience: ['orders', 'bills'] }],
      destinations: [],
      ingress: { mode: 'optional' },
    })
  })

  it('overwrites nothing without --force [J3]', async () => {
    application.write(FILE, 'mine')
    const given = ['--issuer', issuer.issuer, '--audience', 'orders']
    expect(await run(...given)).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining('--force') })
    expect(written()).toBe('mine')
    expect((await run(...given, '--force')).status).toBe(0)
    expect(written()).not.toBe('mine')
  })

  it.each([
    ["orders'; process.exit(7); '"],
    ['orders\\'],
    ['orders"\n//'],
    ['$' + '{process.exit(7)}'],
  ])('writes the answer %j as a literal [J2]', async (audience) => {
    expect((await run('--issuer', issuer.issuer, '--audience', audience)).status).toBe(0)
    expect(await optionsIn()).toMatchObject({ issuers: [{ audience: audience.trim() }] })
  })

  it.each([
    ['no issuer', ['--audience', 'a'], '--issuer'],
    ['an issuer that is no URL', ['--issuer', 'keycloak', '--audience', 'a'], '--issuer'],
    ['no audience', ['--issuer', 'http://localhost:9'], '--audience'],
    [
      'a destination with a path',
      ['--issuer', 'http://localhost:9', '--audience', 'a', '--destination', 'https://a.example/x'],
      'destinations[0].to',
    ],
    ['another file', ['--issuer', 'http://localhost:9', '--audience', 'a', '--file', 'relay.json'], '.mjs or .cjs'],
    ['another mode', ['--issuer', 'http://localhost:9', '--audience', 'a', '--mode', 'never'], '--mode'],
  ])('refuses %s, and writes nothing', async (_, args, problem) => {
    expect(await run(...args)).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining(problem) })
    expect(existsSync(join(application.folder, FILE))).toBe(false)
  })

  it('writes the file of an issuer that cannot be reached, and says so', async () => {
    const given = ['init', '--issuer', `${faulty.origin}/nothing`, '--audience', 'orders']
    const { status, find } = await checksOf(given, { folder: application.folder })
    expect(status).toBe(1)
    expect(find('init.metadata')).toMatchObject([
      { status: 'finding', text: expect.stringContaining('the answer is 404') },
    ])
    expect(await optionsIn()).toMatchObject({ issuers: [{ issuer: `${faulty.origin}/nothing` }] })
  })
})

describe('from the metadata of the issuer, init takes', () => {
  const at = (path: string, metadata: object) =>
    faulty.answer(`${path}/.well-known/openid-configuration`, { body: metadata })
  const learn = async (name: string) => {
    const result = await checksOf(['init', '--issuer', name, '--audience', 'orders'], { folder: application.folder })
    const [first] = (await optionsIn())['issuers'] as readonly Record<string, unknown>[]
    return { ...result, written: first }
  }

  it('the spelling of the issuer, to the last slash', async () => {
    at('/slash', { issuer: `${faulty.origin}/slash/`, jwks_uri: `${faulty.origin}/slash/keys` })
    const { written, find } = await learn(`${faulty.origin}/slash`)
    expect(written).toEqual({ issuer: `${faulty.origin}/slash/`, audience: 'orders' })
    expect(find('init.metadata')).toMatchObject([{ status: 'note' }])
  })

  it('keys on another host, and algorithms beside the default', async () => {
    at('/elsewhere', { issuer: `${faulty.origin}/elsewhere`, jwks_uri: 'http://localhost:9/keys' })
    expect((await learn(`${faulty.origin}/elsewhere`)).written).toMatchObject({ jwksUri: 'http://localhost:9/keys' })
    application[Symbol.dispose]()
    application = createApplication()
    at('/algorithms', { issuer: `${faulty.origin}/algorithms`, jwks_uri: `${faulty.origin}/keys` })
    faulty.answer('/keys', { body: { keys: [{ alg: 'RS256' }, { alg: 'ES384' }, { alg: 'HS256' }] } })
    expect((await learn(`${faulty.origin}/algorithms`)).written).toMatchObject({ algorithms: ['RS256', 'ES384'] })
  })

  it('nothing in clear text, and nothing of another issuer [J4]', async () => {
    at('/clear', { issuer: `${faulty.origin}/clear`, jwks_uri: 'http://keys.example/keys' })
    const clear = await learn(`${faulty.origin}/clear`)
    expect(clear.written).toEqual({ issuer: `${faulty.origin}/clear`, audience: 'orders' })
    expect(clear.find('init.metadata')).toMatchObject([{ status: 'finding' }])
    application[Symbol.dispose]()
    application = createApplication()
    at('/other', { issuer: 'https://attacker.example', jwks_uri: 'https://attacker.example/keys' })
    expect((await learn(`${faulty.origin}/other`)).written).toEqual({
      issuer: `${faulty.origin}/other`,
      audience: 'orders',
    })
  })
})

describe('init recognizes', () => {
  const REALM = '/realms/shop'

  it('Keycloak', async () => {
    faulty.answer(`${REALM}/.well-known/openid-configuration`, {
      body: { issuer: `${faulty.origin}${REALM}`, jwks_uri: `${faulty.origin}/keys` },
    })
    const given = ['init', '--issuer', `${faulty.origin}${REALM}`, '--audience', 'orders']
    const { provider, find } = await checksOf(given, { folder: application.folder })
    expect(provider).toBe('Keycloak')
    expect(find('init.provider')[0]?.text).toContain('audience mapper')
    expect(written()).toContain('audience mapper')
    expect(await optionsIn()).toMatchObject({ issuers: [{ roleClaims: ['realm_access.roles'] }] })
  })

  it.each([
    ['https://shop.eu.auth0.com/', 'Auth0'],
    ['https://login.microsoftonline.com/8b5f3c1e-0000-4000-8000-000000000000/v2.0', 'Microsoft Entra ID, v2'],
    ['https://sts.windows.net/8b5f3c1e-0000-4000-8000-000000000000/', 'Microsoft Entra ID, v1'],
    ['https://shop.okta.com/oauth2/default', 'Okta'],
    ['https://login.example/', undefined],
    ['https://shop.auth0.com.attacker.example/', undefined],
  ])('%s as %s', async (name, provider) => {
    // No network: the metadata cannot be read, and the name says enough.
    application.write('offline.mjs', "globalThis.fetch = () => Promise.reject(new TypeError('offline'))")
    const env = { NODE_OPTIONS: `--import=${pathToFileURL(join(application.folder, 'offline.mjs')).href}` }
    const result = await checksOf(['init', '--issuer', name, '--audience', 'orders'], {
      folder: application.folder,
      env,
    })
    expect(result.provider).toBe(provider)
  })

  it('Amazon Cognito, whose access tokens have no audience', async () => {
    application.write('offline.mjs', "globalThis.fetch = () => Promise.reject(new TypeError('offline'))")
    const env = { NODE_OPTIONS: `--import=${pathToFileURL(join(application.folder, 'offline.mjs')).href}` }
    const name = 'https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Abc123'
    const { provider } = await checksOf(['init', '--issuer', name], { folder: application.folder, env })
    expect(provider).toBe('Amazon Cognito')
    expect(await optionsIn()).toMatchObject({
      issuers: [{ audience: null, requiredClaims: ['exp', 'iat', 'sub', 'client_id', 'token_use'] }],
    })
    expect(written()).toContain('claims.client_id')
  })
})
