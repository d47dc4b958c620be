/** The same for what is no plain request: upgraded sockets, tunnels, and the streams of HTTP/2. */

import { once } from 'node:events'
import type { ClientHttp2Session, ClientHttp2Stream, Http2ServerResponse } from 'node:http2'
import http2 from 'node:http2'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listen } from '../support/issuer.ts'
import { requestOf } from '../support/raw.ts'
import type { Service } from '../support/service.ts'
import { bearer, deferred, startService, tokenOf } from '../support/service.ts'

const TOKEN = tokenOf()
let service: Service
beforeEach(async () => {
  service = await startService()
})
afterEach(() => service[Symbol.asyncDispose]())

async function call(): Promise<string | undefined> {
  const path = `/sink/${crypto.randomUUID()}`
  await (await fetch(service.sink.origin + path)).text()
  return service.sink.received.find(({ target }) => target === path)?.authorization[0]?.replace('Bearer ', '')
}

describe.each([
  ['upgrade', requestOf('/ws', [bearer(TOKEN), 'Connection: Upgrade', 'Upgrade: test'])],
  ['connect', requestOf('a:1', [bearer(TOKEN)], { method: 'CONNECT' })],
])('%s', (event, message) => {
  async function open(listener: (socket: Duplex) => void): Promise<Socket> {
    service.server.on(event, (_request, socket: Duplex) => {
      // What every application of a raw socket does: Node leaves it half-open.
      socket.on('error', () => undefined).on('end', () => socket.end())
      listener(socket)
    })
    const socket = connect(service.port, '127.0.0.1')
    socket.on('error', () => undefined).resume()
    socket.write(message)
    return socket
  }

  it('is the caller’s as long as the socket is open', async () => {
    const sent: (string | undefined)[] = []
    const finished = deferred()
    const socket = await open((server) => {
      server.write('HTTP/1.1 101 Switching Protocols\r\n\r\n')
      server.on('data', async () => {
        sent.push(await call())
        if (sent.length === 2) finished.resolve()
        else socket.write('again')
      })
    })
    socket.once('data', () => socket.write('frame'))
    await finished.promise
    socket.destroy()
    expect(sent).toEqual([TOKEN, TOKEN])
  })

  it.each(['destroy', 'resetAndDestroy'] as const)('is over when the client is gone: %s', async (how) => {
    const late = deferred<readonly [Promise<string | undefined>]>()
    const socket = await open((server) => {
      server.resume()
      late.resolve([new Promise((resolve) => server.once('close', resolve)).then(call)])
    })
    const [sent] = await late.promise
    socket[how]()
    expect(await sent).toBeUndefined()
  })
})

describe('HTTP/2', () => {
  let session: ClientHttp2Session
  let server: http2.Http2Server
  async function start(handler: (response: Http2ServerResponse) => void): Promise<void> {
    server = http2.createServer((_, response) => handler(response))
    const port = await listen(server as never)
    session = http2.connect(`http://127.0.0.1:${port}`)
    session.on('error', () => undefined)
  }
  afterEach(async () => {
    session.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const open = (token: string): ClientHttp2Stream => {
    const stream = session.request({ ':path': '/', authorization: `Bearer ${token}` })
    return stream.on('error', () => undefined).resume()
  }

  it('a stream that is open has its caller, one that has ended has none, each in one session', async () => {
    const bob = tokenOf({ sub: 'bob' })
    const results: Promise<readonly (string | undefined)[]>[] = []
    await start((response) => {
      const closed = once(response.stream, 'close')
      const early = call().finally(() => response.end())
      results.push(closed.then(async () => [await early, await call()]))
    })
    await Promise.all([TOKEN, bob].map((token) => once(open(token), 'close')))
    const sent = await Promise.all(results)
    expect(sent.toSorted()).toEqual(
      [
        [TOKEN, undefined],
        [bob, undefined],
      ].toSorted(),
    )
  })

  it('a stream that its client cancels is over', async () => {
    const late = deferred<readonly [Promise<string | undefined>]>()
    await start((response) => late.resolve([once(response.stream, 'close').then(call)]))
    const stream = open(TOKEN)
    const [sent] = await late.promise
    stream.close(http2.constants.NGHTTP2_CANCEL)
    expect(await sent).toBeUndefined()
  })
})
