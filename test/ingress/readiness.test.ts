/** The path on which the gate says by itself whether tokens can be decided. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import http2 from 'node:http2'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay, TokenRelayOptions } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'

const PATH = '/-/ready'
let issuer: TestIssuer
let relay: TokenRelay
let handled: string[] = []
const server = () =>
  createServer(({ method, url }, response) => {
    handled.push(`${method} ${url}`)
    response.end('handled')
  })

beforeEach(async () => {
  issuer = await startIssuer()
  handled = []
})
afterEach(async () => {
  await relay.shutdown()
  await issuer[Symbol.asyncDispose]()
})

function startRelay(ingress: TokenRelayOptions['ingress'] = {}): void {
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service', keySet: { cooldownMillis: 0 } }],
    // The issuer is a server of this process, too.
    ingress: { readyPath: PATH, publicPaths: ['/jwks', '/.well-known/*'], ...ingress },
  })
  relay.instrumentation.enable()
}

/** The whole answer of a server that is made for it. */
async function ask(target = PATH, method = 'GET', fields: readonly string[] = []): Promise<string> {
  const asked = server()
  asked.on('upgrade', (_, socket) => {
    handled.push('upgrade')
    socket.end()
  })
  try {
    return await exchange(await listen(asked), requestOf(target, fields, { method }), () => false)
  } finally {
    await close(asked)
  }
}

describe('answers', () => {
  it('503 until the keys are there, then 200; and fetches them', async () => {
    startRelay()
    issuer.setDown(true)
    expect(statuses(await ask())).toEqual([503])
    expect(relay.ready()).toBe(false)
    issuer.setDown(false)
    await expect.poll(async () => statuses(await ask()), { timeout: 30_000 }).toEqual([200])
    expect(relay.ready()).toBe(true)
    expect(handled).toEqual([])
  })

  it('without a body, a challenge or a word about the reason, and is not stored [E17]', async () => {
    startRelay()
    issuer.setDown(true)
    const fieldsOf = (answer: string): readonly string[] =>
      answer
        .split('\r\n\r\n')
        .flatMap((part, i) => (i === 0 ? part.split('\r\n').slice(1) : [part]))
        .filter((line) => line !== '' && !/^(?:date|connection):/i.test(line))
        .map((line) => line.toLowerCase())
    expect(fieldsOf(await ask())).toEqual(['cache-control: no-store', 'content-length: 0'])
    issuer.setDown(false)
    await relay.hydrate()
    expect(fieldsOf(await ask())).toEqual(['cache-control: no-store', 'content-length: 0'])
    expect(fieldsOf(await ask(PATH, 'HEAD'))).toEqual(['cache-control: no-store', 'content-length: 0'])
  })

  it.each(['require', 'optional', 'off'] as const)('in mode %s, with a token or without', async (mode) => {
    startRelay({ mode })
    await relay.hydrate()
    for (const fields of [[], [`Authorization: Bearer ${await issuer.token()}`], ['Authorization: Bearer garbage']]) {
      expect(statuses(await ask(`${PATH}?verbose`, 'GET', fields))).toEqual([200])
    }
    expect(handled).toEqual([])
  })

  it('over HTTP/2, with both of its interfaces', async () => {
    startRelay()
    await relay.hydrate()
    const streams = http2.createServer()
    streams.on('stream', (stream) => stream.end('handled'))
    for (const each of [http2.createServer((_, response) => void response.end('handled')), streams]) {
      const session = http2.connect(`http://127.0.0.1:${await listen(each as unknown as Server)}`)
      const stream = session.request({ ':path': PATH })
      const status = await new Promise((resolve, reject) => {
        stream.on('response', (headers) => resolve(headers[':status']))
        stream.on('error', reject)
      })
      expect(status).toBe(200)
      session.close()
      each.close()
    }
  })

  it('503 after the relay is shut down', async () => {
    startRelay()
    await relay.hydrate()
    await relay.shutdown()
    expect(statuses(await ask())).toEqual([503])
  })
})

describe('is no way in [E17]', () => {
  it.each([
    ['another method', PATH, 'POST'],
    ['OPTIONS', PATH, 'OPTIONS'],
    ['a longer path', `${PATH}/secret`, 'GET'],
    ['another spelling', '/-/%72eady', 'GET'],
    ['another case', '/-/READY', 'GET'],
    ['a slash at the end', `${PATH}/`, 'GET'],
    ['a path before it', `/secret/..${PATH}`, 'GET'],
    ['a host before it', `http://service${PATH}`, 'GET'],
    ['a fragment', `${PATH}#`, 'GET'],
    ['the method CONNECT', 'service:80', 'CONNECT'],
  ])('%s', async (_, target, method) => {
    startRelay()
    await relay.hydrate()
    expect(statuses(await ask(target, method))).not.toContain(200)
    expect(handled).toEqual([])
  })

  it('an upgrade is answered, and not passed on', async () => {
    startRelay()
    await relay.hydrate()
    expect(statuses(await ask(PATH, 'GET', ['Connection: Upgrade', 'Upgrade: test']))).toEqual([200])
    expect(handled).toEqual([])
  })

  it('without the option the path is one like any other', async () => {
    relay = createTokenRelay({ issuers: [{ issuer: issuer.issuer, audience: 'a' }], ingress: { mode: 'require' } })
    expect(statuses(await ask())).toEqual([401])
  })
})
