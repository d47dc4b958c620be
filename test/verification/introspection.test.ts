/** Opaque tokens: the issuer is asked, briefly believed, and never believed past exp (RFC 7662). */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { diag } from '@opentelemetry/api'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { IssuerOptions, TokenRelay } from '../../src/index.ts'
import type { FaultyIssuer } from '../support/faulty-issuer.ts'
import { startFaultyIssuer } from '../support/faulty-issuer.ts'
import { waitFor } from '../support/patience.ts'
import { ISSUER, optionsFor, refusal, verdict, withRelay } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const NOW = Date.parse('2026-01-02T03:04:05Z')
const OPAQUE = '2YotnFZFEjr1zCsicMWpAA'
const signer = createSigner()
let server: FaultyIssuer
let bodies: string[] = []
let authorizations: (string | undefined)[] = []
let target: string
let count = 0

beforeAll(async () => {
  server = await startFaultyIssuer()
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW })
  bodies = []
  authorizations = []
  count += 1
  target = `/introspect/${count}`
})
afterEach(() => vi.useRealTimers())

const active = (changes: Readonly<Record<string, unknown>> = {}): object => ({
  ...goodClaims(ISSUER, { jti: 'token-1', scope: 'read' }),
  active: true,
  token_type: 'Bearer',
  ...changes,
})

function answer(body: unknown, status = 200, type = 'application/json'): void {
  server.answer(target, (request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    request.on('end', () => {
      bodies.push(text)
      authorizations.push(request.headers.authorization)
      response.writeHead(status, { 'content-type': type }).end(JSON.stringify(body))
    })
  })
}

async function use(
  run: (relay: TokenRelay) => Promise<void>,
  changes: Partial<IssuerOptions['introspection'] & object> = {},
): Promise<void> {
  const introspection = { endpoint: server.origin + target, clientId: 'a b', clientSecret: 's:cret', ...changes }
  await withRelay(optionsFor([signer.jwk], { introspection }), run)
}

it('an active token is verified as its claims say', async () => {
  answer(active())
  await use(async (relay) => {
    expect(await relay.verify(OPAQUE)).toMatchObject({
      issuer: ISSUER,
      subject: 'alice',
      scopes: ['read'],
      tokenId: 'token-1',
    })
    expect(bodies).toEqual([`token=${OPAQUE}`])
    expect(authorizations).toEqual([`Basic ${Buffer.from('a+b:s%3Acret').toString('base64')}`])
  })
})

it('the secret can be sent in the body', async () => {
  answer(active())
  await use(
    async (relay) => {
      await relay.verify(OPAQUE)
      expect(Object.fromEntries(new URLSearchParams(bodies[0]))).toEqual({
        token: OPAQUE,
        client_id: 'a b',
        client_secret: 's:cret',
      })
      expect(authorizations).toEqual([undefined])
    },
    { clientAuthentication: 'client_secret_post' },
  )
})

it('JWTs are not asked about, nor are texts that would be JWTs but for a character', async () => {
  answer(active())
  await use(async (relay) => {
    const token = signer.token(goodClaims(ISSUER))
    await relay.verify(token)
    for (const wrong of [`${token}=`, `${token.slice(0, -1)}*`, 'a.b.c', createSigner().token(goodClaims(ISSUER))]) {
      expect(await verdict(relay.verify(wrong))).toMatch(/^ERR_TOKEN_(MALFORMED|SIGNATURE)$/)
    }
    expect(bodies).toEqual([])
  })
})

it('without introspection an opaque token is malformed [B15]', async () => {
  await withRelay(optionsFor([signer.jwk]), async (relay) => {
    await expect(relay.verify(OPAQUE)).rejects.toMatchObject(refusal('ERR_TOKEN_MALFORMED'))
  })
})

