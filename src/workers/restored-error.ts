/** Errors lose their class and their code on the way from a worker: those of this package get them back. */

import type { ExchangeCode, TokenErrorCode, TokenRejectedCode, UndecidedCode } from '../token/errors.ts'
import {
  ExchangeError,
  SealError,
  TOKEN_ERRORS,
  TokenError,
  TokenRejectedError,
  UndecidedError,
} from '../token/errors.ts'

const CODES = new Map(
  Object.entries(TOKEN_ERRORS).map(([code, { message }]) => [message as string, code as TokenErrorCode]),
)

/** The `TokenError` that `error` was before it was cloned, by its message; anything else as it is. */
export function restored(error: unknown): unknown {
  const isCloned = error instanceof Error && !(error instanceof TokenError)
  const code = isCloned ? CODES.get(error.message) : undefined
  // What it required has been lost, and is not made up.
  return code === undefined || code === 'ERR_TOKEN_SCOPE' ? error : errorOf(code)
}

function errorOf(code: TokenErrorCode): TokenError {
  if (code === 'ERR_TOKEN_SEAL') return new SealError()
  if (/^ERR_TOKEN_EXCHANGE_/.test(code)) return new ExchangeError(code as ExchangeCode)
  return TOKEN_ERRORS[code].status === 503
    ? new UndecidedError(code as UndecidedCode)
    : new TokenRejectedError(code as TokenRejectedCode)
}
