/** A hundred callers whose work goes through what all of them share: each call leaves as the caller who came in with it. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import type { OtelLine, Program } from '../support/process.ts'
import { OTEL_LINES, startProgram } from '../support/process.ts'

const USERS = 100

let issuer: TestIssuer
let server: Server
let origin: string
let tokens: readonly string[]
let seen: { user: number; authorization: string | undefined }[] = []

beforeAll(async () => {
  issuer = await startIssuer()
  server = createServer((request, response) => {
    const user = Number(new URL(request.url ?? '', 'http://sink').searchParams.get('user'))
    seen.push({ user, authorization: request.headers.authorization })
    setTimeout(() => response.end('ok'), user % 4)
  })
  origin = `http://127.0.0.1:${await listen(server)}`
  tokens = await Promise.all(Array.from({ length: USERS }, (_, i) => issuer.token({ sub: `user-${i}` })))
})
afterAll(async () => {
  await issuer[Symbol.asyncDispose]()
  await close(server)
})

function start(line: OtelLine): Program {
  return startProgram('async.cjs', {
    line,
    preload: ['--require', 'otel-token-relay/register'],
    env: {
      TOKEN_RELAY_ISSUER: issuer.issuer,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      TOKEN_RELAY_DESTINATIONS: origin,
    },
  })
}

async function interleave(program: Program, way: string): Promise<{ right: number; wrong: number; missing: number }> {
  const port = await program.report<number>('port')
  seen = []
  await Promise.all(
    tokens.map(async (token, i) => {
      const query = new URLSearchParams({ way, url: `${origin}/seen?user=${i}` })
      const headers = { authorization: `Bearer ${token}` }
      const response = await fetch(`http://127.0.0.1:${port}/?${query}`, { headers })
      expect(response.status, await response.text()).toBe(200)
    }),
  )
  const missing = seen.filter(({ authorization }) => authorization === undefined).length
  const right = seen.filter(({ user, authorization }) => authorization === `Bearer ${tokens[user]}`).length
  return { right, wrong: seen.length - right - missing, missing }
}

describe.each(OTEL_LINES)('on %s', (line) => {
  it('no way of sharing work mixes up a hundred callers, and none loses one [G1]', async () => {
    await using program = start(line)
    for (const way of await program.report<string[]>('ways')) {
      expect(await interleave(program, way), way).toEqual({ right: USERS, wrong: 0, missing: 0 })
    }
  })

  it('a batch of several callers is sent as none of them [G1]', async () => {
    await using program = start(line)
    for (const way of await program.report<string[]>('ambiguous')) {
      const { right, wrong, missing } = await interleave(program, way)
      expect({ sent: right + missing, wrong }, way).toEqual({ sent: USERS, wrong: 0 })
      expect(missing, way).toBeGreaterThan(0)
    }
  })

  it('the rig catches one that does', async () => {
    await using program = start(line)
    for (const way of await program.report<string[]>('naive')) {
      expect((await interleave(program, way)).wrong, way).toBeGreaterThan(0)
    }
  })
})
