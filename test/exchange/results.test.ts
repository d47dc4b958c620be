/** What the token endpoint may give: the token that was asked for, and nothing else. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RelayChanges, Rig } from '../support/exchange-rig.ts'
import { claimsOf, outcome, startRig } from '../support/exchange-rig.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import type { TokenAnswer } from '../support/token-endpoint.ts'

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
beforeEach(async () => {
  rig.endpoint.requests.length = 0
  rig.endpoint.answer = {}
  await rig.relayWith({})
})
afterEach(() => rig.sink.clear())
afterAll(() => rig[Symbol.asyncDispose]())

/** What is told of a preparation, and what leaves with a request after it. */
async function attempt(answer: TokenAnswer, claims = {}): Promise<readonly [unknown, readonly string[]]> {
  rig.endpoint.answer = answer
  return rig.as(await rig.issuer.token(claims), async () => {
    const prepared = await outcome(rig.relay.prepare(rig.sink.origin))
    return [prepared, await rig.send()] as const
  })
}

const opaque = (members: object = {}): TokenAnswer => ({ members: { access_token: 'b3BhcXVl', ...members } })

describe('is sent', () => {
  it('a token for that audience, with the scopes that were asked for, of the same subject', async () => {
    await rig.relayWith({ rule: { scope: 'invoices:read' } })
    const [prepared, tokens] = await attempt({})
    expect(prepared).toBe('done')
    expect(claimsOf(tokens)).toMatchObject({ aud: 'billing', sub: 'alice', scope: 'invoices:read' })
  })

  it.each<readonly [name: string, answer: TokenAnswer, text?: string]>([
    ['with fewer scopes', { claims: { scope: '' } }],
    ['with one scope of two', { claims: { scope: 'invoices:read' }, members: { scope: 'invoices:read' } }],
    ['with its type in other letters', { members: { token_type: 'bEARER' } }],
    ['that is said to be a JWT', { members: { issued_token_type: 'urn:ietf:params:oauth:token-type:jwt' } }],
    ['whose life is written as a text', { members: { expires_in: '60' } }],
    ['whose life is not said', { members: { expires_in: undefined } }],
    ['with a list of one audience', { claims: { aud: ['billing'] } }],
    ['that lives longer than the caller', { claims: { exp: Math.floor(Date.now() / 1000) + 3_000 } }],
    ['in JSON with a charset', { headers: { 'content-type': 'application/json;charset=UTF-8' } }],
    ['that is opaque', opaque(), 'b3BhcXVl'],
    ['that is opaque, with every character of RFC 6750', opaque({ access_token: 'aZ09-._~+/==' }), 'aZ09-._~+/=='],
    ['that is opaque and encrypted: five segments', opaque({ access_token: 'a.b.c.d.e' }), 'a.b.c.d.e'],
  ])('a token %s', async (...row) => {
    const [, answer, text] = row as unknown as readonly [string, TokenAnswer, string?]
    const [prepared, tokens] = await attempt(answer)
    expect([prepared, tokens.length]).toEqual(['done', 1])
    if (text !== undefined) expect(tokens).toEqual([text])
  })
})

const HOUR = 3_600
const now = (): number => Math.floor(Date.now() / 1000)
const jwt = (claims: object, header: Readonly<Record<string, unknown>> = {}): TokenAnswer => ({
  members: { access_token: createSigner().token(goodClaims(rig.issuer.issuer, { aud: 'billing', ...claims }), header) },
})

