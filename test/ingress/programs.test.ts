/** Programs as their frameworks' documentation has them run unchanged behind `--require otel-token-relay/register`. */

import { once } from 'node:events'
import { io } from 'socket.io-client'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { compileNestPrograms } from '../support/nest.ts'
import type { OtelLine, Program } from '../support/process.ts'
import { OTEL_LINES, startProgram } from '../support/process.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

let issuer: TestIssuer
let named: Sink
let other: Sink
let good: string
let bad: string
beforeAll(async () => {
  issuer = await startIssuer()
  named = await startSink()
  other = await startSink()
  good = await issuer.token()
  bad = await issuer.token({ aud: 'another' })
})
beforeEach(() => {
  named.clear()
  other.clear()
})
afterAll(() => Promise.all([issuer, named, other].map((resource) => resource[Symbol.asyncDispose]())))

async function start(line: OtelLine, program: string): Promise<{ program: Program; port: number }> {
  const started = startProgram(program, {
    line,
    preload: ['--require', 'otel-token-relay/register'],
    env: {
      TOKEN_RELAY_ISSUER: issuer.issuer,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      TOKEN_RELAY_DESTINATIONS: named.origin,
    },
  })
  return { program: started, port: await started.report<number>('port') }
}

const fieldsOf = (token?: string): Record<string, string> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` }
const sentTo = (sink: Sink): readonly (readonly string[])[] => sink.received.map(({ authorization }) => authorization)

describe.each(OTEL_LINES)('on %s', (line) => {
  describe('a chat server of socket.io', () => {
    let program: Program
    let url: string
    beforeAll(async () => {
      const started = await start(line, 'chat.cjs')
      program = started.program
      url = `http://127.0.0.1:${started.port}`
    })
    afterAll(() => program[Symbol.asyncDispose]())

    const connect = (transports: string[], token?: string) =>
      io(url, { transports, extraHeaders: fieldsOf(token), reconnection: false, forceNew: true })

    it('answers its page to callers only', async () => {
      expect((await fetch(url)).status).toBe(401)
      expect(await (await fetch(url, { headers: fieldsOf(good) })).text()).toBe('<h1>Chat</h1>')
    })

    it.each(['polling', 'websocket'])('refuses a connection by %s without a valid token', async (transport) => {
      for (const token of [undefined, bad]) {
        const socket = connect([transport], token)
        const [error] = (await new Promise<unknown[]>((resolve) => {
          socket.on('connect_error', (...args) => resolve(args))
          socket.on('connect', () => resolve(['connected']))
        })) as [Error]
        socket.close()
        expect(error).toBeInstanceOf(Error)
      }
    })

    it.each([
      ['polling'],
      ['websocket'],
      ['polling', 'websocket'],
    ])('works for callers over %s %s', async (...transports) => {
      const socket = connect(transports.filter(Boolean), good)
      await new Promise((resolve) => socket.on('connect', () => resolve(undefined)))
      const heard = new Promise((resolve) => socket.on('chat message', resolve))
      expect(await socket.emitWithAck('chat message', 'hello', other.origin)).toBe(200)
      expect(await heard).toBe('hello')
      socket.close()
      expect(sentTo(other)).toEqual([[]])
    })

    it('forwards for each caller’s messages that caller’s token, to the named destination only', async () => {
      const users = Array.from({ length: 10 }, (_, i) => `user-${i}`)
      const tokens = await Promise.all(users.map((sub) => issuer.token({ sub })))
      const sockets = tokens.map((token) => connect(['websocket'], token))
      await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.on('connect', () => resolve(0)))))
      const messages = [0, 1, 2].flatMap(() => sockets.map((socket, i) => ({ socket, i })))
      await Promise.all(messages.map(({ socket, i }) => socket.emitWithAck('chat message', `${i}`, named.origin)))
      for (const socket of sockets) socket.close()
      expect(named.received).toHaveLength(messages.length)
      for (const { target, authorization } of named.received) {
        expect(authorization).toEqual([`Bearer ${tokens[Number(target.split('=')[1])]}`])
      }
    })
  })

  it('a server of ws: the caller of a connection is that of its messages', async () => {
    const { program, port } = await start(line, 'sockets.mjs')
    await using _ = program
    for (const token of [undefined, bad]) {
      const refused = new WebSocket(`ws://127.0.0.1:${port}`, { headers: fieldsOf(token) })
      expect((await once(refused, 'error'))[0]).toMatchObject({ message: expect.stringContaining('401') })
    }
    const tokens = [good, await issuer.token({ sub: 'bob' })]
    const clients = tokens.map((token) => new WebSocket(`ws://127.0.0.1:${port}`, { headers: fieldsOf(token) }))
    await Promise.all(clients.map((client) => once(client, 'open')))
    for (const [i, client] of clients.entries()) {
      for (const sink of [named, other]) {
        client.send(`${sink.origin}/${i}`)
        expect(String((await once(client, 'message'))[0])).toBe('200')
      }
    }
    for (const client of clients) client.close()
    expect(sentTo(named)).toEqual(tokens.map((token) => [`Bearer ${token}`]))
    expect(sentTo(other)).toEqual([[], []])
  })

  it('the first application of Nest, compiled from TypeScript', async () => {
    compileNestPrograms(line)
    const { program, port } = await start(line, 'nest/dist/hello/main.js')
    await using _ = program
    const url = `http://127.0.0.1:${port}`
    expect((await fetch(url)).status).toBe(401)
    expect((await fetch(url, { headers: fieldsOf(bad) })).status).toBe(401)
    expect(await (await fetch(url, { headers: fieldsOf(good) })).text()).toBe('Hello World!')
    for (const sink of [named, other]) {
      const answer = await fetch(`${url}/profile?url=${sink.origin}`, { headers: fieldsOf(good) })
      expect(await answer.json()).toBe(200)
    }
    expect(sentTo(named)).toEqual([[`Bearer ${good}`]])
    expect(sentTo(other)).toEqual([[]])
  })
})
