/** Exchanged tokens that other processes obtained: sealed for one key, and checked like an answer of the issuer. */

import type { Message } from '../sealing/sealed-header.ts'
import type { Sealing } from '../sealing/sealing.ts'
import type { SharedCacheOutcome } from '../telemetry/call-metrics.ts'
import { measureSharedCache } from '../telemetry/call-metrics.ts'
import type { TokenErrorCode } from '../token/errors.ts'
import { TokenError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import { decodeAnswer, encodeAnswer } from './kept-answer.ts'
import type { SharedTokenCache } from './shared-cache.ts'
import type { TokenResponse } from './token-protocol.ts'
import type { ObtainedToken } from './token-source.ts'

/** How tokens are shared. */
export interface Sharing {
  readonly cache: SharedTokenCache
  /** Only with secrets: with a public key, its holder could put a token into the cache. */
  readonly sealing: Sealing
  /** Returns why a token is no longer good, or cannot be known to be; `undefined` if it is good. */
  readonly defectOf: (token: VerifiedCredential) => TokenErrorCode | undefined
}

/** One question to the issuer, whose answer other processes may have. */
export interface SharedQuestion {
  readonly issuer: string
  readonly key: string
  readonly subject: VerifiedCredential
  readonly askingMillis: number
  /** Checks an answer that the issuer gave at `obtainedAtMillis`. Rejects with a {@link TokenError}. */
  readonly accept: (
    response: TokenResponse,
    previous: VerifiedCredential | undefined,
    obtainedAtMillis: number,
  ) => Promise<ObtainedToken>
  readonly ask: (previous: VerifiedCredential | undefined) => Promise<AnsweredToken>
}

/** A token, and the response that it came with. */
export interface AnsweredToken extends ObtainedToken {
  readonly response: TokenResponse
}

/** Longest answer that is kept, in characters: a token of 64 KB, and what the issuer says about it. */
export const MAX_KEPT_CHARS = 98_304
/** A store that returns another unusable value each time must not delay the request to the issuer for long. */
const MAX_LOOKS = 3
/** Sealing ends at whole seconds. */
const MIN_LIFE_MILLIS = 1_000

/**
 * Returns how to get a token that others may have. It rejects only as `ask` does: a failing cache is never the reason.
 */
export function createSharedSource(sharing: Sharing, question: SharedQuestion) {
  const source = new SharedSource(sharing, question)
  return (previous: VerifiedCredential | undefined): Promise<ObtainedToken> => source.obtain(previous)
}

class SharedSource {
  readonly #sharing: Sharing
  readonly #question: SharedQuestion
  /** No rule can name such a destination: an answer is never taken for a message, nor a message for an answer. */
  readonly #message: Message
  /** The last value that this process has seen there, and will not use again. */
  #seen: string | undefined

  constructor(sharing: Sharing, question: SharedQuestion) {
    this.#sharing = sharing
    this.#question = question
    this.#message = { destination: `exchanged:${question.key}`, traceId: undefined }
  }

  async obtain(previous: VerifiedCredential | undefined): Promise<ObtainedToken> {
    const { ask, key } = this.#question
    // For a token that has expired or was revoked, no kept token is used, and none is kept.
    if (!this.#subjectIsGood()) return ask(previous)
    const found = await this.#measureFailure(() => this.#find(previous))
    if (found !== undefined) return found
    try {
      const answered = await ask(previous)
      // Not waited for: the token is here already.
      void this.#measureFailure(() => this.#keep(answered))
      return answered
    } catch (error) {
      void this.#measureFailure(() => this.#sharing.cache.release(key))
      throw error
    }
  }

  async #find(previous: VerifiedCredential | undefined): Promise<ObtainedToken | undefined> {
    const { key, askingMillis } = this.#question
    for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
      const sealed = await this.#sharing.cache.find(key, this.#seen, askingMillis)
      // A cache that returns the refused value returns nothing that was kept.
      if (typeof sealed !== 'string' || sealed === this.#seen) break
      this.#seen = sealed
      const opened = await this.#open(sealed, previous)
      if (typeof opened === 'string') this.#measure('unusable', opened)
      else if (isNewer(opened, previous)) {
        this.#measure('hit')
        return opened
      }
    }
    this.#measure('miss')
    return undefined
  }

  /** Returns the token, or why it cannot be used. */
  async #open(sealed: string, previous: VerifiedCredential | undefined): Promise<ObtainedToken | TokenErrorCode> {
    const { sealing, defectOf } = this.#sharing
    try {
      const { response, obtainedAtMillis } = decodeAnswer(sealing.open(sealed, this.#message).credential.reveal())
      const obtained = await this.#question.accept(response, previous, Math.min(obtainedAtMillis, Date.now()))
      if (obtained.usableUntilMillis <= Date.now()) return 'ERR_TOKEN_EXPIRED'
      return defectOf(obtained.credential) ?? obtained
    } catch (error) {
      return error instanceof TokenError ? error.code : 'ERR_TOKEN_SEAL'
    }
  }

  async #keep({ response, obtainedAtMillis, usableUntilMillis }: AnsweredToken): Promise<void> {
    const { cache, sealing } = this.#sharing
    const { key, subject } = this.#question
    const until = Math.min(usableUntilMillis, subject.expiresAtMillis)
    const text = encodeAnswer({ response, obtainedAtMillis })
    const isKept = text.length <= MAX_KEPT_CHARS && until - Date.now() >= MIN_LIFE_MILLIS && this.#subjectIsGood()
    const sealed = isKept ? sealing.seal(text, until, true, this.#message) : undefined
    if (sealed === undefined) return cache.release(key)
    this.#seen = sealed
    // No longer than it can be opened: an attacker may read the store, and get the key one day.
    await cache.keep(key, sealed, sealing.endOf(until))
  }

  #subjectIsGood(): boolean {
    return this.#sharing.defectOf(this.#question.subject) === undefined
  }

  async #measureFailure<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch {
      this.#measure('unavailable')
      return undefined
    }
  }

  #measure(outcome: SharedCacheOutcome, code?: TokenErrorCode): void {
    measureSharedCache({ issuer: this.#question.issuer, outcome, code })
  }
}

/** Another process may have a token that is older than the one that is to be replaced. */
function isNewer({ usableUntilMillis }: ObtainedToken, previous: VerifiedCredential | undefined): boolean {
  return previous === undefined || usableUntilMillis > previous.expiresAtMillis
}
