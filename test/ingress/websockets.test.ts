/** WebSocket programs behind `--require`: refused before they see the client, and with a caller in every message. */

import { io } from 'socket.io-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Program } from '../support/process.ts'
import { complaintsIn, OTEL_LINES, startProgram } from '../support/process.ts'

let issuer: TestIssuer
beforeAll(async () => {
  issuer = await startIssuer()
})
afterAll(() => issuer[Symbol.asyncDispose]())

describe.each(OTEL_LINES)('%s', (line) => {
  let program: Program
  let token: string
  beforeAll(async () => {
    token = await issuer.token()
    program = startProgram('websockets.cjs', {
      line,
      preload: ['--require', 'otel-token-relay/register'],
      env: { TOKEN_RELAY_ISSUER: issuer.issuer, TOKEN_RELAY_AUDIENCE: 'user-service' },
    })
    await program.report('ready')
  })
  afterAll(() => program[Symbol.asyncDispose]())

  const headersOf = (text: string | undefined) => (text === undefined ? {} : { authorization: `Bearer ${text}` })

  /** The first messages of a WebSocket, or the status that it was refused with. */
  async function talk(server: string, text: string | undefined, count: number): Promise<readonly string[]> {
    const socket = new WebSocket(`ws://127.0.0.1:${await program.report(server)}/foo`, { headers: headersOf(text) })
    const messages: string[] = []
    return new Promise((resolve) => {
      socket.on('unexpected-response', (_, response) => resolve([String(response.statusCode)]))
      socket.on('error', (error) => resolve([error.message]))
      socket.on('message', (data) => {
        messages.push(String(data))
        if (messages.length === count) socket.close()
        else socket.send(`message ${messages.length}`)
      })
      socket.on('close', () => resolve(messages))
    })
  }

  it('ws: every message has its caller', async () => {
    expect(await talk('ws', token, 3)).toEqual(['welcome alice', 'alice message 1', 'alice message 2'])
    const bob = await issuer.token({ sub: 'bob' })
    const all = await Promise.all([token, bob, token, bob].map((text) => talk('ws', text, 2)))
    expect(all.map(([, second]) => second)).toEqual(['alice', 'bob', 'alice', 'bob'].map((sub) => `${sub} message 1`))
  })

  it('ws with noServer: as ever', async () => {
    expect(await talk('noServer', token, 1)).toEqual(['welcome alice'])
  })

  it.each(['ws', 'noServer', 'io'])('%s: no connection without a valid token', async (server) => {
    expect(await talk(server, undefined, 1)).toEqual(['401'])
    expect(await talk(server, await issuer.token({ aud: 'another' }), 1)).toEqual(['401'])
    expect(await talk(server, 'a,b', 1)).toEqual(['400'])
  })

  it.each(['websocket', 'polling'] as const)('socket.io over %s: events have their caller', async (transport) => {
    const url = `http://127.0.0.1:${await program.report('io')}`
    const socket = io(url, {
      transports: [transport],
      extraHeaders: headersOf(token),
      reconnection: false,
      forceNew: true,
    })
    expect(await new Promise((resolve) => socket.on('welcome', resolve))).toBe('alice')
    expect(await socket.emitWithAck('who')).toBe('alice')
    socket.close()
  })

  it.each(['websocket', 'polling'] as const)('socket.io over %s: refused without a token', async (transport) => {
    const url = `http://127.0.0.1:${await program.report('io')}`
    const socket = io(url, { transports: [transport], reconnection: false, forceNew: true })
    expect(await new Promise((resolve) => socket.on('connect_error', () => resolve('refused')))).toBe('refused')
    socket.close()
  })

  it('an express application beside socket.io is guarded, too', async () => {
    const url = `http://127.0.0.1:${await program.report('io')}/hello`
    expect((await fetch(url)).status).toBe(401)
    const response = await fetch(url, { headers: headersOf(token) })
    expect(await response.text()).toBe('hello alice')
  })

  it('complains of nothing on stderr', () => {
    expect(complaintsIn(program.stderr())).toEqual([])
  })
})
