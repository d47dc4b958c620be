/** Interleaved callers over shared pools, each request held back for an exchange: each leaves with its own caller's. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import type { Program } from '../support/process.ts'
import { OTEL_LINES, startProgram } from '../support/process.ts'
import type { TokenEndpoint } from '../support/token-endpoint.ts'
import { startTokenEndpoint } from '../support/token-endpoint.ts'

const USERS = 24

let issuer: TestIssuer
let endpoint: TokenEndpoint
let server: Server
let origin: string
const folder = mkdtempSync(join(tmpdir(), 'exchange-'))
let seen: { user: string; authorization: string | undefined }[] = []
const attempts = new Map<string, number>()

/** Answers late and in a random order; `/flaky` fails the first time, `/moved` redirects to `/seen`. */
beforeAll(async () => {
  issuer = await startIssuer()
  endpoint = await startTokenEndpoint(issuer)
  endpoint.answer = () => ({ after: pause(Math.random() * 20) })
  server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '', 'http://sink')
    const user = url.searchParams.get('user') ?? ''
    seen.push({ user, authorization: request.headers.authorization })
    const attempt = (attempts.get(url.href) ?? 0) + 1
    attempts.set(url.href, attempt)
    await pause(Math.random() * 4)
    if (url.pathname === '/moved') response.writeHead(302, { location: `/seen${url.search}` }).end()
    else response.writeHead(url.pathname === '/flaky' && attempt === 1 ? 503 : 200).end('ok')
  })
  origin = `http://127.0.0.1:${await listen(server)}`
})
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await Promise.all([issuer, endpoint].map((resource) => resource[Symbol.asyncDispose]()))
  await close(server)
})

async function interleave(program: Program, way: string): Promise<object> {
  const port = await program.report<number>('port')
  seen = []
  attempts.clear()
  const path = /retry/i.test(way) ? 'flaky' : way.startsWith('redirect') ? 'moved' : 'seen'
  await Promise.all(
    Array.from({ length: USERS }, async (_, i) => {
      const url = encodeURIComponent(`${origin}/${path}?user=user-${i}`)
      const headers = { authorization: `Bearer ${await issuer.token({ sub: `user-${i}` })}` }
      const response = await fetch(`http://127.0.0.1:${port}/?way=${encodeURIComponent(way)}&url=${url}`, { headers })
      expect(response.status, await response.text()).toBe(200)
    }),
  )
  const claims = seen.map(({ user, authorization }) => ({
    user,
    ...(authorization && decodeJwt(authorization.slice(7))),
  }))
  return {
    total: seen.length,
    right: claims.filter((each) => Reflect.get(each, 'sub') === each.user && Reflect.get(each, 'aud') === 'sink')
      .length,
  }
}

describe.each(OTEL_LINES)('on %s', (line) => {
  it('no way of calling mixes up twenty-four callers, and each gets a token for this audience [F12, F15]', async () => {
    const config = join(folder, `${line}.json`)
    const exchange = {
      tokenEndpoint: endpoint.url,
      clientId: 'user-service',
      clientSecret: 'secret',
      // Twenty-four at once, on a slow machine.
      timeoutMillis: 600_000,
    }
    writeFileSync(
      config,
      JSON.stringify({
        issuers: [{ issuer: issuer.issuer, audience: 'user-service', exchange }],
        destinations: [{ to: origin, exchange: { audience: 'sink' } }],
      }),
    )
    await using program = startProgram('pools.cjs', {
      line,
      preload: ['--require', 'otel-token-relay/register'],
      env: { TOKEN_RELAY_CONFIG_FILE: config },
    })
    // It cannot wait: see clients.test.ts.
    for (const way of (await program.report<string[]>('ways')).filter((name) => name !== 'http')) {
      const hops = /retry|redirect/i.test(way) ? 2 : 1
      expect(await interleave(program, way), way).toEqual({ total: USERS * hops, right: USERS * hops })
    }
  })
})