describe('is refused, and nothing leaves [F16]', () => {
  it.each<readonly [string, () => TokenAnswer, RelayChanges?]>([
    ['a wider scope than the caller has', () => ({ claims: { scope: 'invoices:read invoices:write' } })],
    ['a wider scope in the response only', () => ({ members: { scope: 'invoices:read admin' } })],
    ['a wider scope of an opaque token', () => opaque({ scope: 'admin' })],
    ['a wider scope than was asked for', () => ({ claims: { scope: 'profiles:read' } }), { rule: { scope: 'a' } }],
    ['roles that nobody asked for', () => ({ claims: { roles: ['admin'] } })],
    ['another subject', () => ({ claims: { sub: 'mallory' } })],
    ['no subject', () => ({ claims: { sub: undefined } })],
    [
      'another subject by the configured claim',
      () => ({ claims: { oid: 'x' } }),
      { exchange: { subjectClaim: 'oid' } },
    ],
    ['another audience', () => ({ claims: { aud: 'admin-service' } })],
    ['one audience more', () => ({ claims: { aud: ['billing', 'admin-service'] } })],
    ['no audience', () => ({ claims: { aud: undefined } })],
    ['another issuer', () => ({ claims: { iss: 'https://evil.example' } })],
    ['a token_type N_A', () => ({ members: { token_type: 'N_A' } })],
    ['a token_type DPoP', () => ({ members: { token_type: 'DPoP' } })],
    ['no token_type', () => ({ members: { token_type: undefined } })],
    ['no issued_token_type', () => ({ members: { issued_token_type: undefined } })],
    ['an ID token', () => ({ members: { issued_token_type: 'urn:ietf:params:oauth:token-type:id_token' } })],
    ['a refresh token', () => ({ members: { issued_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' } })],
    [
      'an access token for a JWT',
      () => ({ members: { issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' } }),
      { rule: { tokenType: 'jwt' } },
    ],
    ['an opaque token for a JWT', () => opaque(), { rule: { tokenType: 'jwt' } }],
    ['a JWT of another kind', () => ({ header: { typ: 'logout+jwt' } })],
    ['an ID token, by its claims', () => ({ claims: { nonce: 'n-0S6_WzA2Mj' }, header: { typ: 'JWT' } })],
    ['a token that is bound to a key', () => ({ claims: { cnf: { jkt: 'x' } } })],
    ['a life longer than maxLifetimeSeconds', () => ({ claims: { exp: now() + 2 * 24 * HOUR } })],
    ['a life longer than maxLifetimeSeconds, said to be shorter', () => ({ claims: { exp: now() + 2 * 24 * HOUR } })],
    ['a long life of an opaque token', () => opaque({ expires_in: 2 * 24 * HOUR })],
    ['a token that never ends', () => ({ claims: { exp: undefined } })],
    ['a token that has ended', () => ({ claims: { iat: now() - HOUR, exp: now() - 60 } })],
    ['a signature of somebody else', () => jwt({})],
    ['an algorithm that is none', () => jwt({}, { alg: 'none' })],
    ['a JWT with one character too many', () => ({ members: { access_token: 'a.b*.c' } })],
    ['CR and LF in the token', () => opaque({ access_token: 'a\r\nx-evil: 1' })],
    ['a line end behind the token', () => opaque({ access_token: 'b3BhcXVl\n' })],
    ['a space in the token', () => opaque({ access_token: 'a b' })],
    ['letters beyond ASCII', () => opaque({ access_token: 'ä' })],
    ['an empty token', () => opaque({ access_token: '' })],
    ['a token that is no text', () => opaque({ access_token: { toString: 'x' } })],
    ['a token of 70 KB', () => opaque({ access_token: 'a'.repeat(70_000) })],
    ['a list', () => ({ body: '[]' })],
    ['null', () => ({ body: 'null' })],
    ['garbage', () => ({ body: '{"access_token":' })],
    ['nothing', () => ({ body: '' })],
    ['a page [F17]', () => ({ body: '<html>sign in</html>', headers: { 'content-type': 'text/html' } })],
    ['JSON that says it is a page [F17]', () => ({ headers: { 'content-type': 'text/html' } })],
  ])('%s', async (...row) => {
    const [, answer, changes] = row as unknown as readonly [string, () => TokenAnswer, RelayChanges?]
    if (changes !== undefined) await rig.relayWith(changes)
    const [prepared, tokens] = await attempt(answer(), { oid: 'alice-oid', scope: 'profiles:read invoices:read' })
    expect([prepared, tokens]).toEqual(['ERR_TOKEN_EXCHANGE_RESULT', []])
    // Asked once: the request that came later was not worth another question.
    expect(rig.endpoint.requests).toHaveLength(1)
  })

  it.each(['as it is', 'with the second spelling of its signature'])('the caller’s own token, %s', async (spelling) => {
    // Good for both, so that nothing but its identity speaks against it.
    const token = await rig.issuer.token({ aud: ['user-service', 'billing'] })
    await rig.relayWith({ rule: { audience: ['user-service', 'billing'] } })
    rig.endpoint.answer = { members: { access_token: spelling === 'as it is' ? token : otherSpelling(token) } }
    await rig.as(token, async () => {
      expect(await outcome(rig.relay.prepare(rig.sink.origin))).toBe('ERR_TOKEN_EXCHANGE_RESULT')
      expect(await rig.send()).toEqual([])
    })
  })
})

describe('a token endpoint that gives none [F17]', () => {
  it.each<readonly [string, TokenAnswer, string]>([
    ['says invalid_grant', { status: 400, body: '{"error":"invalid_grant"}' }, 'ERR_TOKEN_EXCHANGE_REFUSED'],
    ['does not know the client', { status: 401, body: '{"error":"invalid_client"}' }, 'ERR_TOKEN_EXCHANGE_REFUSED'],
    ['is not there', { status: 404, body: '' }, 'ERR_TOKEN_EXCHANGE_REFUSED'],
    ['is asked too often', { status: 429, body: '' }, 'ERR_TOKEN_EXCHANGE_UNAVAILABLE'],
    ['fails', { status: 500, body: '' }, 'ERR_TOKEN_EXCHANGE_UNAVAILABLE'],
    ['is in maintenance', { status: 503, body: '<html>' }, 'ERR_TOKEN_EXCHANGE_UNAVAILABLE'],
    ['has no content', { status: 204, body: '' }, 'ERR_TOKEN_EXCHANGE_UNAVAILABLE'],
    ['answers with 600', { status: 600 }, 'ERR_TOKEN_EXCHANGE_UNAVAILABLE'],
    ['answers without end', { body: `{"a":"${'a'.repeat(300_000)}"}` }, 'ERR_TOKEN_EXCHANGE_UNAVAILABLE'],
  ])('%s', async (_, answer, code) => {
    expect(await attempt(answer)).toEqual([code, []])
  })

  it('redirects are not followed, and the secret goes nowhere else', async () => {
    const location = `${rig.sink.origin}/token`
    const [prepared, tokens] = await attempt({ status: 307, headers: { location } })
    expect([prepared, tokens]).toEqual(['ERR_TOKEN_EXCHANGE_UNAVAILABLE', []])
    expect(rig.sink.received.map(({ target }) => target)).toEqual(['/'])
  })

  it('is slow: the attempt ends after timeoutMillis', async () => {
    await rig.relayWith({ exchange: { timeoutMillis: 50 } })
    const never = Promise.withResolvers<void>()
    expect(await attempt({ after: never.promise })).toEqual(['ERR_TOKEN_EXCHANGE_UNAVAILABLE', []])
    never.resolve()
  })

  it('is down', async () => {
    await rig.relayWith({ exchange: { tokenEndpoint: 'http://127.0.0.1:1/token' } })
    expect(await attempt({})).toEqual(['ERR_TOKEN_EXCHANGE_UNAVAILABLE', []])
  })

  it('keeps the caller’s own token back unless the rule says otherwise', async () => {
    await rig.relayWith({ rule: { onFailure: 'forward' } })
    rig.endpoint.answer = { status: 500 }
    const token = await rig.issuer.token()
    await rig.as(token, async () => {
      expect(await outcome(rig.relay.prepare(rig.sink.origin))).toBe('done')
      expect(await rig.send()).toEqual([token])
    })
  })
})

/** The same signature with n − s for s (RFC 7518 §3.4). */
function otherSpelling(token: string): string {
  const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const at = token.lastIndexOf('.')
  const signature = Buffer.from(token.slice(at + 1), 'base64url')
  const s = N - BigInt(`0x${signature.subarray(32).toString('hex')}`)
  const other = Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')])
  return `${token.slice(0, at + 1)}${other.toString('base64url')}`
}
