/** Aborts long work whose token has expired or was revoked. */

import { TokenRejectedError, UndecidedError } from '../token/errors.ts'
import type { RevocationCheck } from './check.ts'
import type { RevocationFacts } from './list.ts'

/** What a signal needs to know of its token. */
interface Watched extends RevocationFacts {
  readonly expiresAtMillis: number
}

export interface CredentialWatch {
  /** Aborts when `token` expires or is revoked; its reason is a `TokenRejectedError`. */
  signalFor(token: Watched): AbortSignal
  stop(): void
}

/** Revocation is to be noticed within a second. Looking is cheap: the list answers from memory. */
const LOOK_MILLIS = 500
/** Bounds the tokens without `exp`, which are watched for ever. */
const MAX_WATCHED = 100_000

export function createCredentialWatch(checkRevocation: RevocationCheck): CredentialWatch {
  return new PollingWatch(checkRevocation)
}

/** Looks at watched tokens at intervals, while there are any. Keeps no process alive. */
class PollingWatch implements CredentialWatch {
  readonly #checkRevocation: RevocationCheck
  /**
   * Held until they are aborted: a signal that only its listeners know would otherwise be lost, and with it the abort.
   */
  readonly #watched = new Map<AbortController, Watched>()
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(checkRevocation: RevocationCheck) {
    this.#checkRevocation = checkRevocation
  }

  signalFor(token: Watched): AbortSignal {
    const controller = new AbortController()
    const reason =
      reasonFor(token, this.#checkRevocation) ?? (this.#watched.size < MAX_WATCHED ? undefined : createOverflowError())
    if (reason !== undefined) controller.abort(reason)
    else if (!this.#isStopped) {
      this.#watched.set(controller, token)
      this.#timer ??= setInterval(() => this.#look(), LOOK_MILLIS).unref()
    }
    return controller.signal
  }

  stop(): void {
    this.#isStopped = true
    this.#watched.clear()
    this.#rest()
  }

  #look(): void {
    for (const [controller, token] of this.#watched) {
      const reason = reasonFor(token, this.#checkRevocation)
      if (reason === undefined) continue
      this.#watched.delete(controller)
      controller.abort(reason)
    }
    if (this.#watched.size === 0) this.#rest()
  }

  #rest(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

function createOverflowError(): UndecidedError {
  return new UndecidedError('ERR_TOKEN_UNDECIDED')
}

function reasonFor(token: Watched, checkRevocation: RevocationCheck): TokenRejectedError | undefined {
  if (token.expiresAtMillis <= Date.now()) return new TokenRejectedError('ERR_TOKEN_EXPIRED')
  return checkRevocation(token) === 'revoked' ? new TokenRejectedError('ERR_TOKEN_REVOKED') : undefined
}
