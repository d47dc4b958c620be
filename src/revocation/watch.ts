/** Tells long work that its token has expired or was taken back. */

import { TokenRejectedError, UndecidedError } from '../token/errors.ts'
import type { RevocationCheck } from './check.ts'
import type { RevocationFacts } from './list.ts'

/** What a signal needs to know of its token. */
export interface Watched extends RevocationFacts {
  readonly expiresAtMillis: number
}

export interface CredentialWatch {
  /** Aborts when `token` expires or is revoked; its reason is a `TokenRejectedError`. */
  signalFor(token: Watched): AbortSignal
  stop(): void
}

/** Revocation is to be noticed within a second. The list answers from memory. */
const LOOK_MILLIS = 500
/** Tokens without `exp` are watched for ever, so that there must be an end to them. */
const MAX_WATCHED = 100_000

/** Looks at the tokens that somebody waits for, and only while there are any. Keeps no process alive. */
export function createCredentialWatch(checkRevocation: RevocationCheck): CredentialWatch {
  // Held until they are aborted: a signal that only its listeners know would otherwise be lost, and with it the abort.
  const watched = new Map<AbortController, Watched>()
  let timer: NodeJS.Timeout | undefined
  let stopped = false

  function look(): void {
    for (const [controller, token] of watched) {
      const reason = reasonFor(token, checkRevocation)
      if (reason === undefined) continue
      watched.delete(controller)
      controller.abort(reason)
    }
    if (watched.size === 0) rest()
  }

  function rest(): void {
    clearInterval(timer)
    timer = undefined
  }

  return {
    signalFor(token) {
      const controller = new AbortController()
      const reason = reasonFor(token, checkRevocation) ?? (watched.size < MAX_WATCHED ? undefined : overflow())
      if (reason !== undefined) controller.abort(reason)
      else if (!stopped) {
        watched.set(controller, token)
        timer ??= setInterval(look, LOOK_MILLIS).unref()
      }
      return controller.signal
    },
    stop() {
      stopped = true
      watched.clear()
      rest()
    },
  }
}

function overflow(): UndecidedError {
  return new UndecidedError('ERR_TOKEN_UNDECIDED')
}

function reasonFor(token: Watched, checkRevocation: RevocationCheck): TokenRejectedError | undefined {
  if (token.expiresAtMillis <= Date.now()) return new TokenRejectedError('ERR_TOKEN_EXPIRED')
  return checkRevocation(token) === 'revoked' ? new TokenRejectedError('ERR_TOKEN_REVOKED') : undefined
}
