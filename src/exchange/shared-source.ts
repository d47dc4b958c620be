/** Exchanged tokens that other processes have got: sealed for one key, and checked like an answer of the issuer. */

import { hash } from 'node:crypto'
import type { TokenRequest } from '../destination/token-request.ts'
import { keyOfRequest } from '../destination/token-request.ts'
import type { Message } from '../sealing/sealed-header.ts'
import type { Sealing } from '../sealing/sealing.ts'
import type { SharedCacheOutcome } from '../telemetry/shared-cache-metrics.ts'
import { measureSharedCache } from '../telemetry/shared-cache-metrics.ts'
import type { TokenErrorCode } from '../token/errors.ts'
import { SealError, TokenError } from '../token/errors.ts'
import type { Claims, VerifiedCredential } from '../token/verified-credential.ts'
import type { ClientSettings } from './settings.ts'
import type { SharedTokenCache } from './shared-cache.ts'
import type { TokenResponse } from './token-endpoint.ts'
import type { Obtained } from './token-source.ts'

/** How tokens are shared. */
export interface Sharing {
  readonly cache: SharedTokenCache
  /** Over secrets only: whoever has a public key could put a token there. */
  readonly sealing: Sealing
  /** Why a token is not good any more, or cannot be said to be; `undefined` where it is. */
  readonly defectOf: (token: VerifiedCredential) => TokenErrorCode | undefined
}

/** One question to the issuer, of which others may have the answer. */
export interface SharedQuestion {
  readonly issuer: string
  readonly key: string
  readonly subject: VerifiedCredential
  readonly askingMillis: number
  /** Checks what the issuer has answered to whoever asked at that time. Rejects with a {@link TokenError}. */
  readonly accept: (
    response: TokenResponse,
    previous: VerifiedCredential | undefined,
    obtainedAtMillis: number,
  ) => Promise<Obtained>
  readonly ask: (previous: VerifiedCredential | undefined) => Promise<Answered>
}

/** A token, and the response that it came with. */
export interface Answered extends Obtained {
  readonly response: TokenResponse
}

/** What a kept token depends on: the whole text of the subject's, what is known of it, who asks, and what for. */
export interface KeyParts {
  readonly issuer: string
  readonly settings: ClientSettings
  readonly subject: { readonly text: string; readonly claims: Claims }
  readonly request: TokenRequest
}

/** Longest answer that is kept, in characters: a token of 64 KB, and what was said about it. */
export const MAX_KEPT_CHARS = 98_304
/** A store that gives another unusable value each time must not keep anybody from the issuer. */
const LOOKS = 3
/** The end of what is sealed is told in whole seconds. */
const MIN_LIFE_MILLIS = 1_000

/** Nothing in it can be mistaken for a separator, and nothing be read from it: tokens cannot be guessed. */
export function sharedKeyOf({ issuer, settings, subject, request }: KeyParts): string {
  const { tokenEndpoint = null, clientId, grant, actor, subjectClaim } = settings
  const client = [issuer, tokenEndpoint, clientId, grant, actor, subjectClaim]
  const parts = [1, client, subject.text, sorted(subject.claims), keyOfRequest(request)]
  return hash('sha256', JSON.stringify(parts), 'base64url')
}

