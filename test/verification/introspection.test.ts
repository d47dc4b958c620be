/** Opaque tokens: the issuer is asked, briefly believed, and never believed past exp (RFC 7662). */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { IssuerOptions, TokenRelay } from '../../src/index.ts'
import type { FaultyIssuer } from '../support/faulty-issuer.ts'
import { startFaultyIssuer } from '../support/faulty-issuer.ts'
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

it('B15 without introspection an opaque token is malformed', async () => {
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

  it('is asked for every time where cacheMillis is 0', async () => {
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
  ] as const)('is held against the rules of the issuer: %s', async (code, changes) => {
    answer(active(changes))
    await use(async (relay) => {
      await expect(relay.verify(OPAQUE)).rejects.toMatchObject(refusal(code))
    })
  })

  it('C5 does not bring back a revoked token', async () => {
    answer(active())
    await use(async (relay) => {
      await relay.revoke(await relay.verify(OPAQUE))
      await expect(relay.verify(OPAQUE)).rejects.toMatchObject(refusal('ERR_TOKEN_REVOKED'))
    })
  })
})

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
