/** Every way in which a token can be refused, and every way in which we can fail to decide: one code per cause. */

/** What a code means to the caller: the HTTP status, the RFC 6750 §3.1 error, and one constant sentence. */
interface Meaning {
  readonly status: 400 | 401 | 403 | 502 | 503
  readonly challenge: 'invalid_request' | 'invalid_token' | 'insufficient_scope' | undefined
  readonly message: string
}

/** The only place where codes are defined. A test compares this table with the README's, both ways. */
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
  ERR_TOKEN_TYPE: { status: 401, challenge: 'invalid_token', message: 'the token type is not the configured one' },
  ERR_TOKEN_ISSUER: { status: 401, challenge: 'invalid_token', message: 'the token issuer is not configured' },
  ERR_TOKEN_KEY: { status: 401, challenge: 'invalid_token', message: 'no published key matches the token' },
  ERR_TOKEN_SIGNATURE: { status: 401, challenge: 'invalid_token', message: 'the token signature is not valid' },
  ERR_TOKEN_AUDIENCE: { status: 401, challenge: 'invalid_token', message: 'the token is for another audience' },
  ERR_TOKEN_EXPIRED: { status: 401, challenge: 'invalid_token', message: 'the token has expired' },
  ERR_TOKEN_NOT_YET_VALID: { status: 401, challenge: 'invalid_token', message: 'the token is not valid yet' },
  ERR_TOKEN_TOO_OLD: { status: 401, challenge: 'invalid_token', message: 'the token was issued too long ago' },
  ERR_TOKEN_LIFETIME: { status: 401, challenge: 'invalid_token', message: 'the token lives longer than accepted' },
  ERR_TOKEN_CLAIM: { status: 401, challenge: 'invalid_token', message: 'a required claim is missing or not valid' },
  ERR_TOKEN_BOUND: {
    status: 401,
    challenge: 'invalid_token',
    message: 'the token is bound to a key, and no proof of it was presented',
  },
  ERR_TOKEN_RULE: {
    status: 401,
    challenge: 'invalid_token',
    message: 'a claim rule of the application refuses the token',
  },
  ERR_TOKEN_INACTIVE: {
    status: 401,
    challenge: 'invalid_token',
    message: 'the issuer says that the token is not active',
  },
  ERR_TOKEN_REVOKED: { status: 401, challenge: 'invalid_token', message: 'the token has been revoked' },
  ERR_TOKEN_SEAL: {
    status: 401,
    challenge: 'invalid_token',
    message: 'the token is not sealed for this message, or cannot be opened',
  },
  ERR_TOKEN_SCOPE: { status: 403, challenge: 'insufficient_scope', message: 'the token lacks a required scope' },
  ERR_TOKEN_KEYS_UNAVAILABLE: {
    status: 503,
    challenge: undefined,
    message: 'the keys of the token issuer cannot be read at the moment',
  },
  ERR_TOKEN_ISSUER_UNAVAILABLE: {
    status: 503,
    challenge: undefined,
    message: 'it cannot be found out at the moment whether the token issuer is accepted',
  },
  ERR_TOKEN_INTROSPECTION_UNAVAILABLE: {
    status: 503,
    challenge: undefined,
    message: 'the token issuer cannot be asked about the token at the moment',
  },
  ERR_TOKEN_REVOCATION_UNAVAILABLE: {
    status: 503,
    challenge: undefined,
    message: 'the revocation list cannot be trusted at the moment',
  },
  ERR_TOKEN_AUDIT_UNAVAILABLE: {
    status: 503,
    challenge: undefined,
    message: 'the decision cannot be recorded at the moment',
  },
  ERR_TOKEN_EXCHANGE_REFUSED: {
    status: 502,
    challenge: undefined,
    message: 'the issuer gives no token for this destination',
  },
  ERR_TOKEN_EXCHANGE_RESULT: {
    status: 502,
    challenge: undefined,
    message: 'the issuer gave another token than was asked for',
  },
  ERR_TOKEN_EXCHANGE_LIFETIME: {
    status: 502,
    challenge: undefined,
    message: 'the token would expire before the call has ended',
  },
  ERR_TOKEN_EXCHANGE_UNAVAILABLE: {
    status: 503,
    challenge: undefined,
    message: 'the issuer cannot be asked for a token at the moment',
  },
  ERR_TOKEN_UNDECIDED: { status: 503, challenge: undefined, message: 'the token could not be checked' },
} as const satisfies Record<string, Meaning>

/** A stable code of a {@link TokenError}. Branch on this, not on the message. */
export type TokenErrorCode = keyof typeof TOKEN_ERRORS

/** Codes that mean "this token is bad". */
export type TokenRejectedCode = Exclude<
  TokenErrorCode,
  UndecidedCode | ExchangeCode | 'ERR_TOKEN_SCOPE' | 'ERR_TOKEN_SEAL'
>

