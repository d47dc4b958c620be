/** What a service says about itself to clients that have no token yet (RFC 9728). */

import http2 from 'node:http2'
import { afterEach, describe, expect, it } from 'vitest'
import type { ProtectedResourceOptions, TokenRelayOptions } from '../../src/index.ts'
import { listen } from '../support/issuer.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'
import { ISSUER } from '../support/relay.ts'
import type { Service } from '../support/service.ts'
import { bearer, startService, tokenOf } from '../support/service.ts'

const PATH = '/.well-known/oauth-protected-resource'
let service: Service
let handled: string[] = []

async function start(protectedResource: ProtectedResourceOptions, ingress: TokenRelayOptions['ingress'] = {}) {
  handled = []
  service = await startService({
    options: { ingress: { protectedResource, ...ingress } },
    handler: ({ url = '' }, response) => {
      handled.push(url)
      response.end('handled')
    },
  })
}
afterEach(() => service[Symbol.asyncDispose]())

const bodyOf = (answer: string): unknown => JSON.parse(answer.split('\r\n\r\n')[1] ?? '')
const send = (target: string, method = 'GET', fields: readonly string[] = []): Promise<string> =>
  exchange(service.port, requestOf(target, fields, { method }), () => false)

describe('is served', () => {
  it('without a token, with what was configured', async () => {
    await start({ resource: 'https://user.example', scopesSupported: ['profiles:read', 'profiles:write'] })
    const answer = await send(PATH)
    expect(statuses(answer)).toEqual([200])
    expect(answer).toMatch(/\r\ncontent-type: application\/json\r\n/i)
    expect(bodyOf(answer)).toEqual({
      resource: 'https://user.example',
      authorization_servers: [ISSUER],
      scopes_supported: ['profiles:read', 'profiles:write'],
      bearer_methods_supported: ['header'],
    })
    expect(await send(`${PATH}?x`)).toContain('"resource":"https://user.example"')
    expect(handled).toEqual([])
  })

  it('to HEAD, as its fields alone', async () => {
    await start({ resource: 'https://user.example' })
    const [get, head] = [await send(PATH), await send(PATH, 'HEAD')]
    const fieldsOf = (answer: string): string => (answer.split('\r\n\r\n')[0] ?? '').replace(/\r\nDate: [^\r]*/i, '')
    expect(fieldsOf(head)).toBe(fieldsOf(get))
    expect(head.split('\r\n\r\n')[1]).toBe('')
    service.server.on('upgrade', (_, socket) => socket.end('handled'))
    const upgrade = await send(PATH, 'HEAD', ['Connection: Upgrade', 'Upgrade: test'])
    expect(statuses(upgrade)).toEqual([200])
    expect(upgrade.split('\r\n\r\n')[1]).toBe('')
  })

  it.each([
    ['https://user.example/', PATH],
    ['https://user.example/api', `${PATH}/api`],
    ['https://user.example/api/', `${PATH}/api/`],
    ['https://user.example:8443/a/b', `${PATH}/a/b`],
    ['http://localhost:3000/api', `${PATH}/api`],
  ])('with the well-known path between host and path (§3.1): %s', async (resource, path) => {
    await start({ resource })
    expect(bodyOf(await send(path))).toMatchObject({ resource })
    const { origin } = new URL(resource)
    expect(await send('/')).toContain(`\r\nwww-authenticate: Bearer resource_metadata="${origin}${path}"\r\n`)
  })

  it.each(['require', 'optional', 'off'] as const)('in mode %s', async (mode) => {
    await start({ resource: 'https://user.example' }, { mode })
    expect(bodyOf(await send(PATH))).toMatchObject({ resource: 'https://user.example' })
  })

  it('over HTTP/2', async () => {
    await start({ resource: 'https://user.example' })
    const server = http2.createServer((_, response) => response.end('handled'))
    const session = http2.connect(`http://127.0.0.1:${await listen(server as never)}`)
    try {
      const stream = session.request({ ':path': PATH })
      let body = ''
      for await (const chunk of stream) body += chunk
      expect(JSON.parse(body)).toMatchObject({ resource: 'https://user.example' })
    } finally {
      session.destroy()
      await new Promise((resolve) => server.close(resolve))
    }
  })
})

describe('is not served', () => {
  it.each([
    ['POST', PATH],
    ['DELETE', PATH],
    ['OPTIONS', PATH],
    ['GET', `${PATH}/`],
    ['GET', `${PATH}/api/x`],
    ['GET', `/.well-known/oauth-protected-resource-x`],
    ['GET', `/x/..${PATH}`],
    ['GET', `/${PATH}`],
    ['GET', PATH.toUpperCase()],
    ['GET', `http://user.example${PATH}`],
    ['GET', PATH.replace('well', '%77ell')],
  ])('%s %s: needs a token as ever', async (method, target) => {
    await start({ resource: 'https://user.example' })
    expect(statuses(await send(target, method))).toEqual([401])
    expect(handled).toEqual([])
    expect(await send(target, method, [bearer(tokenOf())])).toContain('handled')
  })

  it('where it is not configured', async () => {
    await start(undefined as never)
    expect(statuses(await send(PATH))).toEqual([401])
    expect(await send('/')).toMatch(/\r\nwww-authenticate: Bearer\r\n/i)
  })
})

it('challenges name the URL that was configured, if it is another one', async () => {
  const resourceMetadata = 'https://metadata.example/user'
  await start({ resource: 'https://user.example' }, { resourceMetadata })
  expect(await send('/')).toContain(`resource_metadata="${resourceMetadata}"`)
  expect(bodyOf(await send(PATH))).toMatchObject({ resource: 'https://user.example' })
})
