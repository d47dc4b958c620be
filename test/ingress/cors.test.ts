/** What pages in browsers may read of the gate's answers, and which preflight requests the gate answers. */

import type { Server } from 'node:http'
import http2 from 'node:http2'
import { afterEach, describe, expect, it } from 'vitest'
import type { TokenRelayOptions } from '../../src/index.ts'
import { listen } from '../support/issuer.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'
import { optionsFor } from '../support/relay.ts'
import type { Service } from '../support/service.ts'
import { bearer, signer, startService, tokenOf } from '../support/service.ts'
import { goodClaims } from '../support/signer.ts'

const APP = 'https://app.example'
const CORS = { origins: [APP, 'http://localhost:3000'] }
const DOWN = 'http://127.0.0.1:9'
let service: Service
let handled: string[] = []

async function start(ingress: NonNullable<TokenRelayOptions['ingress']>, others: Partial<TokenRelayOptions> = {}) {
  handled = []
  service = await startService({
    options: { ...others, ingress },
    handler: ({ method, url }, response) => {
      handled.push(`${method} ${url}`)
      response.setHeader('access-control-allow-origin', 'https://the-application.example')
      response.end('handled')
    },
  })
}
afterEach(() => service[Symbol.asyncDispose]())

const send = (fields: readonly string[], method = 'GET', target = '/x'): Promise<string> =>
  exchange(service.port, requestOf(target, fields, { method }), () => false)

function fieldsOf(answer: string): Readonly<Record<string, string>> {
  const lines = (answer.split('\r\n\r\n')[0] ?? '').split('\r\n').slice(1)
  return Object.fromEntries(lines.map((line) => [line.split(':')[0]?.toLowerCase(), line.replace(/^[^:]*: /, '')]))
}
const corsFieldsOf = (answer: string): object =>
  Object.fromEntries(Object.entries(fieldsOf(answer)).filter(([name]) => name.startsWith('access-control-')))

const READABLE = {
  'access-control-allow-origin': APP,
  'access-control-expose-headers': 'WWW-Authenticate, Retry-After',
}
const PREFLIGHT = ['Access-Control-Request-Method: DELETE', 'Access-Control-Request-Headers: authorization, x-a']

describe('a page of a listed origin', () => {
  it('reads status and challenge of every refusal, and Retry-After', async () => {
    await start({ cors: CORS }, { issuers: [{ issuer: DOWN, audience: 'user-service' }] })
    const refusals: [number, string[]][] = [
      [401, []],
      [401, [bearer('garbage')]],
      [400, [bearer('a'), bearer('b')]],
      [503, [bearer(signer.token(goodClaims(DOWN)))]],
    ]
    for (const [status, fields] of refusals) {
      const answer = await send([`Origin: ${APP}`, ...fields])
      expect(statuses(answer)).toEqual([status])
      expect(corsFieldsOf(answer)).toEqual(READABLE)
      expect(fieldsOf(answer)['vary']).toBe('Origin')
      expect(fieldsOf(answer)[status === 503 ? 'retry-after' : 'www-authenticate']).toBeDefined()
    }
    expect(handled).toEqual([])
  })

  it('reads 403, too', async () => {
    await start({ cors: CORS }, { issuers: optionsFor([signer.jwk], { requiredScopes: ['use'] }).issuers })
    const answer = await send([`Origin: ${APP}`, bearer(tokenOf({ scope: 'other' }))])
    expect([statuses(answer), corsFieldsOf(answer)]).toEqual([[403], READABLE])
  })

  it('is allowed cookies if the options say so, and not by default', async () => {
    await start({ cors: { ...CORS, allowCredentials: true } })
    const credentials = { 'access-control-allow-credentials': 'true' }
    expect(corsFieldsOf(await send([`Origin: ${APP}`]))).toEqual({ ...READABLE, ...credentials })
    expect(corsFieldsOf(await send([`Origin: ${APP}`, ...PREFLIGHT], 'OPTIONS'))).toMatchObject(credentials)
  })

  it('gets from the application what the application answers', async () => {
    await start({ cors: CORS })
    const answer = await send([`Origin: ${APP}`, bearer(tokenOf())])
    expect([statuses(answer), handled]).toEqual([[200], ['GET /x']])
    expect(corsFieldsOf(answer)).toEqual({ 'access-control-allow-origin': 'https://the-application.example' })
    expect(fieldsOf(answer)['vary']).toBeUndefined()
  })

  it('reads a refused upgrade and a refusal over HTTP/2', async () => {
    await start({ cors: CORS })
    service.server.on('upgrade', (_, socket) => socket.end('handled'))
    const upgrade = await send([`Origin: ${APP}`, 'Connection: Upgrade', 'Upgrade: test'])
    expect([statuses(upgrade), corsFieldsOf(upgrade)]).toEqual([[401], READABLE])

    const server = http2.createServer((_, response) => void response.end('handled'))
    const session = http2.connect(`http://127.0.0.1:${await listen(server as unknown as Server)}`)
    try {
      const [, , headers] = await fetchOverHttp2(session, { ':path': '/x', origin: APP })
      expect(headers).toMatchObject({ ':status': 401, ...READABLE, vary: 'Origin' })
      const asked = { ':path': '/x', ':method': 'OPTIONS', origin: APP, 'access-control-request-method': 'PUT' }
      const [, body, preflight] = await fetchOverHttp2(session, asked)
      expect([body, preflight[':status'], preflight['access-control-allow-methods']]).toEqual(['', 204, 'PUT'])
    } finally {
      session.close()
      server.close()
    }
  })
})

