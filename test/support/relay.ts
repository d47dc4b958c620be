/** A relay in the process of the test, and what its answers are compared with. */

import type { IssuerOptions } from '../../src/config/issuers.ts'
import type { TokenRelay, TokenRelayOptions } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import type {
  ExchangeCode,
  TokenError,
  TokenErrorCode,
  TokenRejectedCode,
  UndecidedCode,
} from '../../src/token/errors.ts'
import {
  ExchangeError,
  InsufficientRoleError,
  InsufficientScopeError,
  SealError,
  TOKEN_ERRORS,
  TokenRejectedError,
  UndecidedError,
} from '../../src/token/errors.ts'

/** Runs `use` with a relay that is shut down whatever happens. */
export async function withRelay<T>(options: TokenRelayOptions, use: (relay: TokenRelay) => Promise<T>): Promise<T> {
  const relay = createTokenRelay(options)
  try {
    return await use(relay)
  } finally {
    await relay.shutdown()
  }
}

/** The issuer of tokens that are checked with keys from the configuration. */
export const ISSUER = 'https://id.example'

/** Options of a relay for `user-service` with one issuer. */
export function optionsFor(
  jwks: readonly object[],
  issuer: Partial<IssuerOptions> = {},
): TokenRelayOptions & { readonly issuers: readonly IssuerOptions[] } {
  return { issuers: [{ issuer: ISSUER, audience: 'user-service', jwks: { keys: jwks }, ...issuer }] }
}

/** Status, challenge and message are those of the code; `error.test.ts` knows them by heart. */
export function refusal(code: TokenErrorCode): object {
  return { code, name: errorFor(code).name, ...TOKEN_ERRORS[code] }
}

/** An error with `code`, of the class that belongs to its status. */
export function errorFor(code: TokenErrorCode): TokenError {
  const { status } = TOKEN_ERRORS[code]
  if (code.startsWith('ERR_TOKEN_EXCHANGE_')) return new ExchangeError(code as ExchangeCode)
  if (code === 'ERR_TOKEN_SEAL') return new SealError()
  if (code === 'ERR_TOKEN_ROLE') return new InsufficientRoleError()
  if (status === 403) return new InsufficientScopeError(['a', 'b'])
  return status === 503 ? new UndecidedError(code as UndecidedCode) : new TokenRejectedError(code as TokenRejectedCode)
}

/** `verified`, or the code of the error with which `verification` rejects. */
export async function verdict(verification: Promise<unknown>): Promise<string> {
  return verification.then(
    () => 'verified',
    (error: unknown) => String((error as { code?: unknown }).code ?? error),
  )
}