/** Codes that mean "we could not decide". */
export type UndecidedCode =
  | 'ERR_TOKEN_KEYS_UNAVAILABLE'
  | 'ERR_TOKEN_ISSUER_UNAVAILABLE'
  | 'ERR_TOKEN_INTROSPECTION_UNAVAILABLE'
  | 'ERR_TOKEN_REVOCATION_UNAVAILABLE'
  | 'ERR_TOKEN_AUDIT_UNAVAILABLE'
  | 'ERR_TOKEN_UNDECIDED'

/** Codes that mean "there is no token for that destination". */
export type ExchangeCode =
  | 'ERR_TOKEN_EXCHANGE_REFUSED'
  | 'ERR_TOKEN_EXCHANGE_RESULT'
  | 'ERR_TOKEN_EXCHANGE_LIFETIME'
  | 'ERR_TOKEN_EXCHANGE_UNAVAILABLE'

/**
 * The common base of all token errors. `message` is constant per `code`; neither it nor any other property ever holds a
 * part of the token, a claim, a header or a configured value, and there is no `cause`. Those of refused requests have no
 * stack; where one is thrown at the application, it says where the application has asked.
 */
export abstract class TokenError extends Error {
  /** Stable code, listed in the README. */
  readonly code: TokenErrorCode
  /** HTTP status to answer with. */
  readonly status: Meaning['status']
  /** `error` of the RFC 6750 §3.1 challenge; `undefined` where the RFC wants none. */
  readonly challenge: Meaning['challenge']
  /** Whether the same request may succeed later without a new token. */
  abstract readonly retryable: boolean

  protected constructor(code: TokenErrorCode) {
    const { stackTraceLimit } = Error
    // A stack costs more than all that finds out that a token is garbage. Where an error is thrown at the application, it
    // gets that of the application.
    Reflect.set(Error, 'stackTraceLimit', 0)
    super(TOKEN_ERRORS[code].message)
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit)
    this.code = code
    this.status = TOKEN_ERRORS[code].status
    this.challenge = TOKEN_ERRORS[code].challenge
  }
}

/** The token is bad, or none was presented: 401, or 400 for a request that RFC 6750 calls malformed. Never retry it. */
export class TokenRejectedError extends TokenError {
  override readonly name = 'TokenRejectedError'
  override readonly retryable = false

  constructor(code: TokenRejectedCode) {
    super(code)
  }
}

/** The token is good, and does not allow what was asked for: 403 (RFC 6750 §3.1). Another token may. */
export class InsufficientScopeError extends TokenError {
  override readonly name = 'InsufficientScopeError'
  override readonly retryable = false
  /** The scopes that are required, as they were configured; all of them, not only the missing ones. */
  readonly requiredScopes: readonly string[]

  constructor(requiredScopes: readonly string[]) {
    super('ERR_TOKEN_SCOPE')
    this.requiredScopes = Object.freeze([...requiredScopes])
  }
}

/**
 * A message carries a token that is not sealed where it has to be, or that cannot be opened: 401. One code and one
 * message for every cause, since a difference would help whoever tries keys, queues and old messages.
 */
export class SealError extends TokenError {
  override readonly name = 'SealError'
  override readonly retryable = false

  constructor() {
    super('ERR_TOKEN_SEAL')
  }
}

/** It could not be decided whether the token is good: 503 with `Retry-After` (RFC 9110 §10.2.3). */
export class UndecidedError extends TokenError {
  override readonly name = 'UndecidedError'
  override readonly retryable = true
  /** When to try again, in whole seconds. */
  readonly retryAfterSeconds: number

  constructor(code: UndecidedCode, retryAfterSeconds = 5) {
    super(code)
    this.retryAfterSeconds = Math.max(1, Math.ceil(retryAfterSeconds))
  }
}

/**
 * The caller's token is good, and no token for a destination could be had for it: 502 where the issuer refuses or gives
 * a wrong one, 503 where it cannot be asked. The destination gets no token then, the caller's own one least of all.
 */
export class ExchangeError extends TokenError {
  override readonly name = 'ExchangeError'
  override readonly retryable: boolean

  constructor(code: ExchangeCode) {
    super(code)
    this.retryable = code === 'ERR_TOKEN_EXCHANGE_UNAVAILABLE'
  }
}

/** For an error that is thrown at the application: says where it had asked. */
export function withStack<T>(error: T): T {
  if (error instanceof TokenError) Error.captureStackTrace(error, withStack)
  return error
}

/** An error like `error` for somebody else who waited for the same outcome: errors carry stacks, and callers add to them. */
export function cloneError(error: TokenError): TokenError {
  if (error instanceof UndecidedError) return new UndecidedError(error.code as UndecidedCode, error.retryAfterSeconds)
  if (error instanceof InsufficientScopeError) return new InsufficientScopeError(error.requiredScopes)
  if (error instanceof ExchangeError) return new ExchangeError(error.code as ExchangeCode)
  if (error instanceof SealError) return new SealError()
  return new TokenRejectedError(error.code as TokenRejectedCode)
}
