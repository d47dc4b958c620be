/** Interleaved callers over shared pools: each request leaves with its own caller's token, or with none. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import type { Program } from '../support/process.ts'
import { startProgram } from '../support/process.ts'

const USERS = 20
const OPENTELEMETRY = ['otel-3', 'otel-2'] as const

let issuer: TestIssuer
let origin: string
let server: Server
let seen: { user: string; authorization: string | undefined }[] = []
const attempts = new Map<string, number>()

/** Answers late and in a random order; `/flaky` fails the first time, `/moved` redirects to `/seen`. */
beforeAll(async () => {
  issuer = await startIssuer()
  server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://sink')
    const user = url.searchParams.get('user') ?? ''
    seen.push({ user, authorization: request.headers.authorization })
    const attempt = (attempts.get(url.href) ?? 0) + 1
    attempts.set(url.href, attempt)
    setTimeout(() => {
      if (url.pathname === '/moved') response.writeHead(302, { location: `/seen${url.search}` }).end()
      else response.writeHead(url.pathname === '/flaky' && attempt === 1 ? 503 : 200).end('ok')
    }, Math.random() * 4)
  })
  origin = `http://127.0.0.1:${await listen(server)}`
})
afterAll(async () => {
  await issuer[Symbol.asyncDispose]()
  await close(server)
})

interface Verdict {
  readonly total: number
  readonly wrong: number
  readonly missing: number
}

async function interleave(program: Program, way: string): Promise<Verdict> {
  const port = await program.report<number>('port')
  const tokens = await Promise.all(Array.from({ length: USERS }, (_, i) => issuer.token({ sub: `user-${i}` })))
  seen = []
  attempts.clear()
  const path = /retry/i.test(way) ? 'flaky' : way.startsWith('redirect') ? 'moved' : 'seen'
  await Promise.all(
    tokens.map(async (token, i) => {
      const url = encodeURIComponent(`${origin}/${path}?user=${i}`)
      const headers = { authorization: `Bearer ${token}` }
      const response = await fetch(`http://127.0.0.1:${port}/?way=${encodeURIComponent(way)}&url=${url}`, { headers })
      expect(response.status, await response.text()).toBe(200)
    }),
  )
  return {
    total: seen.length,
    wrong: seen.filter(({ user, authorization }) => authorization && authorization !== `Bearer ${tokens[Number(user)]}`)
      .length,
    missing: seen.filter(({ authorization }) => authorization === undefined).length,
  }
}

describe.each(OPENTELEMETRY)('on %s', (line) => {
  it('no way of calling mixes up twenty callers, and none loses one [F12]', async () => {
    await using program = startProgram('pools.cjs', {
      line,
      preload: ['--require', 'otel-token-relay/register'],
      env: {
        TOKEN_RELAY_ISSUER: issuer.issuer,
        TOKEN_RELAY_AUDIENCE: 'user-service',
        TOKEN_RELAY_DESTINATIONS: origin,
      },
    })
    for (const way of await program.report<string[]>('ways')) {
      const hops = /retry|redirect/i.test(way) ? 2 : 1
      expect(await interleave(program, way), way).toEqual({ total: USERS * hops, wrong: 0, missing: 0 })
    }
  })
})

it('the rig catches a build that mixes callers up', async () => {
  await using program = startProgram('pools.cjs', { preload: ['--require', './programs/naive.cjs'] })
  expect((await interleave(program, 'pool 7')).wrong).toBeGreaterThan(0)
  expect((await interleave(program, 'redirect 8')).wrong).toBeGreaterThan(0)
})
