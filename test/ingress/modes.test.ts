/** Who is let in: modes, public paths, and an issuer that is down. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Program } from '../support/process.ts'
import { startProgram } from '../support/process.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'

let issuer: TestIssuer
beforeAll(async () => {
  issuer = await startIssuer()
})
afterAll(() => issuer[Symbol.asyncDispose]())

function start(env: Readonly<Record<string, string>> = {}): Program {
  return startProgram('service.cjs', {
    preload: ['--require', 'otel-token-relay/register'],
    env: { TOKEN_RELAY_ISSUER: issuer.issuer, TOKEN_RELAY_AUDIENCE: 'user-service', ...env },
  })
}

async function send(program: Program, target: string, token?: string): Promise<string> {
  const fields = token === undefined ? [] : [`Authorization: Bearer ${token}`]
  return exchange(await program.report<number>('port'), requestOf(target, fields), () => false)
}

it('an OpenTelemetry set-up that cannot start costs the spans, and nothing else', async () => {
  const wrong = {
    OTEL_TRACES_EXPORTER: 'otlp',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_EXPORTER_OTLP_ENDPOINT: '::::',
  }
  await using program = start(wrong)
  expect(statuses(await send(program, '/whoami'))).toEqual([401])
  expect(await send(program, '/whoami', await issuer.token())).toContain('"subject":"alice"')
})

it('optional: none is fine, a bad one is not', async () => {
  await using program = start({ TOKEN_RELAY_INGRESS_MODE: 'optional' })
  expect(await send(program, '/whoami')).toContain('"subject":null')
  expect(statuses(await send(program, '/whoami', await issuer.token({ aud: 'another' })))).toEqual([401])
  expect(await send(program, '/whoami', await issuer.token())).toContain('"subject":"alice"')
})

it('off: all pass, and no caller has been verified', async () => {
  await using program = start({ TOKEN_RELAY_INGRESS_MODE: 'off' })
  for (const token of [undefined, 'garbage', await issuer.token()]) {
    expect(await send(program, '/whoami', token)).toContain('"subject":null')
  }
})

it('public paths pass as they are written, and in no other spelling', async () => {
  await using program = start({ TOKEN_RELAY_INGRESS_PUBLIC_PATHS: '/health,/assets/*' })
  for (const target of ['/health', '/health?full=1', '/assets/', '/assets/a', '/assets/a/b.css']) {
    expect(statuses(await send(program, target)), target).toEqual([200])
  }
  for (const target of [
    '/',
    '/Health',
    '/health/',
    '/healthy',
    '//health',
    '/%68ealth',
    '/health;x',
    '/./health',
    '/x/../health',
    'http://service/health',
    '/assets',
    '/assets/../whoami',
    '/assets/..',
    '/assets/%2e%2e/whoami',
    '/assets/..%2fwhoami',
    '/assets//whoami',
    '/assets/..;/whoami',
    '/assets/..\\whoami',
  ]) {
    expect(statuses(await send(program, target)), target).toEqual([401])
  }
})

it('metadata and preflight requests pass where the environment says so', async () => {
  await using program = start({
    TOKEN_RELAY_INGRESS_PROTECTED_RESOURCE_RESOURCE: 'https://user.example/api',
    TOKEN_RELAY_INGRESS_PROTECTED_RESOURCE_SCOPES_SUPPORTED: 'profiles:read,profiles:write',
    TOKEN_RELAY_INGRESS_ALLOW_PREFLIGHT: 'true',
  })
  const metadata = await send(program, '/.well-known/oauth-protected-resource/api')
  expect(JSON.parse(metadata.split('\r\n\r\n')[1] ?? '')).toEqual({
    resource: 'https://user.example/api',
    authorization_servers: [issuer.issuer],
    scopes_supported: ['profiles:read', 'profiles:write'],
    bearer_methods_supported: ['header'],
  })
  expect(await send(program, '/whoami')).toContain(
    'Bearer resource_metadata="https://user.example/.well-known/oauth-protected-resource/api"',
  )
  const preflight = ['Origin: https://app.example', 'Access-Control-Request-Method: GET']
  const port = await program.report<number>('port')
  const passed = await exchange(port, requestOf('/whoami', preflight, { method: 'OPTIONS' }), () => false)
  expect(passed).toContain('"subject":null')
})

it('a public path has no caller, even where a token is sent', async () => {
  await using program = start({ TOKEN_RELAY_INGRESS_PUBLIC_PATHS: '/whoami' })
  expect(await send(program, '/whoami', await issuer.token())).toContain('"subject":null')
})

it('issuer down at start: 503 with Retry-After, and it recovers by itself', async () => {
  issuer.setDown(true)
  await using program = start()
  const token = await issuer.token()
  const refused = await send(program, '/whoami', token)
  expect(statuses(refused)).toEqual([503])
  expect(refused).toMatch(/\r\nretry-after: \d+\r\n/i)
  expect(refused).not.toMatch(/www-authenticate/i)
  issuer.setDown(false)
  await expect.poll(async () => statuses(await send(program, '/whoami', token))).toEqual([200])
})
