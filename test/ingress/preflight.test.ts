/** CORS preflight requests pass where that is allowed; nothing else does, and nobody is the caller of one. */

import http2 from 'node:http2'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { getActiveCredential } from '../../src/index.ts'
import { listen } from '../support/issuer.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'
import type { Service } from '../support/service.ts'
import { bearer, startService, tokenOf } from '../support/service.ts'

const PREFLIGHT = ['Origin: https://app.example', 'Access-Control-Request-Method: DELETE']
let service: Service
let handled: string[] = []

async function start(allowPreflight: boolean): Promise<void> {
  handled = []
  service = await startService({
    options: { ingress: { allowPreflight } },
    handler: async ({ method, url }, response) => {
      if (url?.startsWith('/sink/')) return void response.end()
      handled.push(`${method} ${getActiveCredential()?.subject}`)
      await (await fetch(`${service.sink.origin}/sink/x`)).text()
      response.end()
    },
  })
}
beforeEach(() => start(true))
afterEach(() => service[Symbol.asyncDispose]())

const send = async (method: string, fields: readonly string[], body?: string): Promise<number[]> =>
  statuses(
    await exchange(
      service.port,
      requestOf('/x', fields, body === undefined ? { method } : { method, body }),
      () => false,
    ),
  )

it('passes without a token, has no caller even with one, and takes nothing along', async () => {
  expect(await send('OPTIONS', PREFLIGHT)).toEqual([200])
  expect(await send('OPTIONS', [...PREFLIGHT, bearer(tokenOf())])).toEqual([200])
  expect(await send('OPTIONS', [...PREFLIGHT, 'Authorization: Bearer garbage'])).toEqual([200])
  expect(await send('OPTIONS', PREFLIGHT, '')).toEqual([200])
  expect(handled).toEqual(Array(4).fill('OPTIONS undefined'))
  expect(service.sink.received.map(({ authorization }) => authorization)).toEqual([[], [], [], []])
})

it('is answered 401 by default', async () => {
  await service[Symbol.asyncDispose]()
  await start(false)
  expect(await send('OPTIONS', PREFLIGHT)).toEqual([401])
  expect(handled).toEqual([])
})

describe('does not pass [E15]', () => {
  it.each<readonly [string, string, readonly string[], string | undefined]>([
    ['the request that follows it', 'DELETE', ['Origin: https://app.example'], undefined],
    ['another method with its fields', 'GET', PREFLIGHT, undefined],
    ['a method in lower case', 'options', PREFLIGHT, undefined],
    ['OPTIONS without an origin', 'OPTIONS', PREFLIGHT.slice(1), undefined],
    ['OPTIONS without a method that it asks for', 'OPTIONS', PREFLIGHT.slice(0, 1), undefined],
    ['OPTIONS with empty fields', 'OPTIONS', ['Origin:', 'Access-Control-Request-Method:'], undefined],
    ['OPTIONS with a body', 'OPTIONS', PREFLIGHT, 'x'],
    ['OPTIONS with a chunked body', 'OPTIONS', [...PREFLIGHT, 'Transfer-Encoding: chunked'], undefined],
    ['a method in disguise', 'OPTIONS', [...PREFLIGHT, 'X-HTTP-Method-Override: DELETE'], undefined],
    ['a method in a shorter disguise', 'OPTIONS', [...PREFLIGHT, 'X-HTTP-Method: DELETE'], undefined],
    ['a method in another disguise', 'OPTIONS', [...PREFLIGHT, 'X-Method-Override: DELETE'], undefined],
  ])('%s', async (_, method, fields, body) => {
    expect(await send(method, fields, body)).not.toContain(200)
    expect(handled).toEqual([])
  })

  it('an upgrade, a tunnel or an expectation that looks like one', async () => {
    for (const event of ['upgrade', 'connect', 'checkContinue', 'checkExpectation']) {
      service.server.on(event, (_, socket: { end(): void }) => {
        handled.push(event)
        socket.end()
      })
    }
    expect(await send('OPTIONS', [...PREFLIGHT, 'Connection: Upgrade', 'Upgrade: websocket'])).toEqual([401])
    expect(await send('OPTIONS', [...PREFLIGHT, 'Expect: 100-continue'])).toEqual([401])
    expect(await send('OPTIONS', [...PREFLIGHT, 'Expect: wonders'])).toEqual([401])
    expect(await send('CONNECT', PREFLIGHT)).not.toContain(200)
    expect(handled).toEqual([])
  })

  it.each([
    ['Connection: Upgrade', 'Upgrade: websocket'],
    ['Connection: keep-alive, upgrade', 'Upgrade: h2c'],
    ['Connection: upgrade'],
    ['Upgrade: websocket'],
    ['Expect: 100-continue'],
  ])('one with %s %s, if only `request` is listened to', async (...fields) => {
    const given = fields.filter((field) => field !== undefined)
    expect(await send('OPTIONS', [...PREFLIGHT, ...given, 'Connection: close'])).toContain(401)
    expect(handled).toEqual([])
  })
})

it('HTTP/2: as HTTP/1, and no body that no field announces [E15]', async () => {
  const server = http2.createServer((request, response) => {
    handled.push(`${request.method} ${getActiveCredential()?.subject}`)
    response.end()
  })
  const session = http2.connect(`http://127.0.0.1:${await listen(server as never)}`)
  const request = (headers: http2.OutgoingHttpHeaders, endStream = true): Promise<unknown> =>
    new Promise((resolve) => {
      const stream = session.request({ ':path': '/x', origin: 'https://app.example', ...headers }, { endStream })
      stream.on('response', (response) => resolve(response[':status'])).resume()
      if (!endStream) stream.end('_method=POST&amount=1000000')
    })
  try {
    const asks = { 'access-control-request-method': 'DELETE', authorization: `Bearer ${tokenOf()}` }
    expect(await request({ ':method': 'OPTIONS', ...asks })).toBe(200)
    expect(await request({ ':method': 'OPTIONS' })).toBe(401)
    const { authorization: _, ...asksAlone } = asks
    expect(await request({ ':method': 'OPTIONS', ...asksAlone }, false)).toBe(401)
    expect(await request({ ':method': 'DELETE' })).toBe(401)
    expect(handled).toEqual(['OPTIONS undefined'])
  } finally {
    session.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
})