describe('an answer', () => {
  it('is used again briefly', async () => {
    answer(active())
    await use(async (relay) => {
      await Promise.all([relay.verify(OPAQUE), relay.verify(OPAQUE)])
      vi.setSystemTime(NOW + 4_999)
      await relay.verify(OPAQUE)
      expect(bodies).toHaveLength(1)
      answer({ active: false })
      vi.setSystemTime(NOW + 5_000)
      await expect(relay.verify(OPAQUE)).rejects.toMatchObject(refusal('ERR_TOKEN_INACTIVE'))
      expect(bodies).toHaveLength(2)
    })
  })

  it('is never used past exp', async () => {
    answer(active({ exp: NOW / 1000 + 2 }))
    await use(async (relay) => {
      await relay.verify(OPAQUE)
      answer({ active: false })
      vi.setSystemTime(NOW + 2_000)
      await expect(relay.verify(OPAQUE)).rejects.toMatchObject(refusal('ERR_TOKEN_INACTIVE'))
    })
  })

  it('is asked for every time if cacheMillis is 0', async () => {
    answer(active())
    await use(
      async (relay) => {
        await relay.verify(OPAQUE)
        await relay.verify(OPAQUE)
        expect(bodies).toHaveLength(2)
      },
      { cacheMillis: 0 },
    )
  })

  it('that a token is not active is used again too', async () => {
    answer({ active: false })
    await use(async (relay) => {
      for (let i = 0; i < 5; i += 1)
        await expect(relay.verify(OPAQUE)).rejects.toMatchObject(refusal('ERR_TOKEN_INACTIVE'))
      expect(bodies).toHaveLength(1)
    })
  })

  it.each([
    ['ERR_TOKEN_AUDIENCE', { aud: 'another' }],
    ['ERR_TOKEN_CLAIM', { exp: undefined }],
    ['ERR_TOKEN_EXPIRED', { exp: NOW / 1000 - 60, iat: NOW / 1000 - 120 }],
    ['ERR_TOKEN_ISSUER', { iss: 'https://other.example' }],
    ['ERR_TOKEN_BOUND', { cnf: { jkt: 'x' } }],
    ['ERR_TOKEN_TYPE', { token_type: 'DPoP' }],
    // Of refresh tokens, which these endpoints call active: Keycloak and Ory Hydra.
    ['ERR_TOKEN_TYPE', { token_type: 'Refresh', typ: 'Refresh' }],
    ['ERR_TOKEN_TYPE', { token_type: undefined, typ: 'Offline' }],
    ['ERR_TOKEN_TYPE', { token_type: 'Bearer', token_use: 'refresh_token' }],
  ] as const)('is held against the rules of the issuer: %s %j', async (code, changes) => {
    answer(active(changes))
    await use(async (relay) => {
      await expect(relay.verify(OPAQUE)).rejects.toMatchObject(refusal(code))
    })
  })

  it.each([
    ['Keycloak', { token_type: 'Bearer', typ: 'Bearer', azp: 'web', client_id: 'web', username: 'alice' }],
    ['Ory Hydra', { token_type: 'Bearer', token_use: 'access_token', client_id: 'web', ext: {} }],
  ])('is good for an access token of %s', async (_, claims) => {
    answer(active(claims))
    await use(async (relay) => {
      expect(await relay.verify(OPAQUE)).toMatchObject({ subject: 'alice' })
    })
  })

  it('does not bring back a revoked token [C5]', async () => {
    answer(active())
    await use(async (relay) => {
      await relay.revoke(await relay.verify(OPAQUE))
      await expect(relay.verify(OPAQUE)).rejects.toMatchObject(refusal('ERR_TOKEN_REVOKED'))
    })
  })
})

