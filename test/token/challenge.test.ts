/** The HTTP answers to a refused request (RFC 6750 §3, RFC 9110 §11.6.1 and §10.2.3). */

import { describe, expect, it } from 'vitest'
import { answerFor } from '../../src/token/challenge.ts'
import type { TokenError, TokenRejectedCode } from '../../src/token/errors.ts'
import { InsufficientScopeError, TOKEN_ERRORS, TokenRejectedError, UndecidedError } from '../../src/token/errors.ts'
import { errorFor } from '../support/relay.ts'

const codes = Object.keys(TOKEN_ERRORS) as (keyof typeof TOKEN_ERRORS)[]
const invalidToken = codes.filter((code) => TOKEN_ERRORS[code].challenge === 'invalid_token') as TokenRejectedCode[]

function bodyOf(status: number, title: string): string {
  return `{"type":"about:blank","title":"${title}","status":${status}}`
}

it('a missing token gets 401 with a bare challenge, because RFC 6750 §3.1 allows no error code there', () => {
  expect(answerFor(new TokenRejectedError('ERR_TOKEN_MISSING'))).toEqual({
    status: 401,
    reason: 'Unauthorized',
    headers: {
      'www-authenticate': 'Bearer',
      'content-type': 'application/problem+json',
      'content-length': String(bodyOf(401, 'Unauthorized').length),
      'cache-control': 'no-store',
    },
    body: bodyOf(401, 'Unauthorized'),
  })
})

it('a malformed request gets 400 invalid_request', () => {
  const answer = answerFor(new TokenRejectedError('ERR_TOKEN_REQUEST'))
  expect(answer).toMatchObject({ status: 400, reason: 'Bad Request', body: bodyOf(400, 'Bad Request') })
  expect(answer.headers['www-authenticate']).toBe('Bearer error="invalid_request"')
})

it('a bad token gets 401 invalid_token', () => {
  const answer = answerFor(new TokenRejectedError('ERR_TOKEN_SIGNATURE'))
  expect(answer).toMatchObject({ status: 401, reason: 'Unauthorized', body: bodyOf(401, 'Unauthorized') })
  expect(answer.headers['www-authenticate']).toBe('Bearer error="invalid_token"')
})

it('a good token without a required scope gets 403 insufficient_scope with the required scopes', () => {
  const answer = answerFor(new InsufficientScopeError(['orders:read', 'orders:write']))
  expect(answer).toMatchObject({ status: 403, reason: 'Forbidden', body: bodyOf(403, 'Forbidden') })
  expect(answer.headers['www-authenticate']).toBe('Bearer error="insufficient_scope", scope="orders:read orders:write"')
})

it('every challenge names the resource metadata if there is one (RFC 9728 §5.1)', () => {
  const url = 'https://service.example/.well-known/oauth-protected-resource'
  const challengeOf = (error: TokenError) => answerFor(error, url).headers['www-authenticate']
  expect(challengeOf(new TokenRejectedError('ERR_TOKEN_MISSING'))).toBe(`Bearer resource_metadata="${url}"`)
  expect(challengeOf(new TokenRejectedError('ERR_TOKEN_EXPIRED'))).toBe(
    `Bearer error="invalid_token", resource_metadata="${url}"`,
  )
  expect(challengeOf(new UndecidedError('ERR_TOKEN_UNDECIDED'))).toBeUndefined()
})

it.each(['ERR_TOKEN_KEYS_UNAVAILABLE', 'ERR_TOKEN_UNDECIDED'] as const)('%s gets 503 with Retry-After', (code) => {
  const answer = answerFor(new UndecidedError(code, 2.5))
  expect(answer).toMatchObject({ status: 503, reason: 'Service Unavailable' })
  expect(answer.headers).toMatchObject({ 'retry-after': '3' })
  expect(answer.headers).not.toHaveProperty('www-authenticate')
})

it('every bad token gets the same bytes, whatever is wrong with it [A23, G8]', () => {
  const answers = invalidToken.map((code) => JSON.stringify(answerFor(new TokenRejectedError(code))))
  expect(invalidToken.length).toBeGreaterThan(10)
  expect(new Set(answers).size).toBe(1)
})

describe.each(codes)('the answer for %s', (code) => {
  const answer = answerFor(errorFor(code), 'https://service.example/.well-known/oauth-protected-resource')

  it('stays within the characters that RFC 6750 §3 and RFC 9110 §5.5 allow', () => {
    for (const [name, value] of Object.entries(answer.headers)) {
      expect(name).toMatch(/^[a-z-]+$/)
      expect(value).toMatch(/^[\x20-\x7e]+$/)
    }
    const { 'www-authenticate': challenge } = answer.headers
    if (challenge === undefined) return expect(code).toSatisfy(() => TOKEN_ERRORS[code].status > 500)
    expect(challenge).toMatch(
      /^Bearer [a-z_]+="[\x20-\x21\x23-\x5b\x5d-\x7e]+"(?:, [a-z_]+="[\x20-\x21\x23-\x5b\x5d-\x7e]+")*$/,
    )
  })

  it('shows neither code nor reason, and is not stored by caches [G8]', () => {
    expect(JSON.stringify(answer)).not.toContain(code)
    expect(JSON.stringify(answer)).not.toContain(TOKEN_ERRORS[code].message)
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.headers['content-length']).toBe(String(Buffer.byteLength(answer.body)))
  })
})
