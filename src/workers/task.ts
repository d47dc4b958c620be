/** The messages between `runInWorker` and a worker: a task with its caller, and the outcome with its error. */

import type { MessagePort } from 'node:worker_threads'
import type { ExchangeCode, TokenErrorCode, TokenRejectedCode, UndecidedCode } from '../token/errors.ts'
import {
  ExchangeError,
  InsufficientRoleError,
  SealError,
  TOKEN_ERRORS,
  TokenError,
  TokenRejectedError,
  UndecidedError,
} from '../token/errors.ts'

/** A task with the caller that submitted it, as a pool or a worker receives it. */
export interface HandedTask<T> {
  /** The text that `handOver` returned. */
  readonly caller: string
  readonly task: T
}

/** A task for a worker without a pool. The worker answers through `answer`. */
export interface PostedTask<T> extends HandedTask<T> {
  readonly answer: MessagePort
}

/** The outcome of a task. */
export type TaskOutcome =
  | { readonly status: 'done'; readonly result: unknown }
  | { readonly status: 'failed'; readonly error: unknown }

export function isHandedTask(message: unknown): message is HandedTask<unknown> {
  return typeof message === 'object' && message !== null && 'caller' in message && 'task' in message
}

const CODES = new Map(
  Object.entries(TOKEN_ERRORS).map(([code, { message }]) => [message as string, code as TokenErrorCode]),
)

/**
 * Returns the `TokenError` that `error` was before it was cloned, found by its message; returns any other error
 * unchanged.
 */
export function restoreError(error: unknown): unknown {
  const isCloned = error instanceof Error && !(error instanceof TokenError)
  const code = isCloned ? CODES.get(error.message) : undefined
  // A cloned scope error has lost its required scopes, so it cannot be restored.
  return code === undefined || code === 'ERR_TOKEN_SCOPE' ? error : createError(code)
}

function createError(code: TokenErrorCode): TokenError {
  if (code === 'ERR_TOKEN_SEAL') return new SealError()
  if (code === 'ERR_TOKEN_ROLE') return new InsufficientRoleError()
  if (/^ERR_TOKEN_EXCHANGE_/.test(code)) return new ExchangeError(code as ExchangeCode)
  return TOKEN_ERRORS[code].status === 503
    ? new UndecidedError(code as UndecidedCode)
    : new TokenRejectedError(code as TokenRejectedCode)
}
