/** What clients do while they wait for a verdict, and after they were refused, ends neither the process nor anything else. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, ServerResponse } from 'node:http'
import http2 from 'node:http2'
import type { Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listen } from '../support/issuer.ts'
import { complaintsIn, startProgram } from '../support/process.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'
import type { Service } from '../support/service.ts'
import { bearer, deferred, signer, startService, tokenOf } from '../support/service.ts'
import { goodClaims } from '../support/signer.ts'

/** Of an issuer that is searched for until `decide` is called, and then is none. */
const undecided = (): string => signer.token(goodClaims('https://unknown.example'))

const REQUEST_START = 'http.server.request.start'
type Start = { readonly request: IncomingMessage; readonly response: ServerResponse; readonly socket: Socket }

let service: Service
let decide: ReturnType<typeof deferred<void>>
let asked: ReturnType<typeof deferred<void>>
const uncaught: unknown[] = []
const onUncaught = (error: unknown): void => void uncaught.push(error)
let onStart: ((message: Start) => void) | undefined
const listener = (message: unknown): void => onStart?.(message as Start)

beforeEach(async () => {
  uncaught.length = 0
  process.on('uncaughtException', onUncaught)
  subscribe(REQUEST_START, listener)
  decide = deferred()
  asked = deferred()
  service = await startService({
    options: {
      resolveIssuer: async () => {
        asked.resolve()
        await decide.promise
        return undefined
      },
    },
  })
})
afterEach(async () => {
  onStart = undefined
  unsubscribe(REQUEST_START, listener)
  await service[Symbol.asyncDispose]()
  process.off('uncaughtException', onUncaught)
})

async function withHttp2(use: (session: http2.ClientHttp2Session) => Promise<void>): Promise<void> {
  const server = http2.createServer((_, response) => void response.end('handled'))
  const session = http2.connect(`http://127.0.0.1:${await listen(server as never)}`)
  try {
    await use(session)
    // The session still works, and all that was sent before has been dealt with.
    const [status] = await answerOf(session.request({ ':path': '/', authorization: `Bearer ${tokenOf()}` }))
    expect(status).toBe(200)
    expect(uncaught).toEqual([])
  } finally {
    session.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
}

function answerOf(
  stream: http2.ClientHttp2Stream,
): Promise<readonly [status: unknown, stream: http2.ClientHttp2Stream]> {
  return new Promise((resolve, reject) => {
    stream
      .on('response', (fields) => resolve([fields[':status'], stream]))
      .on('error', reject)
      .resume()
  })
}

const POST = { ':method': 'POST', ':path': '/' }
// NO_ERROR and CANCEL end a stream without an error event.
const CODES = [1, 2, 3, 5, 7, 9, 11, 13]

describe('HTTP/2', () => {
  it.each(CODES)('a stream that is reset with code %i while its token is checked', async (code) => {
    await withHttp2(async (session) => {
      const stream = session.request({ ...POST, authorization: `Bearer ${undecided()}` }).on('error', () => undefined)
      await asked.promise
      const closed = new Promise((resolve) => stream.on('close', resolve))
      stream.close(code)
      await closed
      await new Promise((resolve) => session.ping(resolve))
      decide.resolve()
    })
  })

  it.each(CODES)('a stream that is reset with code %i after it was refused', async (code) => {
    await withHttp2(async (session) => {
      const [status, stream] = await answerOf(session.request(POST))
      expect(status).toBe(401)
      stream.on('error', () => undefined)
      const closed = new Promise((resolve) => stream.on('close', resolve))
      stream.close(code)
      await closed
      await new Promise((resolve) => session.ping(resolve))
    })
  })

  it('an upload that goes on after it was refused is ended', async () => {
    await withHttp2(async (session) => {
      const stream = session.request(POST)
      stream.write('the first part')
      const closed = new Promise((resolve) => stream.on('close', resolve))
      expect((await answerOf(stream))[0]).toBe(401)
      await closed
    })
  })
})

describe('HTTP/1', () => {
  it.each([
    ['chunked', 'Transfer-Encoding: chunked', true],
    ['large', 'Content-Length: 65537', true],
    ['small', 'Content-Length: 65536', false],
  ])('a %s upload that is refused: whether the connection is closed', async (_, field, closes) => {
    const message = requestOf('/', [field, 'Connection: keep-alive'], { method: 'POST' })
    const answer = await exchange(service.port, message, (text) => text.includes('\r\n\r\n'))
    expect(statuses(answer)).toEqual([401])
    expect(/\r\nconnection: close\r\n/i.test(answer)).toBe(closes)
  })

  it('an upgrade and a tunnel that are refused hear that the connection is closed', async () => {
    for (const event of ['upgrade', 'connect']) service.server.on(event, (_, socket: Socket) => socket.end())
    const upgrade = requestOf('/', ['Connection: Upgrade', 'Upgrade: test'])
    for (const message of [upgrade, requestOf('a:1', [], { method: 'CONNECT' })]) {
      expect(await exchange(service.port, message, () => false)).toMatch(
        /^HTTP\/1.1 401[\s\S]*\r\nconnection: close\r\n/,
      )
    }
  })

  it('a response that something else has begun while the gate waited is left alone', async () => {
    let began: ServerResponse | undefined
    onStart = ({ request, response }) => {
      if (request.url === '/slow') began = response
    }
    const answer = exchange(service.port, requestOf('/slow', [bearer(undecided())]), () => false)
    await asked.promise
    began?.writeHead(408).write('too slow')
    decide.resolve()
    // By the time that another request has waited for the same, the first one has been decided.
    expect(statuses(await service.send([bearer(undecided())]))).toEqual([401])
    began?.end()
    expect(await answer).toMatch(/^HTTP\/1.1 408[\s\S]*too slow/)
    expect(uncaught).toEqual([])
  })

  it('a property of the request that outlives it does not let the next one in', async () => {
    onStart = ({ request, socket }) => {
      Object.assign(request, { stream: socket })
    }
    const token = bearer(tokenOf())
    // Once it is remembered, the first request is let in before the second one is read.
    expect(statuses(await service.send([token]))).toEqual([200])
    const first = requestOf('/', [token, 'Connection: keep-alive'])
    const answers = await exchange(service.port, first + requestOf('/'), () => false)
    expect(statuses(answers)).toEqual([200, 401])
  })
})

describe('a process that hands its sockets to another one', () => {
  it('leaves the answer to that', async () => {
    const options = { issuers: [{ issuer: 'https://id.example', audience: 'a', jwks: { keys: [signer.jwk] } }] }
    const env = { RELAY_OPTIONS: JSON.stringify({ ...options, ingress: { mode: 'require' } }) }
    await using program = startProgram('handed-away.cjs', {
      preload: ['--require', './programs/relay-only.cjs'],
      env,
    })
    const port = await program.report<number>('port')
    const message = requestOf('/', ['Connection: keep-alive'])
    expect(statuses(await exchange(port, message, (text) => text.includes('child')))).toEqual([200])
    expect(complaintsIn(program.stderr())).toEqual([])
  })

  it('lives, also if it does so between the answer and its end', async () => {
    onStart = ({ request, response, socket }) => {
      // As `subprocess.send` does with a handle that had to wait.
      if (request.url === '/handed') response.once('prefinish', () => response.detachSocket(socket))
    }
    const ended = new Promise((resolve) => {
      service.server.on('connection', (socket: Socket) => socket.once('close', resolve))
    })
    const handed = await exchange(service.port, requestOf('/handed'), (text) => text.includes('401'))
    expect(statuses(handed)).toEqual([401])
    await ended
    expect(uncaught).toEqual([])
  })
})
