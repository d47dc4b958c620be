/** Token errors: one stable code for each cause of a refusal and for each reason why no decision is possible. */

import { detailOf, withDetail } from './refusal-detail.ts'

/** The HTTP status, the RFC 6750 §3.1 error and the constant message of a code. */
interface Meaning {
  readonly status: 400 | 401 | 403 | 502 | 503
  readonly challenge: 'invalid_request' | 'invalid_token' | 'insufficient_scope' | undefined
  readonly message: string
}

/** All codes. A test compares this table with the one in docs/reference/errors.md, in both directions. */
export const TOKEN_ERRORS = {
  ERR_TOKEN_MISSING: { status: 401, challenge: undefined, message: 'no bearer token was presented' },
  ERR_TOKEN_REQUEST: {
    status: 400,
    challenge: 'invalid_request',
    message: 'the request does not carry exactly one well-formed bearer token',
  },
  ERR_TOKEN_MALFORMED: { status: 401, challenge: 'invalid_token', message: 'the token is not a compact JWS' },
  ERR_TOKEN_TOO_LARGE: { status: 401, challenge: 'invalid_token', message: 'the token exceeds the size limit' },
  ERR_TOKEN_HEADER: { status: 401, challenge: 'invalid_token', message: 'the token header is not acceptable' },
  ERR_TOKEN_ALGORITHM: { status: 401, challenge: 'invalid_token', message: 'the token algorithm is not allowed' },
  ERR_TOKEN_TYPE: {
    status: 401,
    challenge: 'invalid_token',
    message: 'the token is not of an accepted type',
  },
  ERR_TOKEN_ISSUER: { status: 401, challenge: 'invalid_token', message: 'the token issuer is not configured' },
  ERR_TOKEN_KEY: { status: 401, challenge: 'invalid_token', message: 'no published key matches the token' },
  ERR_TOKEN_SIGNATURE: { status: 401, challenge: 'invalid_token', message: 'the token signature is not valid' },
  ERR_TOKEN_AUDIENCE: { status: 401, challenge: 'invalid_token', message: 'the token is for another audience' },
  ERR_TOKEN_EXPIRED: { status: 401, challenge: 'invalid_token', message: 'the token has expired' },
  ERR_TOKEN_NOT_YET_VALID: { status: 401, challenge: 'invalid_token', message: 'the token is not valid yet' },
  ERR_TOKEN_TOO_OLD: { status: 401, challenge: 'invalid_token', message: 'the token was issued too long ago' },
  ERR_TOKEN_LIFETIME: { status: 401, challenge: 'invalid_token', message: 'the token lifetime exceeds the limit' },
  ERR_TOKEN_CLAIM: { status: 401, challenge: 'invalid_token', message: 'a required claim is missing or invalid' },
  ERR_TOKEN_BOUND: {
    status: 401,
    challenge: 'invalid_token',
    message: 'the token is bound to a key, but no proof of possession was presented',
  },
  ERR_TOKEN_RULE: {
    status: 401,
    challenge: 'invalid_token',
    message: 'a claim rule refuses the token',
  },
  ERR_TOKEN_INACTIVE: {
    status: 401,
    challenge: 'invalid_token',
    message: 'the issuer reports that the token is not active',
  },
  ERR_TOKEN_REVOKED: { status: 401, challenge: 'invalid_token', message: 'the token has been revoked' },
  ERR_TOKEN_SEAL: {
    status: 401,
    challenge: 'invalid_token',
    message: 'the token is not sealed for this message, or cannot be opened',
  },
  ERR_TOKEN_SCOPE: { status: 403, challenge: 'insufficient_scope', message: 'the token lacks a required scope' },
  ERR_TOKEN_ROLE: { status: 403, challenge: 'insufficient_scope', message: 'the token lacks a required role' },
  ERR_TOKEN_KEYS_UNAVAILABLE: {
    status: 503,
    challenge: undefined,
    message: 'the keys of the token issuer are unavailable',
  },
  ERR_TOKEN_KEY_UNDECIDED: {
    status: 503,
    challenge: undefined,
    message: 'the signing key is unknown, and the issuer keys cannot be fetched again yet',
  },
  ERR_TOKEN_ISSUER_UNAVAILABLE: {
    status: 503,
    challenge: undefined,
    message: 'the issuer resolver is unavailable',
  },
  ERR_TOKEN_INTROSPECTION_UNAVAILABLE: {
    status: 503,
    challenge: undefined,
    message: 'the introspection endpoint is unavailable',
  },
  ERR_TOKEN_REVOCATION_UNAVAILABLE: {
    status: 503,
    challenge: undefined,
    message: 'the revocation list is unavailable or out of date',
  },
  ERR_TOKEN_AUDIT_UNAVAILABLE: {
    status: 503,
    challenge: undefined,
    message: 'the decision cannot be recorded in the audit trail',
  },
  ERR_TOKEN_EXCHANGE_REFUSED: {
    status: 502,
    challenge: undefined,
    message: 'the issuer refuses to issue a token for this destination',
  },
  ERR_TOKEN_EXCHANGE_RESULT: {
    status: 502,
    challenge: undefined,
    message: 'the issued token does not match the request',
  },
  ERR_TOKEN_EXCHANGE_LIFETIME: {
    status: 502,
    challenge: undefined,
    message: 'the token would expire before the call ends',
  },
  ERR_TOKEN_EXCHANGE_UNAVAILABLE: {
    status: 503,
    challenge: undefined,
    message: 'the token endpoint of the issuer is unavailable',
  },
  ERR_TOKEN_UNDECIDED: { status: 503, challenge: undefined, message: 'the token could not be checked' },
} as const satisfies Record<string, Meaning>

