/** D17: clients that go away while their token is verified: no handler runs for them, and nothing breaks. */

import { once } from 'node:events'
import http2 from 'node:http2'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { getActiveCredential } from '../../src/index.ts'
import { listen } from '../support/issuer.ts'
import { requestOf, statuses } from '../support/raw.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import type { Service } from '../support/service.ts'
import { bearer, deferred, signer, startService, tokenOf } from '../support/service.ts'

let service: Service
let asked: ReturnType<typeof deferred<void>>
let released: ReturnType<typeof deferred<void>>
const handled: string[] = []

beforeEach(async () => {
  handled.length = 0
  asked = deferred()
  released = deferred()
  const [issuer] = optionsFor([signer.jwk]).issuers
  service = await startService({
    options: {
      issuers: [],
      resolveIssuer: async (name) => {
        asked.resolve()
        await released.promise
        return name === ISSUER ? issuer : undefined
      },
    },
    handler: (_, response) => {
      handled.push(String(getActiveCredential()?.subject))
      response.end('handled')
    },
  })
  service.server.on('upgrade', (_, socket) => {
    handled.push('upgrade')
    socket.end()
  })
  service.server.on('connect', (_, socket) => {
    handled.push('connect')
    socket.end()
  })
})
afterEach(() => service[Symbol.asyncDispose]())

/** Another client is served afterwards, by which time the first one has been decided. */
async function expectNothingHandled(): Promise<void> {
  released.resolve()
  const answer = await service.send([bearer(tokenOf({ sub: 'bob' }))])
  expect(statuses(answer)).toEqual([200])
  expect(handled).toEqual(['bob'])
}
/** Resolves when the server has seen the end of the connection that `socket` has. */
async function gone(socket: Socket, leave: () => void): Promise<void> {
  const local = socket.localPort
  const connections = (): Promise<number> =>
    new Promise((resolve) => service.server.getConnections((_, count) => resolve(count)))
  leave()
  await expect.poll(connections).toBe(0)
  expect(local).toBeDefined()
}

const MESSAGES: readonly (readonly [string, () => string])[] = [
  ['a request', () => requestOf('/', [bearer(tokenOf())])],
  ['an upload', () => requestOf('/', [bearer(tokenOf()), 'Content-Length: 100'], { method: 'POST' })],
  ['a chunked upload', () => requestOf('/', [bearer(tokenOf()), 'Transfer-Encoding: chunked'], { method: 'POST' })],
]

describe.each(MESSAGES)('%s, and the client leaves', (_, message) => {
  it.each(['destroy', 'resetAndDestroy'] as const)('%s [D17]', async (how) => {
    const socket = connect(service.port, '127.0.0.1').on('error', () => undefined)
    socket.write(message())
    await asked.promise
    await gone(socket, () => socket[how]())
    await expectNothingHandled()
  })
})

it.each([
  ['an upgrade', requestOf('/', [bearer(tokenOf()), 'Connection: Upgrade', 'Upgrade: test'])],
  ['a tunnel', requestOf('a:1', [bearer(tokenOf())], { method: 'CONNECT' })],
])('%s that is reset [D17]', async (_, message) => {
  const socket = connect(service.port, '127.0.0.1').on('error', () => undefined)
  socket.write(message)
  await asked.promise
  await gone(socket, () => socket.resetAndDestroy())
  await expectNothingHandled()
})

it.each([
  'compat',
  'core',
])('HTTP/2 %s: a stream that is cancelled, and a session that is destroyed [D17]', async (kind) => {
  const server = http2.createServer()
  server.on(kind === 'core' ? 'stream' : 'request', () => handled.push('http2'))
  const port = await listen(server as never)
  for (const end of ['stream', 'session'] as const) {
    const session = http2.connect(`http://127.0.0.1:${port}`).on('error', () => undefined)
    const sessionClosed = once(server, 'session').then(([opened]) => once(opened as http2.ServerHttp2Session, 'close'))
    const stream = session.request({ ':path': '/', authorization: `Bearer ${tokenOf()}` }).on('error', () => undefined)
    await new Promise((resolve) => stream.once('ready', resolve))
    // The second one waits for the answer to the first one's question.
    await asked.promise
    if (end === 'stream') stream.close(http2.constants.NGHTTP2_CANCEL)
    session.destroy()
    await sessionClosed
  }
  await expectNothingHandled()
  await new Promise((resolve) => server.close(resolve))
})

it('a hundred clients that wait for one verification are all answered', async () => {
  const message = requestOf('/', [bearer(tokenOf())])
  const all = Array.from({ length: 100 }, async () => {
    const socket = connect(service.port, '127.0.0.1')
    socket.write(message)
    let answer = ''
    for await (const chunk of socket) answer += chunk
    return statuses(answer)[0]
  })
  await asked.promise
  released.resolve()
  expect(new Set(await Promise.all(all))).toEqual(new Set([200]))
})
