/** `doctor -- program`: whether servers of a real program are behind the gate, and what its clients would send. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'
import type { Application } from './command.ts'
import { checksOf, createApplication, runCommand } from './command.ts'

let issuer: TestIssuer
let sink: Sink
let application: Application
beforeAll(async () => {
  issuer = await startIssuer()
  sink = await startSink()
  application = createApplication()
  for (const [path, text] of Object.entries(PROGRAMS)) application.write(path, text)
})
afterAll(async () => {
  application[Symbol.dispose]()
  await issuer[Symbol.asyncDispose]()
  await sink[Symbol.asyncDispose]()
})

/** A marker on standard output shows that a handler of the program has run. */
const SERVER = `
const server = require('node:http').createServer((request, response) => {
  console.log('HANDLED')
  response.end('hello')
})
`

const PROGRAMS = {
  'http.cjs': `${SERVER} server.listen(0)`,
  'address.cjs': `${SERVER} server.listen(0, '127.0.0.1')`,
  'esm.mjs': "import { createServer } from 'node:http'\ncreateServer((_, response) => response.end()).listen(0)",
  'http2.cjs': "require('node:http2').createServer((_, response) => response.end()).listen(0)",
  'two.cjs': `${SERVER} server.listen(0, () => require('node:http2').createServer().listen(0))`,
  'code.cjs': `
const { createTokenRelay } = require('otel-token-relay')
const options = { issuers: [{ issuer: process.env.ISSUER, audience: 'user-service' }] }
if (process.env.MODE) options.ingress = { mode: process.env.MODE }
createTokenRelay(options)
${SERVER} server.listen(0)`,
  'cluster.cjs': `
const cluster = require('node:cluster')
if (cluster.isPrimary) { cluster.fork(); cluster.fork() } else { ${SERVER} server.listen(0) }`,
  'thread.cjs': `
const { Worker, isMainThread } = require('node:worker_threads')
if (isMainThread) new Worker(__filename)
else { ${SERVER} server.listen(0) }`,
  'calls.cjs': `
const http = require('node:http')
const http2 = require('node:http2')
async function call() {
  await fetch(process.env.NAMED + '/fetch?q=secret-query').then((response) => response.text())
  await new Promise((resolve) => http.get(process.env.OTHER + '/http', (response) => response.resume().on('end', resolve)))
  const session = http2.connect(process.env.GRPC).on('error', () => undefined)
  const stream = session.request({ ':method': 'POST', ':path': '/ledger.Ledger/Book', 'content-type': 'application/grpc' })
  stream.on('error', () => undefined)
  await new Promise((resolve) => stream.on('close', resolve).end())
  ${SERVER} server.listen(0)
}
call()`,
  'ends.cjs': 'process.exit(3)',
  'nothing.cjs': 'setInterval(() => undefined, 1000)',
  'stubborn.cjs': `process.on('SIGTERM', () => undefined)\n${SERVER} server.listen(0)`,
}

const REGISTER = '--import=otel-token-relay/register'
const environment = (more: Readonly<Record<string, string>> = {}) => ({
  TOKEN_RELAY_ISSUER: issuer.issuer,
  TOKEN_RELAY_AUDIENCE: 'user-service',
  ...more,
})
const run = (program: readonly string[], more: Readonly<Record<string, string>> = {}, wait = '60') =>
  checksOf(['doctor', '--wait', wait], {
    folder: application.folder,
    env: environment(more),
    program: ['node', ...program],
  })

describe('a server is behind the gate', () => {
  it.each([
    ['by NODE_OPTIONS', ['http.cjs'], { NODE_OPTIONS: REGISTER }],
    ['by an option of node', [REGISTER, 'http.cjs'], {}],
    ['by --require', ['--require', 'otel-token-relay/register', 'esm.mjs'], {}],
    ['on one address', [REGISTER, 'address.cjs'], {}],
    ['in a thread', [REGISTER, 'thread.cjs'], {}],
  ])('%s: it answers 401, and no handler runs [J5]', async (_, program, env) => {
    const { find, status, stderr } = await run(program, env)
    expect(find('program.server')).toMatchObject([
      { status: 'ok', text: expect.stringContaining('it answers 401 without a token') },
    ])
    expect(status).toBe(0)
    expect(stderr).not.toContain('HANDLED')
  })

  it.each(['optional', 'report'])('in the mode %s, which lets requests pass: it is not asked [J5]', async (mode) => {
    const { find, status, stderr } = await run([REGISTER, 'http.cjs'], { TOKEN_RELAY_INGRESS_MODE: mode })
    const expected = mode === 'report' ? ['note', 'no request is refused'] : ['ok', 'as its process says']
    expect(find('program.server')).toMatchObject([
      { status: expected[0], text: expect.stringContaining(expected[1] ?? '') },
    ])
    expect(status).toBe(0)
    expect(stderr).not.toContain('HANDLED')
  })

  it('in each worker of a cluster', async () => {
    const { find } = await run(['cluster.cjs'], { NODE_OPTIONS: REGISTER })
    expect(find('program.server').length).toBeGreaterThan(0)
    expect(new Set(find('program.server').map(({ status }) => status))).toEqual(new Set(['ok']))
  })

  it('of HTTP/2, as its process says: it is not asked', async () => {
    const { find } = await run(['http2.cjs'], { NODE_OPTIONS: REGISTER })
    expect(find('program.server')).toMatchObject([
      { status: 'ok', text: expect.stringMatching(/^http2 .*as its process says/) },
    ])
  })

  it('each by itself, if there are two', async () => {
    const { find } = await run(['two.cjs'], { NODE_OPTIONS: REGISTER })
    expect(
      find('program.server')
        .map(({ text }) => text.split(' ')[0])
        .toSorted(),
    ).toEqual(['http', 'http2'])
  })

  it('of a relay that the program makes itself, without any configuration outside', async () => {
    const env = { ISSUER: issuer.issuer, MODE: 'require', TOKEN_RELAY_ISSUER: '', TOKEN_RELAY_AUDIENCE: '' }
    const { find, status } = await run(['code.cjs'], env)
    expect(find('program.server')).toMatchObject([
      { status: 'ok', text: expect.stringContaining('as its process says') },
    ])
    expect(status).toBe(0)
  })
})