/** A stable code of a {@link TokenError}. Branch on this, not on the message. */
export type TokenErrorCode = keyof typeof TOKEN_ERRORS

/** Codes that mean "this token is bad". */
export type TokenRejectedCode = Exclude<
  TokenErrorCode,
  UndecidedCode | ExchangeCode | 'ERR_TOKEN_SCOPE' | 'ERR_TOKEN_ROLE' | 'ERR_TOKEN_SEAL'
>

/** Codes that mean "no decision is possible now". */
export type UndecidedCode =
  | 'ERR_TOKEN_KEYS_UNAVAILABLE'
  | 'ERR_TOKEN_KEY_UNDECIDED'
  | 'ERR_TOKEN_ISSUER_UNAVAILABLE'
  | 'ERR_TOKEN_INTROSPECTION_UNAVAILABLE'
  | 'ERR_TOKEN_REVOCATION_UNAVAILABLE'
  | 'ERR_TOKEN_AUDIT_UNAVAILABLE'
  | 'ERR_TOKEN_UNDECIDED'

/** Codes that mean "no token is available for that destination". */
export type ExchangeCode =
  | 'ERR_TOKEN_EXCHANGE_REFUSED'
  | 'ERR_TOKEN_EXCHANGE_RESULT'
  | 'ERR_TOKEN_EXCHANGE_LIFETIME'
  | 'ERR_TOKEN_EXCHANGE_UNAVAILABLE'

/**
 * The base class of all token errors. `message` is constant for each `code`. No property holds a part of the token, a
 * claim, a header or a configured value, and there is no `cause`. The error of a refused request has no stack; an error
 * that is thrown to the application has the stack of the application's call.
 */
export abstract class TokenError extends Error {
  /** Stable code, listed in docs/reference/errors.md. */
  readonly code: TokenErrorCode
  /** HTTP status to answer with. */
  readonly status: Meaning['status']
  /** `error` of the RFC 6750 §3.1 challenge; `undefined` if the RFC requires none. */
  readonly challenge: Meaning['challenge']
  /** Whether the same request may succeed later without a new token. */
  abstract readonly retryable: boolean

  protected constructor(code: TokenErrorCode) {
    const { stackTraceLimit } = Error
    // Capturing a stack costs more than refusing a malformed token. `withStack` adds one before the application sees
    // the error.
    Reflect.set(Error, 'stackTraceLimit', 0)
    super(TOKEN_ERRORS[code].message)
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit)
    this.code = code
    this.status = TOKEN_ERRORS[code].status
    this.challenge = TOKEN_ERRORS[code].challenge
  }
}