function fetchOverHttp2(session: http2.ClientHttp2Session, fields: http2.OutgoingHttpHeaders) {
  return new Promise<[number, string, http2.IncomingHttpHeaders]>((resolve, reject) => {
    const stream = session.request(fields, { endStream: true })
    let headers: http2.IncomingHttpHeaders = {}
    let text = ''
    stream.on('response', (received) => {
      headers = received
    })
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    stream.on('end', () => resolve([Number(headers[':status']), text, headers]))
    stream.on('error', reject)
  })
}

describe('a page of another origin [E16]', () => {
  it.each([
    'https://app.example.evil.example',
    'https://evil-app.example',
    'https://app.example:8443',
    'http://app.example',
    'https://APP.example',
    'https://app.example/',
    'https://app.example, https://app.example',
    'null',
    '*',
    '',
  ])('reads nothing, and its preflight is refused: %s', async (origin) => {
    await start({ cors: CORS })
    const refused = await send([`Origin: ${origin}`])
    expect([statuses(refused), corsFieldsOf(refused), fieldsOf(refused)['vary']]).toEqual([[401], {}, 'Origin'])
    const preflight = await send([`Origin: ${origin}`, ...PREFLIGHT], 'OPTIONS')
    expect([statuses(preflight), corsFieldsOf(preflight)]).toEqual([[401], {}])
    expect(handled).toEqual([])
  })

  it('reads nothing with two Origin lines, one of them listed', async () => {
    await start({ cors: CORS })
    for (const lines of [
      [APP, 'https://evil.example'],
      ['https://evil.example', APP],
    ]) {
      expect(corsFieldsOf(await send(lines.map((origin) => `Origin: ${origin}`)))).toEqual({})
    }
  })

  it('reads nothing without the option', async () => {
    await start({})
    const refused = await send([`Origin: ${APP}`])
    expect([corsFieldsOf(refused), fieldsOf(refused)['vary']]).toEqual([{}, undefined])
  })
})

describe('a preflight request', () => {
  it('of a listed origin is answered by the gate, with what it asks for', async () => {
    await start({ cors: CORS })
    const answer = await send([`Origin: ${APP}`, ...PREFLIGHT], 'OPTIONS')
    expect(statuses(answer)).toEqual([204])
    expect(corsFieldsOf(answer)).toEqual({
      'access-control-allow-origin': APP,
      'access-control-allow-methods': 'DELETE',
      'access-control-allow-headers': 'authorization, x-a',
    })
    expect(fieldsOf(answer)['content-length']).toBeUndefined()
    expect(fieldsOf(answer)['vary']).toMatch(/^Origin, Access-Control-Request-Method/)
    expect(answer.split('\r\n\r\n')[1]).toBe('')
    expect(handled).toEqual([])
  })

  it('is answered in optional mode, too', async () => {
    await start({ cors: CORS, mode: 'optional' })
    expect(statuses(await send([`Origin: ${APP}`, ...PREFLIGHT], 'OPTIONS'))).toEqual([204])
    expect(handled).toEqual([])
  })

  it.each([
    ['allowPreflight', { allowPreflight: true }, '/x'],
    ['a public path', { publicPaths: ['/x'] }, '/x'],
    ['mode off', { mode: 'off' as const }, '/x'],
  ])('is the application’s with %s', async (_, ingress, target) => {
    await start({ cors: CORS, ...ingress })
    const answer = await send([`Origin: ${APP}`, ...PREFLIGHT], 'OPTIONS', target)
    expect([statuses(answer), handled]).toEqual([[200], ['OPTIONS /x']])
  })

  it.each([
    ['a method that is none', ['Access-Control-Request-Method: PUT, DELETE']],
    ['an endless method', [`Access-Control-Request-Method: ${'X'.repeat(65)}`]],
    ['a list of fields with another syntax', [...PREFLIGHT.slice(0, 1), 'Access-Control-Request-Headers: a; b']],
    ['an endless list of fields', [...PREFLIGHT.slice(0, 1), `Access-Control-Request-Headers: ${'a,'.repeat(1_025)}`]],
    ['a method in disguise', [...PREFLIGHT, 'X-HTTP-Method-Override: DELETE']],
  ])('with %s is refused as any request, and nothing of it is repeated [E15]', async (_, fields) => {
    await start({ cors: CORS })
    const answer = await send([`Origin: ${APP}`, ...fields], 'OPTIONS')
    expect([statuses(answer), corsFieldsOf(answer)]).toEqual([[401], READABLE])
    expect(handled).toEqual([])
  })
})
