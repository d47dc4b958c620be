/** Tells long work that its token has expired or was taken back. */

import { TokenRejectedError } from '../token/errors.ts'
import type { RevocationCheck } from './check.ts'
import type { RevocationFacts } from './list.ts'

/** What a signal needs to know of its token. */
export interface Watched extends RevocationFacts {
  readonly expiresAtMillis: number
}

export interface CredentialWatch {
  /** Aborts when `token` expires or is revoked; its reason is a {@link TokenRejectedError}. */
  signalFor(token: Watched): AbortSignal
  stop(): void
}

/** Revocation is to be noticed within a second. The list answers from memory. */
const LOOK_MILLIS = 500

/** Looks at the tokens that somebody waits for, and only while there are any. Keeps no process alive. */
export function createCredentialWatch(checkRevocation: RevocationCheck): CredentialWatch {
  const watched = new Map<AbortController, Watched>()
  let timer: NodeJS.Timeout | undefined

  function look(): void {
    for (const [controller, token] of watched) {
      const reason = reasonFor(token, checkRevocation)
      if (reason === undefined) continue
      watched.delete(controller)
      controller.abort(reason)
    }
    if (watched.size === 0) stop()
  }

  function stop(): void {
    clearInterval(timer)
    timer = undefined
    watched.clear()
  }

  return {
    signalFor(token) {
      const controller = new AbortController()
      watched.set(controller, token)
      timer ??= setInterval(look, LOOK_MILLIS).unref()
      look()
      return controller.signal
    },
    stop,
  }
}

function reasonFor(token: Watched, checkRevocation: RevocationCheck): TokenRejectedError | undefined {
  if (token.expiresAtMillis <= Date.now()) return new TokenRejectedError('ERR_TOKEN_EXPIRED')
  return checkRevocation(token) === 'revoked' ? new TokenRejectedError('ERR_TOKEN_REVOKED') : undefined
}
