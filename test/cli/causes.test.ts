/** `doctor` against issuers that are broken in one way each: the cause is the one that verification finds. */

import { createServer } from 'node:https'
import { createServer as createTcpServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCertificates } from '../support/certificates.ts'
import type { Answering, FaultyIssuer } from '../support/faulty-issuer.ts'
import { startFaultyIssuer } from '../support/faulty-issuer.ts'
import { close, listen } from '../support/issuer.ts'
import { createSigner } from '../support/signer.ts'
import type { Application } from './command.ts'
import { checksOf, createApplication } from './command.ts'

let faulty: FaultyIssuer
let application: Application
beforeAll(async () => {
  faulty = await startFaultyIssuer()
  application = createApplication()
})
afterAll(async () => {
  application[Symbol.dispose]()
  await faulty[Symbol.asyncDispose]()
})

async function keysOf(env: Readonly<Record<string, string>>) {
  const result = await checksOf(['doctor'], {
    folder: application.folder,
    env: { TOKEN_RELAY_AUDIENCE: 'user-service', ...env },
  })
  expect(result.status).toBe(1)
  return result.find('issuer.keys')
}

const html: Answering = { headers: { 'content-type': 'text/html' }, body: '<html>' }
const metadata = (members: (origin: string) => object): Answering => ({ body: members(faulty.origin) })

describe('discovery', () => {
  it.each<readonly [string, string, () => Answering]>([
    ['404', 'the answer is 404', () => ({ status: 404 })],
    ['a server error', 'the answer has an error status', () => ({ status: 500 })],
    ['HTML', 'not JSON', () => html],
    ['a redirect', 'redirect', () => ({ status: 302, headers: { location: '/elsewhere' } })],
    [
      'another issuer',
      'names? another issuer|name another issuer',
      () => metadata(() => ({ issuer: 'https://secret.example' })),
    ],
    ['a slash more', 'slash', () => metadata((origin) => ({ issuer: `${origin}/` }))],
    ['no jwks_uri', 'no URL of the keys', () => metadata((origin) => ({ issuer: origin }))],
    [
      'keys on another host',
      'on another host',
      () => metadata((origin) => ({ issuer: origin, jwks_uri: 'https://secret.example/keys' })),
    ],
  ])('with %s', async (_, words, answering) => {
    faulty.answer('/.well-known/openid-configuration', answering())
    const [check] = await keysOf({ TOKEN_RELAY_ISSUER: faulty.origin })
    expect(check).toMatchObject({ status: 'finding', text: expect.stringMatching(new RegExp(words)) })
    expect(check?.text).not.toContain('secret.example')
  })
})

it('discovery over https with keys in clear text', async () => {
  const { key, cert, ca } = await createCertificates()
  const server = createServer({ key, cert }, (_, response) => {
    const document = { issuer, jwks_uri: 'http://secret.example/keys' }
    response.setHeader('content-type', 'application/json').end(JSON.stringify(document))
  })
  const issuer = `https://localhost:${await listen(server)}`
  const [check] = await keysOf({ TOKEN_RELAY_ISSUER: issuer, NODE_EXTRA_CA_CERTS: application.write('ca.pem', ca) })
  await close(server)
  expect(check?.text).toContain('is not https')
  expect(check?.text).not.toContain('secret.example')
})

describe('keys', () => {
  const symmetric = { kty: 'oct', k: 'c2VjcmV0', kid: 'secret-kid' }
  const { jwk } = createSigner('ES256')

  it.each<readonly [string, string, Answering]>([
    ['404', 'the answer is 404', { status: 404 }],
    ['that are no key set', 'not a key set', { body: { issuer: 'x' } }],
    ['of which there are none', 'the key set is empty', { body: { keys: [] } }],
    ['that are symmetric', 'only symmetric keys', { body: { keys: [symmetric] } }],
    ['for encryption', 'no key that can be used', { body: { keys: [{ ...jwk, use: 'enc' }] } }],
  ])('%s', async (_, words, answering) => {
    faulty.answer('/keys', answering)
    const [check] = await keysOf({ TOKEN_RELAY_ISSUER: faulty.origin, TOKEN_RELAY_JWKS_URI: `${faulty.origin}/keys` })
    expect(check).toMatchObject({ status: 'finding', text: expect.stringContaining(words) })
    expect(check?.text).not.toContain('secret')
  })

  it('of a server that is not there', async () => {
    const server = createTcpServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { readonly port: number }
    await new Promise((resolve) => server.close(resolve))
    const [check] = await keysOf({ TOKEN_RELAY_ISSUER: `http://127.0.0.1:${port}` })
    expect(check?.text).toContain('the connection is refused')
  })

  it('of a host that is not there', async () => {
    const [check] = await keysOf({ TOKEN_RELAY_ISSUER: 'https://login.invalid' })
    expect(check?.text).toContain('the name of the host is not found')
  })

  it('that do not come in time', async () => {
    faulty.answer('/slow', () => undefined)
    const slow = { TOKEN_RELAY_ISSUER: faulty.origin, TOKEN_RELAY_JWKS_URI: `${faulty.origin}/slow` }
    const [check] = await keysOf({ ...slow, TOKEN_RELAY_KEY_SET_TIMEOUT_MILLIS: '300' })
    expect(check?.text).toContain('no answer within keySet.timeoutMillis')
  })
})
