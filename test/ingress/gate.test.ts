/** The gate in front of every kind of server, with OpenTelemetry's instrumentation beside it or without any. */

import { once } from 'node:events'
import { connect as http2Connect } from 'node:http2'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Certificates } from '../support/certificates.ts'
import { createCertificates } from '../support/certificates.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { OtelLine, Program } from '../support/process.ts'
import { complaintsIn, startProgram } from '../support/process.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'

let issuer: TestIssuer
let certificates: Certificates
beforeAll(async () => {
  issuer = await startIssuer()
  certificates = await createCertificates()
})
afterAll(() => issuer[Symbol.asyncDispose]())

const REGISTER = ['--require', 'otel-token-relay/register']
const BESIDE: readonly (readonly [string, OtelLine, Readonly<Record<string, string>>])[] = [
  ['the current OpenTelemetry line', 'otel-3', {}],
  ['the previous OpenTelemetry line', 'otel-2', {}],
  ['an SDK without propagators', 'otel-3', { OTEL_PROPAGATORS: 'none' }],
  ['no SDK', 'otel-3', { OTEL_SDK_DISABLED: 'true' }],
]

describe.each(BESIDE)('beside %s', (_, line, extra) => {
  let program: Program
  let good: string
  let bad: string
  const port = (name: string): Promise<number> => program.report<number>(name)

  beforeAll(async () => {
    program = startProgram('servers.cjs', {
      line,
      preload: REGISTER,
      env: {
        TOKEN_RELAY_ISSUER: issuer.issuer,
        TOKEN_RELAY_AUDIENCE: 'user-service',
        TLS: JSON.stringify({ key: certificates.key, cert: certificates.cert }),
        ...extra,
      },
    })
    await program.report('ready')
    good = `Authorization: Bearer ${await issuer.token()}`
    bad = `Authorization: Bearer ${await issuer.token({ aud: 'another' })}`
  })
  afterAll(() => program[Symbol.asyncDispose]())

  /** The targets with `mark` that reached a handler: what another test left under way may arrive at any time. */
  async function handled(mark: string): Promise<readonly string[]> {
    const targets = await program.ask<readonly string[]>('handled')
    return targets.filter((target) => target.includes(mark))
  }
  async function send(name: string, message: string, until = (_response: string) => false): Promise<string> {
    return exchange(await port(name), message, until)
  }

  it.each(['http', 'rewired', 'upgrade', 'continuing'])('%s: no handler runs without a valid token', async (name) => {
    const target = `/whoami?${name}`
    expect(statuses(await send(name, requestOf(target)))).toEqual([401])
    expect(statuses(await send(name, requestOf(target, [bad])))).toEqual([401])
    expect(await handled(target)).toEqual([])
    expect(await send(name, requestOf(target, [good]))).toContain('"subject":"alice"')
    expect(await handled(target)).toEqual([target])
  })

  it('leaves bodies untouched, and the caller present in their listeners', async () => {
    const body = 'x'.repeat(300_000)
    const response = await send('http', requestOf('/body', [good], { method: 'POST', body }))
    expect(response).toContain('{"length":300000,"subjects":["alice"]}')
  })

  it('answers keep-alive requests one by one, each with its own token', async () => {
    const bob = `Authorization: Bearer ${await issuer.token({ sub: 'bob' })}`
    const keep = 'Connection: keep-alive'
    const messages = [
      requestOf('/whoami', [good, keep]),
      requestOf('/whoami', [bad, keep]),
      requestOf('/body', [bob, keep], { method: 'POST', body: 'abc' }),
      requestOf('/whoami', [bob]),
    ]
    const response = await send('http', messages.join(''))
    expect(statuses(response)).toEqual([200, 401, 200, 200])
    expect(response).toMatch(/"alice"[\s\S]*"length":3,"subjects":\["bob"\][\s\S]*"subject":"bob"/)
  })

  it('gates an upgrade, keeps bytes that came early, and the caller in socket listeners', async () => {
    const fields = ['Connection: Upgrade', 'Upgrade: test']
    expect(statuses(await send('upgrade', requestOf('/early', fields)))).toEqual([401])
    expect(statuses(await send('upgrade', requestOf('/early', [bad, ...fields])))).toEqual([401])
    expect(await handled('/early')).toEqual([])
    const early = `${requestOf('/early', [good, ...fields])}EARLY`
    const response = await send('upgrade', early, (text) => text.includes('EARLY'))
    expect(response).toMatch(/101 Switching[\s\S]*alice head=(EARLY|[\s\S]*echo=EARLY alice)/)
    expect(await handled('/early')).toEqual(['/early'])
  })

  it('does not keep the socket of a refused upgrade, whatever its client does', async () => {
    const socket = connect({ port: await port('upgrade'), host: '127.0.0.1', allowHalfOpen: true })
    socket.on('error', () => undefined)
    socket.resume()
    socket.write(requestOf('/ws', ['Connection: Upgrade', 'Upgrade: test']))
    await once(socket, 'end')
    await expect.poll(() => !socket.write('x') || socket.destroyed || socket.errored !== null).toBe(true)
    socket.destroy()
  })

  it('gates CONNECT', async () => {
    expect(statuses(await send('upgrade', requestOf('a:1', [], { method: 'CONNECT' })))).toEqual([401])
    expect(await send('upgrade', requestOf('a:1', [good], { method: 'CONNECT' }))).toContain('alice')
  })

  it('refuses before it says 100 Continue', async () => {
    const fields = ['Expect: 100-continue']
    const refused = await send('continuing', requestOf('/body', [bad, ...fields], { method: 'POST', body: 'abc' }))
    expect(statuses(refused)).toEqual([401])
    const accepted = await send('continuing', requestOf('/body', [good, ...fields], { method: 'POST', body: 'abc' }))
    expect(statuses(accepted)).toEqual([100, 200])
    expect(statuses(await send('continuing', requestOf('/', [bad, 'Expect: wonders'])))).toEqual([401])
  })

  it('https: as http', async () => {
    const request = async (authorization: string | undefined): Promise<string> => {
      const options = { port: await port('https'), path: '/whoami', ca: certificates.ca, agent: false }
      const headers = authorization === undefined ? {} : { authorization }
      return new Promise((resolve, reject) => {
        httpsRequest({ host: '127.0.0.1', ...options, headers }, (response) => {
          let text = `${response.statusCode} `
          response.on('data', (chunk) => {
            text += chunk
          })
          response.on('end', () => resolve(text))
        })
          .on('error', reject)
          .end()
      })
    }
    expect(await request(undefined)).toMatch(/^401/)
    expect(await request(good.replace('Authorization: ', ''))).toContain('"subject":"alice"')
  })

  it.each([
    ['http2', '/body', '{"length":100000,"subjects":["alice"]}'],
    ['http2core', '/', 'alice 100000'],
    ['http2session', '/', 'alice 100000'],
  ])('%s: gates streams of one session, each with its own token', async (name, path, expected) => {
    const session = http2Connect(`http://127.0.0.1:${await port(name)}`)
    const request = (authorization?: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const stream = session.request({
          ':path': path,
          ':method': 'POST',
          ...(authorization ? { authorization } : {}),
        })
        let text = ''
        stream.on('response', (headers) => {
          text += `${headers[':status']} `
        })
        stream.on('data', (chunk) => {
          text += chunk
        })
        stream.on('end', () => resolve(text))
        stream.on('error', reject)
        stream.end('x'.repeat(100_000))
      })
    try {
      const value = good.replace('Authorization: ', '')
      const all = await Promise.all([
        request(value),
        request(),
        request(bad.replace('Authorization: ', '')),
        request(value),
      ])
      expect(all.map((text) => text.slice(0, 3))).toEqual(['200', '401', '401', '200'])
      expect(all[3]).toBe(`200 ${expected}`)
    } finally {
      session.close()
    }
  })

  it('a server made inside a request does not inherit its caller', async () => {
    const response = await send('nested', requestOf('/', [good]))
    const inner = Number(/"inner":(\d+)/.exec(response)?.[1])
    expect(statuses(await exchange(inner, requestOf('/whoami'), () => false))).toEqual([401])
    const bob = await issuer.token({ sub: 'bob' })
    const answer = await exchange(
      inner,
      requestOf('/body', [`Authorization: Bearer ${bob}`], { method: 'POST', body: 'a' }),
      () => false,
    )
    expect(answer).toContain('"subjects":["bob"]')
  })

  it('an exception of a listener reaches the process as ever', async () => {
    const socket = connect(await port('throwing'), '127.0.0.1')
    socket.write(requestOf('/boom', [good]))
    expect(await program.report('uncaught')).toBe('listener of /boom')
    expect(program.reported['origin']).toBe('uncaughtException')
    socket.destroy()
  })

  it('survives clients that go away while their token is verified [D17]', async () => {
    for (const fields of [[], ['Connection: Upgrade', 'Upgrade: test']]) {
      for (let i = 0; i < 25; i += 1) {
        const socket = connect(await port('upgrade'), '127.0.0.1')
        socket.on('error', () => undefined)
        await new Promise((resolve) => socket.once('connect', resolve))
        socket.write(requestOf('/whoami', [`Authorization: Bearer ${await issuer.token()}`, ...fields]))
        if (i % 2 === 0) socket.resetAndDestroy()
        else socket.end()
      }
    }
    expect(await send('upgrade', requestOf('/whoami', [good]))).toContain('"subject":"alice"')
  })

  it.each([
    ['two Authorization lines [E1]', [0, 0], 400],
    ['two Authorization lines of different case [E1]', [0, 1], 400],
  ])('answers 400 instead of taking the first one: %s', async (_name, kinds, status) => {
    const fields = kinds.map((kind) => (kind === 0 ? good : good.replace('Authorization', 'aUTHORIZATION')))
    for (const lines of [fields, [good, bad], [good, 'Authorization: Basic eDp5']]) {
      expect(statuses(await send('http', requestOf('/whoami?two', lines)))).toEqual([status])
    }
    expect(await handled('two')).toEqual([])
  })

  it('a list, parameters, a tab, latin-1 or an empty credential is not a token [E2]', async () => {
    const token = good.replace('Authorization: Bearer ', '')
    const values = [
      `Bearer ${token}, Bearer ${token}`,
      `Bearer ${token},`,
      `Bearer "${token}"`,
      `Bearer ${token} ${token}`,
      `Bearer\t${token}`,
      `Bearer \u00a0${token}`,
      `Bearer ${token}\u00ff`,
      'Bearer',
      `Bearer realm="x", token="${token}"`,
    ]
    for (const value of values) {
      const answer = await send('http', requestOf('/whoami?form', [`Authorization: ${value}`]))
      expect(statuses(answer), value.replace(token, '…')).toEqual([400])
      expect(answer).not.toContain(token.slice(-12))
    }
    expect(await handled('form')).toEqual([])
  })

  it('the scheme is Bearer in any case, and no other [E3]', async () => {
    const token = good.replace('Authorization: Bearer ', '')
    for (const scheme of ['bearer', 'BEARER', 'bEaReR']) {
      expect(statuses(await send('http', requestOf('/whoami', [`Authorization: ${scheme} ${token}`])))).toEqual([200])
    }
    for (const scheme of ['Basic', 'DPoP', 'Bearerx', 'JWT']) {
      expect(statuses(await send('http', requestOf('/whoami', [`Authorization: ${scheme} ${token}`])))).toEqual([401])
    }
  })

  it('a token in the query, a cookie, another header or the body makes no caller [E4]', async () => {
    const token = good.replace('Authorization: Bearer ', '')
    for (const [target, field] of [
      [`/whoami?elsewhere&access_token=${token}`, 'X: y'],
      ['/whoami?elsewhere', `Cookie: access_token=${token}`],
      ['/whoami?elsewhere', `X-Forwarded-Access-Token: ${token}`],
      ['/whoami?elsewhere', `Proxy-Authorization: Bearer ${token}`],
    ] as const) {
      expect(statuses(await send('http', requestOf(target, [field])))).toEqual([401])
    }
    const form = requestOf('/body?elsewhere', [], { method: 'POST', body: `access_token=${token}` })
    expect(statuses(await send('http', form))).toEqual([401])
    expect(await handled('elsewhere')).toEqual([])
  })

  it('answers as RFC 6750 says, the same for every kind of bad token', async () => {
    const missing = await send('http', requestOf('/whoami'))
    expect(missing).toMatch(/\r\nwww-authenticate: Bearer\r\n/i)
    const headerless = (answer: string): string => answer.replace(/\r\nDate: [^\r]*/i, '')
    const expired = `Authorization: Bearer ${await issuer.token({ exp: 1_000_000, iat: 999_000 })}`
    const answers = [bad, expired, 'Authorization: Bearer garbage'].map((field) =>
      send('http', requestOf('/', [field])),
    )
    const [first, ...others] = (await Promise.all(answers)).map(headerless)
    expect(first).toMatch(/\r\nwww-authenticate: Bearer error="invalid_token"\r\n/i)
    for (const other of others) expect(other).toBe(first)
  })

  it('complains of nothing on stderr', () => {
    expect(complaintsIn(program.stderr())).toEqual([])
  })
})