describe('a server is NOT behind the gate', () => {
  it.each([
    ['because nothing loads the relay', ['http.cjs'], {}, 'no relay is in its process'],
    [
      'because the relay of the program has none',
      ['code.cjs'],
      { TOKEN_RELAY_ISSUER: '', TOKEN_RELAY_AUDIENCE: '' },
      'the relay in its process has none',
    ],
    [
      'because the relay of the program lets all pass',
      ['code.cjs'],
      { MODE: 'off', TOKEN_RELAY_ISSUER: '', TOKEN_RELAY_AUDIENCE: '' },
      'ingress.mode is off or report',
    ],
    [
      'because it is off, and there is no adapter',
      [REGISTER, 'http.cjs'],
      { TOKEN_RELAY_INGRESS_MODE: 'off' },
      'ingress.mode is off',
    ],
  ])('%s: it is not asked either [J5]', async (_, program, env, problem) => {
    const { find, status, stderr } = await run(program, { ISSUER: issuer.issuer, ...env })
    expect(find('program.server')).toMatchObject([
      { status: 'finding', text: expect.stringContaining(`NOT behind the gate: ${problem}`) },
    ])
    expect(status).toBe(1)
    expect(stderr).not.toContain('HANDLED')
  })
})

describe('doctor says of a program that', () => {
  it('it ends before it opens a server', async () => {
    const { find } = await run(['ends.cjs'])
    expect(find('program.start')).toMatchObject([
      { status: 'finding', text: 'no server was opened: it ended with exit code 3' },
    ])
  })

  it('it opens none in time', async () => {
    const { find } = await run(['nothing.cjs'], {}, '2')
    expect(find('program.start')).toMatchObject([{ status: 'finding', text: 'no server was opened within 2 seconds' }])
  })

  it('it replaces NODE_OPTIONS', async () => {
    const { find } = await checksOf(['doctor'], {
      folder: application.folder,
      env: environment(),
      program: ['env', 'NODE_OPTIONS=', 'node', 'ends.cjs'],
    })
    expect(find('program.start')).toMatchObject([
      { status: 'finding', advice: expect.stringContaining('must not replace NODE_OPTIONS') },
    ])
  })
})

it('a program that ignores SIGTERM is ended, and so are the processes that it has started', async () => {
  const { find } = await run(['stubborn.cjs'])
  const pid = Number(/process (\d+)/.exec(find('program.server')[0]?.text ?? '')?.[1])
  expect(pid).toBeGreaterThan(0)
  expect(() => process.kill(pid, 0)).toThrow('ESRCH')
})

it('calls of the program are explained, by origin only', async () => {
  const grpc = sink.origin.replace('127.0.0.1', 'localhost')
  const env = {
    NODE_OPTIONS: REGISTER,
    NAMED: sink.origin,
    OTHER: issuer.issuer.replace('127.0.0.1', 'localhost'),
    GRPC: grpc,
    TOKEN_RELAY_DESTINATIONS: `${sink.origin},${grpc}`,
  }
  const { find, stdout } = await run(['calls.cjs'], env)
  const calls = Object.fromEntries(find('program.call').map((check) => [check.text.split(' called ')[0], check]))
  expect(calls['fetch or undici']).toMatchObject({ status: 'ok' })
  expect(calls['http']).toMatchObject({ status: 'note', advice: expect.stringContaining(env.OTHER) })
  expect(calls['gRPC']).toMatchObject({
    status: 'finding',
    advice: expect.stringContaining(`differs by its scheme: this call needs "${grpc.replace('http', 'grpc')}"`),
  })
  expect(find('program.clients')).toMatchObject([
    { status: 'ok', text: expect.stringContaining('covered: fetch, node:http') },
  ])
  expect(stdout).not.toContain('secret-query')
})

it('the report alone is on standard output; what the program prints is on standard error', async () => {
  application.write('talks.cjs', "console.log('from the program'); process.exit(0)")
  const result = await runCommand(['doctor'], {
    folder: application.folder,
    env: environment(),
    program: ['node', 'talks.cjs'],
  })
  expect(result.stdout).not.toContain('from the program')
  expect(result.stderr).toContain('from the program')
})
