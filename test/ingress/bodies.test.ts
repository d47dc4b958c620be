/** Bodies reach the application as they were sent, however long a verification takes, over HTTP/1, TLS and HTTP/2. */

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as http2Connect } from 'node:http2'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Certificates } from '../support/certificates.ts'
import { createCertificates } from '../support/certificates.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Program } from '../support/process.ts'
import { complaintsIn, startProgram } from '../support/process.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'

let issuer: TestIssuer
let certificates: Certificates
beforeAll(async () => {
  issuer = await startIssuer()
  certificates = await createCertificates()
})
afterAll(() => issuer[Symbol.asyncDispose]())

const BODY = randomBytes(300_000)
const SHA256 = createHash('sha256').update(BODY).digest('hex')

describe.each([
  ['an SDK', {}],
  ['no SDK', { OTEL_SDK_DISABLED: 'true' }],
])('beside %s', (_, env: Readonly<Record<string, string>>) => {
  let program: Program
  const port = (name: string): Promise<number> => program.report<number>(name)
  /** New every time, so that it has to be verified. */
  const bearer = async (): Promise<string> => `Bearer ${await issuer.token()}`
  beforeAll(async () => {
    program = startProgram('bodies.cjs', {
      preload: ['--require', 'otel-token-relay/register'],
      env: {
        TOKEN_RELAY_ISSUER: issuer.issuer,
        TOKEN_RELAY_AUDIENCE: 'user-service',
        TLS: JSON.stringify({ key: certificates.key, cert: certificates.cert }),
        ...env,
      },
    })
    await program.report('ready')
  })
  afterAll(() => program[Symbol.asyncDispose]())

  it('300 kB in one piece', async () => {
    const headers = { authorization: await bearer() }
    const response = await fetch(`http://127.0.0.1:${await port('raw')}/`, { method: 'POST', body: BODY, headers })
    expect(await response.json()).toEqual({ subject: 'alice', sha256: SHA256, trailers: {} })
  })

  it('300 kB in chunks that come one by one, with trailers', async () => {
    const socket = connect(await port('raw'), '127.0.0.1')
    const head = ['POST / HTTP/1.1', 'Host: a', `Authorization: ${await bearer()}`, 'Transfer-Encoding: chunked']
    socket.write(`${[...head, 'Trailer: X-Sum', 'Connection: close'].join('\r\n')}\r\n\r\n`)
    for (let at = 0; at < BODY.length; at += 9_973) {
      const chunk = BODY.subarray(at, at + 9_973)
      socket.write(`${chunk.length.toString(16)}\r\n`)
      socket.write(chunk)
      if (!socket.write('\r\n')) await once(socket, 'drain')
    }
    socket.write('0\r\nX-Sum: 42\r\nAuthorization: Bearer other\r\n\r\n')
    let answer = ''
    for await (const chunk of socket) answer += chunk
    expect(answer).toContain(`"sha256":"${SHA256}","trailers":{"x-sum":"42"`)
    expect(answer).toContain('"subject":"alice"')
  })

  it('pipelined bodies, each its own', async () => {
    const messages = await Promise.all(
      Array.from({ length: 6 }, async (__, i) => {
        const fields = [`Authorization: ${await bearer()}`, ...(i < 5 ? ['Connection: keep-alive'] : [])]
        return requestOf('/', fields, { method: 'POST', body: 'x'.repeat(1_000 * i) })
      }),
    )
    const answer = await exchange(await port('raw'), messages.join(''), () => false)
    const sums = [...answer.matchAll(/"sha256":"(\w+)"/g)].map(([, sum]) => sum)
    expect(sums).toEqual(
      messages.map((___, i) =>
        createHash('sha256')
          .update('x'.repeat(1_000 * i))
          .digest('hex'),
      ),
    )
  })

  it('a large body that is refused does not keep the connection, a small one does', async () => {
    const keep = ['Connection: keep-alive']
    const small = requestOf('/', keep, { method: 'POST', body: 'x'.repeat(1_000) })
    expect(statuses(await exchange(await port('raw'), small + requestOf('/', []), () => false))).toEqual([401, 401])
    const large = requestOf('/', keep, { method: 'POST', body: 'x'.repeat(100_000) })
    const answer = await exchange(await port('raw'), large, () => false)
    expect(statuses(answer)).toEqual([401])
    expect(answer).toMatch(/\r\nconnection: close\r\n/i)
  })

  it.each([
    ['application/json', JSON.stringify({ a: 'x'.repeat(300_000) }), { type: 'object', length: 300_008 }],
    ['text/plain', 'x'.repeat(300_000), { type: 'string', length: 300_002 }],
    ['application/x-www-form-urlencoded', 'a=1&b=2', { type: 'object', length: 17 }],
  ])('express: %s', async (type, body, expected) => {
    const headers = { authorization: await bearer(), 'content-type': type }
    const response = await fetch(`http://127.0.0.1:${await port('express')}/x`, { method: 'POST', body, headers })
    expect(await response.json()).toEqual({ subject: 'alice', ...expected })
  })

  it('TLS with ALPN: HTTP/1 and HTTP/2 of one server, both gated', async () => {
    const ca = certificates.ca
    const over1 = async (authorization?: string): Promise<string> => {
      const options = { host: '127.0.0.1', port: await port('alpn'), ca, agent: false, method: 'POST' }
      return new Promise((resolve, reject) => {
        httpsRequest({ ...options, headers: authorization ? { authorization } : {} }, async (response) => {
          let text = `${response.httpVersion} ${response.statusCode} `
          for await (const chunk of response) text += chunk
          resolve(text)
        })
          .on('error', reject)
          .end(BODY)
      })
    }
    const session = http2Connect(`https://127.0.0.1:${await port('alpn')}`, { ca })
    const over2 = async (authorization?: string): Promise<string> => {
      const stream = session.request({ ':method': 'POST', ...(authorization ? { authorization } : {}) })
      const [headers] = await Promise.all([
        once(stream, 'response').then(([first]) => first as object),
        stream.end(BODY),
      ])
      let text = `2.0 ${Reflect.get(headers, ':status')} `
      for await (const chunk of stream) text += chunk
      return text
    }
    try {
      expect(await over1(await bearer())).toContain(`1.1 200 {"subject":"alice","sha256":"${SHA256}"`)
      expect(await over2(await bearer())).toContain(`2.0 200 {"subject":"alice","sha256":"${SHA256}"`)
      expect(await over1()).toMatch(/^1\.1 401 /)
      expect(await over2()).toMatch(/^2\.0 401 /)
    } finally {
      session.destroy()
    }
  })

  it('complains of nothing on stderr', () => {
    expect(complaintsIn(program.stderr())).toEqual([])
  })
})