describe('an issuer that answers 4xx about some tokens [D18]', () => {
  /** Answers with `status` about tokens that are long, and says that all others are active. */
  function answerLongOnes(status: number, body: unknown = { error: 'invalid_request' }): void {
    server.answer(target, async (request, response) => {
      const token = new URLSearchParams(await textOf(request)).get('token') ?? ''
      bodies.push(token)
      const isLong = token.length > 1_000
      response.writeHead(isLong ? status : 200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(isLong ? body : active({ jti: token })))
    })
  }
  const garbage = (): string => `${'x'.repeat(4_000)}${crypto.randomUUID()}`

  const unavailable = 'ERR_TOKEN_INTROSPECTION_UNAVAILABLE'
  it.each([
    ...[400, 413, 414, 422, 431].map((status) => [status, 'ERR_TOKEN_INACTIVE'] as const),
    ...[402, 404, 405, 410, 415, 418, 423, 451].map((status) => [status, unavailable] as const),
  ])('%i: these are %s, and others are let in under a flood of them', async (status, code) => {
    answerLongOnes(status)
    await use(
      async (relay) => {
        expect(await verdict(relay.verify(OPAQUE))).toBe('verified')
        for (let wave = 0; wave < 5; wave += 1) {
          const flood = Array.from({ length: 20 }, () => verdict(relay.verify(garbage())))
          const good = [OPAQUE, crypto.randomUUID(), crypto.randomUUID()].map((each) => verdict(relay.verify(each)))
          expect(new Set(await Promise.all(flood))).toEqual(new Set([code]))
          expect(new Set(await Promise.all(good))).toEqual(new Set(['verified']))
        }
      },
      { cacheMillis: 0 },
    )
  })

  it.each([
    [404, unavailable],
    [405, unavailable],
    [400, 'ERR_TOKEN_INACTIVE'],
  ])('%i about everything for a moment: a good token is %s, and let in right after it', async (status, code) => {
    answer(active())
    await use(async (relay) => {
      await relay.verify(OPAQUE)
      answer('not found', status, 'text/html')
      const another = crypto.randomUUID()
      expect(await verdict(relay.verify(another))).toBe(code)
      answer(active())
      expect(await verdict(relay.verify(another))).toBe('verified')
    })
  })

  it('is undecided about them before it has answered about another one, and a minute after', async () => {
    answerLongOnes(400)
    await use(
      async (relay) => {
        for (let i = 0; i < 30; i += 1) {
          expect(await verdict(relay.verify(garbage()))).toBe('ERR_TOKEN_INTROSPECTION_UNAVAILABLE')
        }
        // It was not taken for an endpoint that is down.
        expect(await verdict(relay.verify(OPAQUE))).toBe('verified')
        expect(await verdict(relay.verify(garbage()))).toBe('ERR_TOKEN_INACTIVE')
        vi.setSystemTime(NOW + 60_000)
        expect(await verdict(relay.verify(garbage()))).toBe('ERR_TOKEN_INTROSPECTION_UNAVAILABLE')
      },
      { cacheMillis: 0 },
    )
  })

  it('is undecided about a token that it has called active: then something else is wrong', async () => {
    answerLongOnes(400)
    await use(
      async (relay) => {
        const another = crypto.randomUUID()
        for (const token of [OPAQUE, another]) await relay.verify(token)
        answer({}, 404)
        expect(await verdict(relay.verify(OPAQUE))).toBe('ERR_TOKEN_INTROSPECTION_UNAVAILABLE')
        answer({ active: false })
        expect(await verdict(relay.verify(OPAQUE))).toBe('ERR_TOKEN_INACTIVE')
      },
      { cacheMillis: 0 },
    )
  })

  it.each<readonly [number, unknown]>([
    [401, undefined],
    [403, {}],
    [400, { error: 'invalid_client' }],
    [400, { error: 'unauthorized_client' }],
  ])('%i %j is about this service: undecided, reported once, and not asked again and again', async (status, body) => {
    const said: string[] = []
    const hear = (text: string): void => void said.push(text)
    diag.setLogger({ error: hear, warn: hear, info: () => undefined, debug: () => undefined, verbose: () => undefined })
    said.length = 0
    await use(
      async (relay) => {
        answer(body, status)
        for (let i = 0; i < 100; i += 1) {
          expect(await verdict(relay.verify(crypto.randomUUID()))).toBe('ERR_TOKEN_INTROSPECTION_UNAVAILABLE')
        }
        expect(bodies.length).toBeLessThan(40)
        vi.setSystemTime(NOW + 10_000)
        answer(active())
        expect(await verdict(relay.verify(OPAQUE))).toBe('verified')
      },
      { cacheMillis: 0 },
    ).finally(() => diag.disable())
    expect(said).toEqual([
      `otel-token-relay: introspection: ${ISSUER} refuses this service (${status}): its client id or secret is wrong`,
      `otel-token-relay: introspection: ${ISSUER} answers this service again`,
    ])
  })

  it.each([
    408, 429, 500, 502, 503,
  ])('%i about made-up tokens does not keep it from being asked about known ones', async (status) => {
    answerLongOnes(status)
    await use(
      async (relay) => {
        expect(await verdict(relay.verify(OPAQUE))).toBe('verified')
        for (let wave = 0; wave < 5; wave += 1) {
          const flood = Array.from({ length: 20 }, () => verdict(relay.verify(garbage())))
          expect(new Set(await Promise.all(flood))).toEqual(new Set(['ERR_TOKEN_INTROSPECTION_UNAVAILABLE']))
          expect(await verdict(relay.verify(OPAQUE))).toBe('verified')
        }
      },
      { cacheMillis: 0 },
    )
  })
})

