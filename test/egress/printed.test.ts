/** What applications print of requests, responses and errors shows no token. */

import { Console } from 'node:console'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent, createServer, request } from 'node:http'
import { Writable } from 'node:stream'
import { inspect } from 'node:util'
import axios from 'axios'
import got from 'got'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { getActiveCredential } from '../../src/index.ts'
import type { Callers } from '../support/callers.ts'
import { startCallers } from '../support/callers.ts'
import { close, listen } from '../support/issuer.ts'

let callers: Callers
let origin: string
let arrived: (string | undefined)[] = []
const server = createServer((incoming, response) => {
  arrived.push(incoming.headers.authorization)
  if (incoming.url === '/reset') incoming.socket.destroy()
  else response.writeHead(incoming.url === '/fails' ? 500 : 200, { 'content-type': 'application/json' }).end('{}')
})
beforeAll(async () => {
  origin = `http://127.0.0.1:${await listen(server)}`
  callers = await startCallers({ destinations: [{ to: origin }] })
})
afterAll(async () => {
  await callers[Symbol.asyncDispose]()
  server.closeAllConnections()
  await close(server)
})
beforeEach(() => {
  arrived = []
})

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'nothing failed',
    (error) => error,
  )

/** Each gives what an application may print: at the end, and on the way. */
const WAYS: Readonly<Record<string, () => Promise<readonly unknown[]>>> = {
  'an error of axios': async () => [await failureOf(axios.get(`${origin}/fails`))],
  'an error of axios, of a connection that broke': async () => [await failureOf(axios.get(`${origin}/reset`))],
  'a response of axios': async () => [await axios.post(`${origin}/`, { a: 1 })],
  'an error of got': async () => [await failureOf(got(`${origin}/fails`, { retry: { limit: 0 } }))],
  'an error of got, of a connection that broke': async () => [
    await failureOf(got(`${origin}/reset`, { retry: { limit: 0 } })),
  ],
  'a response of got': async () => [await got.post(`${origin}/`, { json: { a: 1 } })],
  async 'a request and its response'() {
    const outgoing = request(`${origin}/`, { method: 'POST', agent: new Agent({ keepAlive: true }) })
    const printed: unknown[] = [inspect(outgoing, EVERYTHING)]
    for (const event of ['socket', 'finish', 'response', 'close']) {
      outgoing.on(event, () => printed.push(inspect(outgoing, EVERYTHING)))
    }
    outgoing.write('early')
    printed.push(inspect(outgoing, EVERYTHING))
    const [response] = (await once(outgoing.end('late'), 'response')) as [IncomingMessage]
    await once(response.resume(), 'close')
    return [...printed, outgoing, response]
  },
  async 'a request over a connection that is open'() {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const first = request(`${origin}/`, { agent }).end()
    await once(((await once(first, 'response')) as [IncomingMessage])[0].resume(), 'end')
    const second = request(`${origin}/`, { agent })
    await once(second, 'socket')
    second.end()
    const printed = inspect(second, EVERYTHING)
    const [response] = (await once(second, 'response')) as [IncomingMessage]
    await once(response.resume(), 'end')
    return [printed, second, response, agent]
  },
}
const EVERYTHING = { depth: 12, showHidden: true, maxStringLength: null, maxArrayLength: null } as const

it.each(Object.entries(WAYS))('%s', async (_, make) => {
  const logged: string[] = []
  const stderr = new Writable({ write: (chunk, _encoding, done) => done(void logged.push(String(chunk))) })
  const log = new Console({ stdout: stderr, stderr })
  const { token, printed } = await callers.as('alice', async () => {
    const values = await make()
    for (const value of values) log.error(value)
    const text = values.map((value) => (typeof value === 'string' ? value : inspect(value, EVERYTHING)))
    return { token: getActiveCredential()?.reveal() ?? 'none', printed: text.join() }
  })
  expect(arrived.at(-1)).toBe(`Bearer ${token}`)
  expect(logged.length).toBeGreaterThan(0)
  expect(printed + logged.join()).not.toContain(token.split('.')[1])
})