/** How to get a token that others may have. Rejects as `ask` does, and only then: the cache is never a reason. */
export function createSharedSource({ cache, sealing, defectOf }: Sharing, question: SharedQuestion) {
  const { issuer, key, subject, askingMillis, accept, ask } = question
  // No rule can name such a destination: what lies there is no message, and no message lies there.
  const message: Message = { destination: `exchanged:${key}`, traceId: undefined }
  /** What this process has seen there and will not use (again). */
  let seen: string | undefined

  const measure = (outcome: SharedCacheOutcome, code?: TokenErrorCode): void =>
    measureSharedCache({ issuer, outcome, code })

  async function look(previous: VerifiedCredential | undefined): Promise<Obtained | undefined> {
    for (let looks = 0; looks < LOOKS; looks += 1) {
      const sealed = await cache.find(key, seen, askingMillis)
      // What is given again although it was refused is nothing that we have kept.
      if (typeof sealed !== 'string' || sealed === seen) break
      seen = sealed
      const opened = await open(sealed, previous)
      if (typeof opened === 'string') measure('unusable', opened)
      else if (isNewer(opened, previous)) {
        measure('hit')
        return opened
      }
    }
    measure('miss')
    return undefined
  }

  /** The token, or what is wrong with it. */
  async function open(sealed: string, previous: VerifiedCredential | undefined): Promise<Obtained | TokenErrorCode> {
    try {
      const { response, obtainedAtMillis } = decode(sealing.open(sealed, message).credential.reveal())
      const obtained = await accept(response, previous, Math.min(obtainedAtMillis, Date.now()))
      return obtained.usableUntilMillis <= Date.now()
        ? 'ERR_TOKEN_EXPIRED'
        : (defectOf(obtained.credential) ?? obtained)
    } catch (error) {
      return error instanceof TokenError ? error.code : 'ERR_TOKEN_SEAL'
    }
  }

  async function keep({ response, obtainedAtMillis, usableUntilMillis }: Answered): Promise<void> {
    const until = Math.min(usableUntilMillis, subject.expiresAtMillis)
    const text = encode({ response, obtainedAtMillis })
    const isKept = text.length <= MAX_KEPT_CHARS && until - Date.now() >= MIN_LIFE_MILLIS
    const sealed = isKept && defectOf(subject) === undefined ? sealing.seal(text, until, true, message) : undefined
    if (sealed === undefined) return cache.release(key)
    seen = sealed
    await cache.keep(key, sealed, until)
  }

  async function quietly<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch {
      measure('unavailable')
      return undefined
    }
  }

  return async (previous: VerifiedCredential | undefined): Promise<Obtained> => {
    // Nothing that is kept is used for a token that has ended or was revoked, and nothing kept.
    if (defectOf(subject) !== undefined) return ask(previous)
    const found = await quietly(() => look(previous))
    if (found !== undefined) return found
    try {
      const answered = await ask(previous)
      // Nobody waits for the cache: it has the token when it has it.
      void quietly(() => keep(answered))
      return answered
    } catch (error) {
      void quietly(() => cache.release(key))
      throw error
    }
  }
}

/** Another process may have a token that is older than the one to be replaced. */
function isNewer({ usableUntilMillis }: Obtained, previous: VerifiedCredential | undefined): boolean {
  return previous === undefined || usableUntilMillis > previous.expiresAtMillis
}

interface Kept {
  readonly response: TokenResponse
  readonly obtainedAtMillis: number
}

/** Sealed texts have the letters of a token (RFC 6750 §2.1). */
function encode({ response, obtainedAtMillis }: Kept): string {
  const { accessToken, tokenType, expiresInSeconds, scope, issuedTokenType } = response
  const kept = { accessToken, tokenType, expiresInSeconds, scope, issuedTokenType, obtainedAtMillis }
  return Buffer.from(JSON.stringify(kept)).toString('base64url')
}

/** Throws where another version of this package has written something else. */
function decode(text: string): Kept {
  const kept = JSON.parse(Buffer.from(text, 'base64url').toString()) as Readonly<Record<string, unknown>>
  const optional = (name: string, type: 'string' | 'number'): unknown => {
    const value = Object.hasOwn(kept, name) ? kept[name] : undefined
    if (value !== undefined && typeof value !== type) throw new SealError()
    return value
  }
  const required = (name: string, type: 'string' | 'number'): unknown => {
    const value = optional(name, type)
    if (value === undefined) throw new SealError()
    return value
  }
  return {
    obtainedAtMillis: required('obtainedAtMillis', 'number') as number,
    response: {
      accessToken: required('accessToken', 'string') as string,
      tokenType: required('tokenType', 'string') as string,
      expiresInSeconds: optional('expiresInSeconds', 'number') as number | undefined,
      scope: optional('scope', 'string') as string | undefined,
      issuedTokenType: optional('issuedTokenType', 'string') as string | undefined,
      refreshToken: undefined,
    },
  }
}

/** The same for equal claims: an issuer that is asked about a token may tell them in another order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return entries.map(([name, member]) => [name, sorted(member)])
}
