/** The token is in what Node writes, and in nothing that an application can read, copy or add to. */

import { once } from 'node:events'
import type { ClientRequest, RequestOptions } from 'node:http'
import { Agent, request } from 'node:http'
import { inspect } from 'node:util'
import followRedirects from 'follow-redirects'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import type { Verdicts } from '../support/decisions.ts'
import { verdictsOf } from '../support/decisions.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

let issuer: TestIssuer
let named: Sink
let other: Sink
let relay: TokenRelay
let token: string

beforeAll(async () => {
  issuer = await startIssuer()
  named = await startSink()
  other = await startSink('127.0.0.2')
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: named.origin }],
  })
  token = await issuer.token()
})
afterAll(async () => {
  await relay.shutdown()
  await Promise.all([issuer, named, other].map((resource) => resource[Symbol.asyncDispose]()))
})
beforeEach(() => {
  named.clear()
  other.clear()
})

async function finish(outgoing: ClientRequest): Promise<void> {
  outgoing.end()
  const [response] = (await once(outgoing, 'response')) as [NodeJS.ReadableStream]
  await once(response.resume(), 'end')
}

const asCaller = (fn: () => Promise<void>): Promise<Verdicts> => runWithToken(token, () => verdictsOf(fn))
const at = (sink: Sink): readonly (readonly string[])[] => sink.received.map(({ authorization }) => authorization)

it('a request never shows the token that it is sent with [F11]', async () => {
  const shown: string[] = []
  await asCaller(async () => {
    const outgoing = request(named.origin)
    const look = (): void => {
      shown.push(JSON.stringify([outgoing.getHeaders(), outgoing.getRawHeaderNames(), outgoing.getHeaderNames()]))
      shown.push(String(outgoing.getHeader('authorization')), String(outgoing.hasHeader('authorization')))
    }
    look()
    outgoing.on('socket', look)
    outgoing.on('finish', look)
    await finish(outgoing)
    look()
  })
  expect(at(named)).toEqual([[`Bearer ${token}`]])
  expect(shown.join()).not.toContain(token.slice(0, 12))
  expect(shown.join().toLowerCase()).not.toContain('authorization')
})

it('a request that is printed before it is rendered does not show the token [F11]', async () => {
  let printed = ''
  await asCaller(async () => {
    const outgoing = request(named.origin)
    printed = inspect(outgoing, { depth: 9, showHidden: true, maxStringLength: null })
    await finish(outgoing)
  })
  expect(printed).not.toContain(token)
  expect(at(named)).toEqual([[`Bearer ${token}`]])
})

it('headers that are copied to a request elsewhere carry no token [F11]', async () => {
  await asCaller(async () => {
    const first = request(named.origin)
    const copyOf = (headers: RequestOptions['headers']): ClientRequest =>
      request(other.origin, headers ? { headers } : {})
    await finish(copyOf({ ...first.getHeaders(), host: `127.0.0.2:${other.port}` } as RequestOptions['headers']))
    await finish(first)
    await finish(copyOf({ ...first.getHeaders(), host: `127.0.0.2:${other.port}` } as RequestOptions['headers']))
  })
  expect(at(named)).toEqual([[`Bearer ${token}`]])
  expect(at(other)).toEqual([[], []])
  expect(other.bytes()).not.toContain(token.slice(0, 12))
})

it.each([
  ['setHeader', (outgoing: ClientRequest) => outgoing.setHeader('Authorization', 'Basic dTpw')],
  ['appendHeader', (outgoing: ClientRequest) => outgoing.appendHeader('authorization', 'Basic dTpw')],
  ['setHeaders', (outgoing: ClientRequest) => outgoing.setHeaders(new Headers({ authorization: 'Basic dTpw' }))],
])('%s after the request was created: the application’s own wins, alone [F10]', async (_, set) => {
  const verdicts = await asCaller(async () => {
    const outgoing = request(named.origin)
    set(outgoing)
    await finish(outgoing)
  })
  expect(at(named)).toEqual([['Basic dTpw']])
  expect(verdicts).toEqual(['own_credential'])
})

it('a target that becomes absolute after the request was created is for a proxy [F6]', async () => {
  const verdicts = await asCaller(async () => {
    const outgoing = request(named.origin)
    outgoing.path = `http://127.0.0.2:${other.port}/`
    await finish(outgoing)
  })
  expect([verdicts, at(named)]).toEqual([['proxied'], [[]]])
})

it.each([
  ['an upgrade', { headers: { connection: 'upgrade', upgrade: 'x' } }, () => undefined],
  ['a body', { method: 'POST' }, (outgoing: ClientRequest) => outgoing.write('body')],
  ['headers flushed early', {}, (outgoing: ClientRequest) => outgoing.flushHeaders()],
  ['a Host field only', { setDefaultHeaders: false, headers: { host: 'x' } }, () => undefined],
] as const)('a request with %s carries the token once', async (_, options, prepare) => {
  const verdicts = await asCaller(async () => {
    const outgoing = request({ ...options, host: '127.0.0.1', port: named.port })
    prepare(outgoing)
    await finish(outgoing)
  })
  expect([verdicts, at(named)]).toEqual([['forwarded'], [[`Bearer ${token}`]]])
})

it('keep-alive: each request is rendered for its own caller [F12]', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const users = [token, await issuer.token({ sub: 'bob' }), await issuer.token({ sub: 'carol' })]
  // Created as one caller, sent from the context of another: who created it decides.
  const released = Promise.withResolvers<void>()
  const created = users.map(() => Promise.withResolvers<ClientRequest>())
  const open = users.map((each, i) =>
    runWithToken(each, () => {
      created[i]?.resolve(request(named.origin, { agent }))
      return released.promise
    }),
  )
  const requests = await Promise.all(created.map(({ promise }) => promise))
  await runWithToken(users[0] ?? '', () => Promise.all(requests.map(finish)))
  released.resolve()
  await Promise.all(open)
  expect(at(named).flat().toSorted()).toEqual(users.map((each) => `Bearer ${each}`).toSorted())
  agent.destroy()
})

it('follow-redirects: each hop is decided on its own [F1]', async () => {
  const path = `/redirect/307?${encodeURIComponent(`${other.origin}/out`)}`
  await asCaller(async () => {
    const outgoing = followRedirects.http.request(`${named.origin}${path}`)
    outgoing.end()
    const [response] = (await once(outgoing, 'response')) as [NodeJS.ReadableStream]
    await once(response.resume(), 'end')
  })
  expect([at(named), at(other)]).toEqual([[[`Bearer ${token}`]], [[]]])
})

it('what is undone is undone: afterwards nothing is written', async () => {
  const outgoing = await runWithToken(token, () => [request(named.origin)])
  await relay.shutdown()
  await Promise.all(outgoing.map(finish))
  expect(at(named)).toEqual([[]])
})
