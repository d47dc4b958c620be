/** A real `next build` and `next start`: no caller sees what Next.js has stored for another one. */

import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import { waitUntil } from '../support/patience.ts'
import type { Program } from '../support/process.ts'
import { startProgram } from '../support/process.ts'

const TESTS = join(import.meta.dirname, '..')

/** A build takes half a minute, on a machine that does nothing else. */
const BUSY = 600_000

/** There is no service while the application is built. */
const NOWHERE = 'http://127.0.0.1:9'

let issuer: TestIssuer
let folder: string
let program: Program
let port: number
/** Who has arrived, and where. */
let arrived: string[] = []
const named = createServer(({ url, headers }, response) => {
  const payload = headers.authorization?.split('.')[1]
  const subject = payload === undefined ? 'nothing' : JSON.parse(Buffer.from(payload, 'base64url').toString()).sub
  arrived.push(`${url}: ${subject}`)
  response.end(`for ${subject}`)
})

beforeAll(async () => {
  issuer = await startIssuer()
  const origin = `http://127.0.0.1:${await listen(named)}`
  folder = mkdtempSync(join(TESTS, 'otel-3', '.nextjs-'))
  cpSync(join(TESTS, 'programs', 'nextjs'), folder, { recursive: true })
  const env = { ROOT: '../../..', NEXT_TELEMETRY_DISABLED: '1' }
  const next = join(TESTS, '..', 'node_modules', 'next', 'dist', 'bin', 'next')
  await promisify(execFile)(process.execPath, [next, 'build', folder], {
    env: { PATH: process.env['PATH'], NAMED: NOWHERE, ...env },
  })
  program = startProgram('next-start.cjs', {
    preload: ['--require', 'otel-token-relay/register'],
    args: [folder],
    env: {
      ...env,
      NAMED: origin,
      TOKEN_RELAY_ISSUER: issuer.issuer,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      TOKEN_RELAY_DESTINATIONS: origin,
    },
  })
  port = await program.report<number>('port')
  await waitUntil(() => program.stdout().includes('Ready'))
}, BUSY)
afterAll(async () => {
  await program?.[Symbol.asyncDispose]()
  await Promise.all([issuer[Symbol.asyncDispose](), close(named)])
  rmSync(folder, { recursive: true, force: true })
})
beforeEach(() => {
  arrived = []
})

async function visit(path: string, subject: string): Promise<string> {
  const headers = { authorization: `Bearer ${await issuer.token({ sub: subject })}` }
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers })
  const text = await response.text()
  return /<p>(.*)<\/p>/.exec(text)?.[1] ?? text
}

const visits = async (path: string): Promise<readonly string[]> => [
  await visit(path, 'alice'),
  await visit(path, 'bob'),
  await visit(path, 'alice'),
]

it('a response that is not stored is asked for with each caller’s token', async () => {
  expect(await visits('/each')).toEqual(['for alice', 'for bob', 'for alice'])
})

it.each(['/stored', '/remembered'])('%s is asked for once, without a token [F22]', async (path) => {
  expect(await visits(path)).toEqual(['for nothing', 'for nothing', 'for nothing'])
  expect(arrived).toEqual([`${path}: nothing`])
})

it('a page that is rendered for all callers is rendered without a token [F22]', async () => {
  // The first visits get what the build has rendered; each render asks once.
  for (let count = 0; arrived.length < 3; count += 1) await visit('/generated', count % 2 === 0 ? 'alice' : 'bob')
  expect(new Set(arrived)).toEqual(new Set(['/generated: nothing']))
})

it('the response for one request of a page is not stored for another one [F22]', async () => {
  expect(await visits('/joined')).toEqual(['for alice, for alice', 'for bob, for bob', 'for alice, for alice'])
})
