/** Token errors have constant codes, messages and statuses, and show nothing of a token. */

import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { TokenErrorCode } from '../../src/token/errors.ts'
import {
  cloneError,
  ExchangeError,
  InsufficientRoleError,
  InsufficientScopeError,
  SealError,
  TOKEN_ERRORS,
  TokenError,
  TokenRejectedError,
  UndecidedError,
} from '../../src/token/errors.ts'
import { errorFor } from '../support/relay.ts'

type Row = readonly [code: TokenErrorCode, status: number, challenge: string | undefined, message: string]
const TABLE: readonly Row[] = [
  ['ERR_TOKEN_MISSING', 401, undefined, 'no bearer token was presented'],
  ['ERR_TOKEN_REQUEST', 400, 'invalid_request', 'the request does not carry exactly one well-formed bearer token'],
  ['ERR_TOKEN_MALFORMED', 401, 'invalid_token', 'the token is not a compact JWS'],
  ['ERR_TOKEN_TOO_LARGE', 401, 'invalid_token', 'the token exceeds the size limit'],
  ['ERR_TOKEN_HEADER', 401, 'invalid_token', 'the token header is not acceptable'],
  ['ERR_TOKEN_ALGORITHM', 401, 'invalid_token', 'the token algorithm is not allowed'],
  ['ERR_TOKEN_TYPE', 401, 'invalid_token', 'the token is not of an accepted type'],
  ['ERR_TOKEN_ISSUER', 401, 'invalid_token', 'the token issuer is not configured'],
  ['ERR_TOKEN_KEY', 401, 'invalid_token', 'no published key matches the token'],
  ['ERR_TOKEN_SIGNATURE', 401, 'invalid_token', 'the token signature is not valid'],
  ['ERR_TOKEN_AUDIENCE', 401, 'invalid_token', 'the token is for another audience'],
  ['ERR_TOKEN_EXPIRED', 401, 'invalid_token', 'the token has expired'],
  ['ERR_TOKEN_NOT_YET_VALID', 401, 'invalid_token', 'the token is not valid yet'],
  ['ERR_TOKEN_TOO_OLD', 401, 'invalid_token', 'the token was issued too long ago'],
  ['ERR_TOKEN_LIFETIME', 401, 'invalid_token', 'the token lifetime exceeds the limit'],
  ['ERR_TOKEN_CLAIM', 401, 'invalid_token', 'a required claim is missing or invalid'],
  ['ERR_TOKEN_BOUND', 401, 'invalid_token', 'the token is bound to a key, but no proof of possession was presented'],
  ['ERR_TOKEN_RULE', 401, 'invalid_token', 'a claim rule refuses the token'],
  ['ERR_TOKEN_INACTIVE', 401, 'invalid_token', 'the issuer reports that the token is not active'],
  ['ERR_TOKEN_REVOKED', 401, 'invalid_token', 'the token has been revoked'],
  ['ERR_TOKEN_SEAL', 401, 'invalid_token', 'the token is not sealed for this message, or cannot be opened'],
  ['ERR_TOKEN_SCOPE', 403, 'insufficient_scope', 'the token lacks a required scope'],
  ['ERR_TOKEN_ROLE', 403, 'insufficient_scope', 'the token lacks a required role'],
  ['ERR_TOKEN_ISSUER_UNAVAILABLE', 503, undefined, 'the issuer resolver is unavailable'],
  ['ERR_TOKEN_INTROSPECTION_UNAVAILABLE', 503, undefined, 'the introspection endpoint is unavailable'],
  ['ERR_TOKEN_REVOCATION_UNAVAILABLE', 503, undefined, 'the revocation list is unavailable or out of date'],
  ['ERR_TOKEN_AUDIT_UNAVAILABLE', 503, undefined, 'the decision cannot be recorded in the audit trail'],
  ['ERR_TOKEN_KEYS_UNAVAILABLE', 503, undefined, 'the keys of the token issuer are unavailable'],
  [
    'ERR_TOKEN_KEY_UNDECIDED',
    503,
    undefined,
    'the signing key is unknown, and the issuer keys cannot be fetched again yet',
  ],
  ['ERR_TOKEN_EXCHANGE_REFUSED', 502, undefined, 'the issuer refuses to issue a token for this destination'],
  ['ERR_TOKEN_EXCHANGE_RESULT', 502, undefined, 'the issued token does not match the request'],
  ['ERR_TOKEN_EXCHANGE_LIFETIME', 502, undefined, 'the token would expire before the call ends'],
  ['ERR_TOKEN_EXCHANGE_UNAVAILABLE', 503, undefined, 'the token endpoint of the issuer is unavailable'],
  ['ERR_TOKEN_UNDECIDED', 503, undefined, 'the token could not be checked'],
]

const CLASSES: Readonly<Record<number, abstract new (...args: never[]) => TokenError>> = {
  400: TokenRejectedError,
  401: TokenRejectedError,
  403: InsufficientScopeError,
  502: ExchangeError,
  503: UndecidedError,
}
const OWN: Readonly<Record<string, readonly string[]>> = {
  InsufficientScopeError: ['requiredScopes'],
  UndecidedError: ['retryAfterSeconds'],
}

function classOf(code: TokenErrorCode, status: number) {
  if (code === 'ERR_TOKEN_SEAL') return SealError
  if (code === 'ERR_TOKEN_ROLE') return InsufficientRoleError
  return code.startsWith('ERR_TOKEN_EXCHANGE_') ? ExchangeError : CLASSES[status]
}

it('every code is in the table of this test', () => {
  expect(TABLE.map(([code]) => code).toSorted()).toEqual(Object.keys(TOKEN_ERRORS).toSorted())
})

describe.each(TABLE)('%s', (code, status, challenge, message) => {
  const error = errorFor(code)

  it('has a constant message, status and challenge', () => {
    expect(error).toMatchObject({ code, status, challenge, message })
  })

  it('is a TokenError of the class for bad or for undecided tokens', () => {
    expect(error).toBeInstanceOf(TokenError)
    expect(error).toBeInstanceOf(Error)
    expect(error.constructor).toBe(classOf(code, error.status))
    expect(error.name).toBe(classOf(code, error.status)?.name)
    expect(error.retryable).toBe(status === 503)
    expect(String(error)).toBe(`${error.name}: ${message}`)
  })

  it('has no cause, and no members beyond the documented ones', () => {
    expect('cause' in error).toBe(false)
    const members = ['stack', 'message', 'code', 'status', 'challenge', 'name', 'retryable']
    const own = [...members, ...(OWN[error.name] ?? [])]
    expect(Object.getOwnPropertyNames(error).toSorted()).toEqual(own.toSorted())
    expect(Object.getOwnPropertySymbols(error)).toEqual([])
  })

  it('can be copied for another request [C11]', () => {
    const other = cloneError(error)
    expect(other).not.toBe(error)
    expect(other.constructor).toBe(error.constructor)
    expect({ ...other, message: other.message }).toEqual({ ...error, message: error.message })
  })

  it('prints its constants and nothing else', () => {
    const [, ...frames] = (error.stack ?? '').split('\n')
    expect(frames.every((frame) => frame.trim().startsWith('at '))).toBe(true)
    expect(inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true })).toContain(message)
  })
})

it.each([
  [undefined, 5],
  [0.01, 1],
  [0, 1],
  [-3, 1],
  [1.2, 2],
  [30, 30],
])('UndecidedError(%s) asks to wait %i whole seconds', (given, expected) => {
  expect(new UndecidedError('ERR_TOKEN_UNDECIDED', given).retryAfterSeconds).toBe(expected)
})