/**
 * The token is bad or missing: 401, or 400 for a request that RFC 6750 calls malformed. Do not retry with the same
 * token.
 */
export class TokenRejectedError extends TokenError {
  override readonly name = 'TokenRejectedError'
  override readonly retryable = false

  constructor(code: TokenRejectedCode) {
    super(code)
  }
}

/** The token is good but lacks a required scope: 403 (RFC 6750 §3.1). Another token may have it. */
export class InsufficientScopeError extends TokenError {
  override readonly name = 'InsufficientScopeError'
  override readonly retryable = false
  /** All required scopes as configured, alternatives included, and not only the missing ones. */
  readonly requiredScopes: readonly string[]

  constructor(requiredScopes: readonly string[]) {
    super('ERR_TOKEN_SCOPE')
    this.requiredScopes = Object.freeze([...requiredScopes])
  }
}

/**
 * The token is good but lacks a required role: 403 with `insufficient_scope` (RFC 6750 §3.1), and without a scope,
 * which would not help. Another token may have the role.
 */
export class InsufficientRoleError extends TokenError {
  override readonly name = 'InsufficientRoleError'
  override readonly retryable = false

  constructor() {
    super('ERR_TOKEN_ROLE')
  }
}

/**
 * The token of a message is not sealed although it must be, or cannot be opened: 401. Every cause has the same code and
 * message, so an attacker who tries keys, queues and old messages learns nothing.
 */
export class SealError extends TokenError {
  override readonly name = 'SealError'
  override readonly retryable = false

  constructor() {
    super('ERR_TOKEN_SEAL')
  }
}

/** The relay cannot decide now if the token is good: 503 with `Retry-After` (RFC 9110 §10.2.3). */
export class UndecidedError extends TokenError {
  override readonly name = 'UndecidedError'
  override readonly retryable = true
  /** How long to wait before the next attempt, in whole seconds. */
  readonly retryAfterSeconds: number

  constructor(code: UndecidedCode, retryAfterSeconds = 5) {
    super(code)
    this.retryAfterSeconds = Math.max(1, Math.ceil(retryAfterSeconds))
  }
}

/**
 * The caller's token is good, but the issuer gave no usable token for a destination: 502 if it refused or issued a
 * wrong one, 503 if it is unavailable. The destination then gets no token at all, and never the caller's own token.
 */
export class ExchangeError extends TokenError {
  override readonly name = 'ExchangeError'
  override readonly retryable: boolean

  constructor(code: ExchangeCode) {
    super(code)
    this.retryable = code === 'ERR_TOKEN_EXCHANGE_UNAVAILABLE'
  }
}

/** Gives a `TokenError` the stack of the caller of this function, before the application sees the error. */
export function withStack<T>(error: T): T {
  if (error instanceof TokenError) Error.captureStackTrace(error, withStack)
  return error
}

/**
 * Returns `error` if it is a {@link TokenError}. Any other error is a defect or an outage, so the token is undecided.
 */
export function asTokenError(error: unknown): TokenError {
  return error instanceof TokenError ? error : new UndecidedError('ERR_TOKEN_UNDECIDED')
}

/**
 * Returns a copy of `error` for another request that waits for the same result: errors carry stacks and can be changed.
 */
export function cloneError(error: TokenError): TokenError {
  return withDetail(copyOf(error), detailOf(error))
}

function copyOf(error: TokenError): TokenError {
  if (error instanceof UndecidedError) return new UndecidedError(error.code as UndecidedCode, error.retryAfterSeconds)
  if (error instanceof InsufficientScopeError) return new InsufficientScopeError(error.requiredScopes)
  if (error instanceof InsufficientRoleError) return new InsufficientRoleError()
  if (error instanceof ExchangeError) return new ExchangeError(error.code as ExchangeCode)
  if (error instanceof SealError) return new SealError()
  return new TokenRejectedError(error.code as TokenRejectedCode)
}
