/** A request is over when it is answered: what is sent in the same tick, and in every event that follows, has no token. */

import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { request } from 'node:http'
import http2 from 'node:http2'
import { context } from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import { listen } from '../support/issuer.ts'
import { statuses } from '../support/raw.ts'
import { optionsFor } from '../support/relay.ts'
import type { Service } from '../support/service.ts'
import { bearer, deferred, signer, startService, tokenOf } from '../support/service.ts'

const TOKEN = tokenOf()
let service: Service
let handle: (request: IncomingMessage, response: ServerResponse) => void
beforeEach(async () => {
  service = await startService({ handler: (incoming, response) => handle(incoming, response) })
})
afterEach(() => service[Symbol.asyncDispose]())

/** What the sink gets with a call that is made now. */
function call(send = viaFetch): Promise<string | undefined> {
  const path = `/sink/${crypto.randomUUID()}`
  return send(service.sink.origin + path).then(() =>
    service.sink.received.find(({ target }) => target === path)?.authorization[0]?.replace('Bearer ', ''),
  )
}
const viaFetch = async (url: string): Promise<unknown> => (await fetch(url)).text()
const viaHttp = async (url: string): Promise<unknown> => {
  const [response] = (await once(request(url).end(), 'response')) as [IncomingMessage]
  return response.resume()
}

type Calls = Record<string, Promise<string | undefined>>

describe.each([
  ['fetch', viaFetch],
  ['http', viaHttp],
])('%s', (_, send) => {
  it('sends no token from `end` on, whichever event the work goes on in', async () => {
    const finished = deferred<Calls>()
    handle = (_request, response) => {
      const calls: Calls = { before: call(send) }
      response.prependListener('close', () => {
        calls['close'] = call(send)
        finished.resolve(calls)
      })
      response.on('finish', () => (calls['finish'] = call(send)))
      response.write('x')
      calls['written'] = call(send)
      void Promise.all(Object.values(calls)).then(() => {
        response.end('y', () => (calls['callback'] = call(send)))
        calls['same tick'] = call(send)
        queueMicrotask(() => (calls['microtask'] = call(send)))
      })
    }
    expect(statuses(await service.send([bearer(TOKEN)]))).toEqual([200])
    const calls = await finished.promise
    const names = Object.keys(calls)
    const sent = await Promise.all(Object.values(calls))
    expect(Object.fromEntries(names.map((name, i) => [name, sent[i]]))).toEqual({
      before: TOKEN,
      written: TOKEN,
      'same tick': undefined,
      microtask: undefined,
      callback: undefined,
      finish: undefined,
      close: undefined,
    })
  })
})

describe('HTTP/2', () => {
  it.each<[string, (server: http2.Http2Server, answer: (end: () => void) => void) => void]>([
    ['compatibility', (server, answer) => server.on('request', (_, response) => answer(() => response.end('x')))],
    ['compatibility, empty', (server, answer) => server.on('request', (_, response) => answer(() => response.end()))],
    [
      'a stream',
      (server, answer) =>
        server.on('stream', (stream) =>
          answer(() => {
            stream.respond()
            stream.end('x')
          }),
        ),
    ],
    [
      'a stream that ends with its header section',
      (server, answer) => server.on('stream', (stream) => answer(() => stream.respond({}, { endStream: true }))),
    ],
  ])('%s: sends no token after the answer, in the same tick', async (_, serve) => {
    const server = http2.createServer()
    const calls = deferred<readonly Promise<string | undefined>[]>()
    serve(server, (end) => {
      const before = call()
      void before.then(() => {
        end()
        calls.resolve([before, call()])
      })
    })
    const session = http2.connect(`http://127.0.0.1:${await listen(server as never)}`)
    const stream = session.request({ authorization: `Bearer ${TOKEN}` }).resume()
    expect(await Promise.all(await calls.promise)).toEqual([TOKEN, undefined])
    stream.close()
    session.destroy()
    server.close()
  })
})

it('HTTP/2: a client that had gone before it was asked who it is has no caller, either', async () => {
  const server = http2.createServer()
  const sent = deferred<Promise<string | undefined>>()
  await service.relay.shutdown()
  const relay = createTokenRelay({
    ...optionsFor([signer.jwk]),
    destinations: [{ to: service.sink.origin }],
    ingress: { mode: 'off' },
  })
  server.on('request', async (incoming, response) => {
    await once(response.stream, 'close')
    const { headers, rawHeaders } = incoming
    const admission = await relay.admit({ headers, rawHeaders, lifetime: response })
    sent.resolve(admission.admitted ? admission.run(() => call()) : Promise.resolve('refused'))
  })
  const session = http2.connect(`http://127.0.0.1:${await listen(server as never)}`)
  const stream = session.request({ authorization: `Bearer ${TOKEN}` }).on('error', () => undefined)
  await once(server, 'stream')
  stream.close(http2.constants.NGHTTP2_CANCEL)
  expect(await await sent.promise).toBeUndefined()
  session.destroy()
  server.close()
  await relay.shutdown()
})

describe('runWithToken', () => {
  it('is over when its work is done: what goes on after that sends no token', async () => {
    const released = deferred()
    const { late, early } = await runWithToken(TOKEN, async () => ({
      early: await call(),
      late: { promise: released.promise.then(() => call()) },
    }))
    released.resolve()
    expect([early, await late.promise]).toEqual([TOKEN, undefined])
  })

  it('is over when its work fails, and a context that was kept of it is, too', async () => {
    let kept = context.active()
    const work = runWithToken(TOKEN, async () => {
      kept = context.active()
      throw new Error('as asked')
    })
    await expect(work).rejects.toThrow('as asked')
    expect(await context.with(kept, call)).toBeUndefined()
  })

  it('lasts as long as its work, however that is split', async () => {
    const sent = await runWithToken(TOKEN, () => Promise.all([call(), call().then(() => call())]))
    expect(sent).toEqual([TOKEN, TOKEN])
  })
})
