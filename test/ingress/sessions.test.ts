/** HTTP/2 sessions: those that no server has announced, those older than the gate, and their own events. */

import { EventEmitter } from 'node:events'
import { createServer } from 'node:http'
import type { ServerHttp2Stream } from 'node:http2'
import http2 from 'node:http2'
import net from 'node:net'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { getActiveCredential } from '../../src/index.ts'
import { listen } from '../support/issuer.ts'
import type { Service } from '../support/service.ts'
import { startService, tokenOf } from '../support/service.ts'

const cleanups: (() => unknown)[] = []
const handled: string[] = []
const respond = (stream: ServerHttp2Stream): void => {
  handled.push(String(getActiveCredential()?.subject))
  stream.respond({ ':status': 200 })
  stream.end('handled')
}

async function startSessions(onSession: (session: http2.ServerHttp2Session) => void): Promise<number> {
  const server = http2.createServer()
  server.on('session', onSession)
  cleanups.push(() => new Promise((resolve) => server.close(resolve)))
  return listen(server as never)
}

function connect(port: number): http2.ClientHttp2Session {
  const session = http2.connect(`http://127.0.0.1:${port}`)
  cleanups.push(() => session.destroy())
  return session
}

function status(session: http2.ClientHttp2Session, token?: string): Promise<unknown> {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': '/', ...authorization })
    stream
      .on('response', (fields) => resolve(fields[':status']))
      .on('error', reject)
      .resume()
  })
}

async function verdicts(session: http2.ClientHttp2Session): Promise<void> {
  handled.length = 0
  expect(await status(session)).toBe(401)
  expect(await status(session, 'garbage')).toBe(401)
  expect(handled).toEqual([])
  expect(await status(session, tokenOf())).toBe(200)
  expect(handled).toEqual(['alice'])
}

let older: http2.ClientHttp2Session
let service: Service
beforeAll(async () => {
  older = connect(await startSessions((session) => session.on('stream', respond)))
  // Without a relay it is the application that answers.
  expect(await status(older)).toBe(200)
  service = await startService()
})
afterEach(() => {
  handled.length = 0
})
afterAll(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  await service[Symbol.asyncDispose]()
})

it('one that was opened before there was a gate is gated [E13]', () => verdicts(older))

it('one that performServerHandshake has made is gated, whatever came before it', async () => {
  const server = net.createServer((socket) => {
    http2
      .performServerHandshake(socket)
      .on('stream', respond)
      .on('error', () => undefined)
  })
  cleanups.push(() => new Promise((resolve) => server.close(resolve)))
  await verdicts(connect(await listen(server as never)))
})

it('the listeners of a session for its own connection are called, and nothing else happens', async () => {
  const connected: string[] = []
  const port = await startSessions((session) => {
    session.on('connect', () => void connected.push('connect'))
    session.on('stream', respond)
    // Node emits it on clients at once, and on servers where they are told to.
    session.emit('connect', session, session.socket)
  })
  await verdicts(connect(port))
  expect(connected).toContain('connect')
})

it('an event that is called session changes no prototype and throws nothing', () => {
  const server = createServer()
  for (const value of [{}, undefined, null, 'session', Object.create(null)]) {
    expect(server.emit('session', value)).toBe(false)
  }
  expect(Object.hasOwn(Object.prototype, 'emit')).toBe(false)
  expect(Object.hasOwn(EventEmitter.prototype, 'emit')).toBe(true)
})