describe('an issuer that is slow about some tokens [D18]', () => {
  const held: ServerResponse[] = []
  let asked = 0
  beforeEach(() => {
    held.length = 0
    asked = 0
    server.answer(target, async (request, response) => {
      const token = new URLSearchParams(await textOf(request)).get('token') ?? ''
      asked += 1
      response.writeHead(200, { 'content-type': 'application/json' })
      if (token.startsWith('slow')) held.push(response)
      else response.end(JSON.stringify(active({ jti: token })))
    })
  })
  const release = (body: object): void => {
    for (const response of held.splice(0)) response.end(JSON.stringify(body))
  }
  const slow = (i: number): string => `slow-${i}`

  it('is asked about 192 unknown ones at once, and meanwhile about those that it has called active', async () => {
    await use(
      async (relay) => {
        expect(await verdict(relay.verify(OPAQUE))).toBe('verified')
        const verdicts: string[] = []
        const flood = Array.from({ length: 300 }, (_, i) =>
          verdict(relay.verify(slow(i))).then((each) => verdicts.push(each)),
        )
        await waitFor(() => expect([held.length, verdicts.length]).toEqual([192, 108]))
        expect(new Set(verdicts)).toEqual(new Set(['ERR_TOKEN_INTROSPECTION_UNAVAILABLE']))
        for (let i = 0; i < 10; i += 1) expect(await verdict(relay.verify(OPAQUE))).toBe('verified')
        release({ active: false })
        await Promise.all(flood)
        expect(asked).toBe(1 + 192 + 10)
        // Nothing is left over of them.
        expect(await verdict(relay.verify(crypto.randomUUID()))).toBe('verified')
      },
      { cacheMillis: 0, timeoutMillis: 60_000 },
    )
  })

  it('is asked about 256 at once in all', async () => {
    await use(
      async (relay) => {
        const tokens = Array.from({ length: 300 }, (_, i) => slow(i))
        for (let i = 0; i < 300; i += 100) {
          const known = tokens.slice(i, i + 100).map((token) => relay.verify(token))
          await waitFor(() => expect(held).toHaveLength(100))
          release(active())
          await Promise.all(known)
        }
        const verdicts: string[] = []
        const again = tokens.map((token) => verdict(relay.verify(token)).then((each) => verdicts.push(each)))
        await waitFor(() => expect([held.length, verdicts.length]).toEqual([256, 44]))
        release(active())
        await Promise.all(again)
      },
      { cacheMillis: 0, timeoutMillis: 60_000 },
    )
  })
})

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) text += String(chunk)
  return text
}

describe('it cannot be decided', () => {
  it.each<[string, unknown, number, string]>([
    ['an error', { error: 'server_error' }, 500, 'application/json'],
    ['a refused client', { error: 'invalid_client' }, 401, 'application/json'],
    ['HTML', { active: true }, 200, 'text/html'],
    ['no verdict', {}, 200, 'application/json'],
    ['a verdict that is no boolean', { active: 'true' }, 200, 'application/json'],
    ['a list', [true], 200, 'application/json'],
    ['too much', { active: true, text: 'x'.repeat(70_000) }, 200, 'application/json'],
  ])('%s', async (_, body, status, type) => {
    answer(body, status, type)
    await use(async (relay) => {
      await expect(relay.verify(OPAQUE)).rejects.toMatchObject(refusal('ERR_TOKEN_INTROSPECTION_UNAVAILABLE'))
    })
  })

  it('no answer', async () => {
    server.answer(target, () => undefined)
    await use(
      async (relay) => {
        await expect(relay.verify(OPAQUE)).rejects.toMatchObject(refusal('ERR_TOKEN_INTROSPECTION_UNAVAILABLE'))
      },
      { timeoutMillis: 50 },
    )
  })
})
