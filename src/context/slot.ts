/** The box in which a token travels: put into the context by `extract`, filled once by whoever verifies it. */

import { EventEmitter } from 'node:events'
import type { Presented } from '../token/bearer.ts'
import { Credential } from '../token/credential.ts'
import { TokenError, TokenRejectedError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import { isVerifiedCredential } from '../token/verified-credential.ts'
import type { Verifier } from '../verification/verifier.ts'

/** Opens a sealed token and verifies it; rejects with a `TokenError` and with nothing else. */
export type Unseal = (verifier: Verifier) => Promise<VerifiedCredential>

/**
 * `sealed` and `unverified` become `verified` or `rejected`, once. `absent` means that there was no token to verify, and
 * `ambiguous` that there are several, of which none may be used.
 */
export type SlotState =
  | { readonly status: 'absent' }
  | { readonly status: 'ambiguous' }
  | { readonly status: 'sealed'; readonly unseal: Unseal }
  | { readonly status: 'unverified'; readonly credential: Credential }
  | { readonly status: 'verified'; readonly credential: VerifiedCredential }
  | { readonly status: 'rejected'; readonly error: TokenError }

const ABSENT: SlotState = { status: 'absent' }

/** Whoever renews a token. An application may bring one of its own, so that nothing it returns is believed. */
export interface CredentialSource {
  /** What it has now, if that has not expired. */
  readonly current: unknown
  get(options: RenewalOptions): Promise<unknown>
  renew?(refused: VerifiedCredential): Promise<unknown>
}

export interface RenewalOptions {
  readonly validForMillis?: number
  readonly signal?: AbortSignal
}

/**
 * Why a box and not a value: OpenTelemetry binds request and response to the context of the extraction, so a value that
 * were set after the verification would be missing in every listener of the body.
 */
export class CredentialSlot {
  #state: SlotState
  #source: CredentialSource | undefined
  #settling: Promise<SlotState> | undefined
  #hasLifetime = false
  #ended = false
  /** The token as it came, whatever became of it. */
  readonly #credential: Credential | undefined

  private constructor(state: SlotState) {
    this.#state = state
    this.#credential = state.status === 'unverified' ? state.credential : undefined
  }

  static presented(presented: Presented): CredentialSlot {
    switch (presented.kind) {
      case 'none':
        return new CredentialSlot(ABSENT)
      case 'malformed':
        return new CredentialSlot(rejected(new TokenRejectedError('ERR_TOKEN_REQUEST')))
      case 'too_large':
        return new CredentialSlot(rejected(new TokenRejectedError('ERR_TOKEN_TOO_LARGE')))
      case 'token':
        return new CredentialSlot({ status: 'unverified', credential: new Credential(presented.text) })
    }
  }

  /** A token that has to be opened before it can be verified. `unseal` is called once. */
  static sealed(unseal: Unseal): CredentialSlot {
    return new CredentialSlot({ status: 'sealed', unseal })
  }

  static rejected(error: TokenError): CredentialSlot {
    return new CredentialSlot(rejected(error))
  }

  static verified(credential: VerifiedCredential): CredentialSlot {
    return new CredentialSlot({ status: 'verified', credential })
  }

  /** For work of several callers. */
  static ambiguous(): CredentialSlot {
    return new CredentialSlot({ status: 'ambiguous' })
  }

  /** For work that outlives a token: always the one that `source` has now. `first` is what it had at the beginning. */
  static renewed(source: CredentialSource, first: VerifiedCredential): CredentialSlot {
    const slot = CredentialSlot.verified(first)
    slot.#source = source
    return slot
  }

  /** What is in this slot, for one delivery of a message, which ends when `lifetime` says so. */
  forDelivery(lifetime: EventEmitter): CredentialSlot {
    const slot = new CredentialSlot(this.state)
    slot.#source = this.#source
    slot.endWith(lifetime)
    return slot
  }

  static isSlot(value: unknown): value is CredentialSlot {
    return typeof value === 'object' && value !== null && #state in value
  }

  get state(): SlotState {
    const current = this.#source === undefined ? undefined : this.#current()
    if (current !== undefined) this.#state = { status: 'verified', credential: current }
    return this.#state
  }

  /** Whether somebody renews the token. */
  get isRenewed(): boolean {
    return this.#source !== undefined
  }

  /**
   * Waits until the token that somebody renews is there, and valid for `validForMillis`; `undefined` where it is already,
   * or nobody renews it. Never rejects: what could not be had is missing then.
   */
  renewal(options: RenewalOptions = {}): Promise<void> | undefined {
    const { validForMillis = 0 } = options
    const current = this.#current()
    const lasts = current !== undefined && current.expiresAtMillis > Date.now() + validForMillis
    return this.#source === undefined || lasts ? undefined : this.#renew(this.#source, options)
  }

  async #renew(source: CredentialSource, options: RenewalOptions): Promise<void> {
    try {
      await source.get(options)
    } catch {
      // The state stays as it is, and expires.
    }
  }

  /** Has the source get another token in place of `refused`. Never rejects: what could not be had is missing then. */
  async replace(refused: VerifiedCredential): Promise<void> {
    try {
      await this.#source?.renew?.(refused)
    } catch {
      // The state stays as it is.
    }
  }

  #current(): VerifiedCredential | undefined {
    try {
      const current = this.#source?.current
      return isVerifiedCredential(current) ? current : undefined
    } catch {
      return undefined
    }
  }

  /** Whether this slot was made for the very token of `presented`, by a request that is not over. */
  isFor(presented: Presented): boolean {
    return presented.kind === 'token' && !this.#ended && this.#credential?.is(presented.text) === true
  }

  /** Whether the request that the token came with is over. Work that goes on under it does so without a caller. */
  get ended(): boolean {
    return this.#ended
  }

  /** Whether the request that the token came with is being handled. */
  get isOpen(): boolean {
    return this.#hasLifetime && !this.#ended
  }

  /** From the first `close` of `lifetime` on the request is over: answered, or its client gone. The first one counts. */
  endWith(lifetime: EventEmitter): void {
    if (this.#hasLifetime) return
    this.#hasLifetime = true
    // Whoever asks late would wait for a `close` that has been.
    this.#ended = isOver(lifetime)
    if (this.#ended) return
    // OpenTelemetry gives a bound emitter an `on` of its own, which wraps every listener: this one needs no context.
    EventEmitter.prototype.on.call(lifetime, 'close', () => {
      this.#ended = true
    })
  }

  /** Refuses what has not been decided yet: for findings that `extract` could not see. */
  reject(error: TokenError): void {
    const { status } = this.#state
    if (status !== 'verified' && status !== 'rejected' && status !== 'ambiguous') {
      this.#state = { status: 'rejected', error }
    }
  }

  /** Verifies the token, once however many ask, and returns the final state. Never rejects. */
  settle(verifier: Verifier): SlotState | Promise<SlotState> {
    if (this.#state.status === 'sealed') {
      this.#settling ??= this.#conclude(this.#state.unseal(verifier))
      return this.#settling
    }
    if (this.#state.status !== 'unverified') return this.#state
    if (this.#settling !== undefined) return this.#settling
    const { credential } = this.#state
    const outcome = verifier.recall(credential) ?? verifier.decide(credential)
    if (outcome instanceof Promise) {
      this.#settling = this.#conclude(outcome)
      return this.#settling
    }
    this.#state = outcome instanceof TokenError ? rejected(outcome) : { status: 'verified', credential: outcome }
    return this.#state
  }

  async #conclude(verification: Promise<VerifiedCredential>): Promise<SlotState> {
    const outcome = await verification.then(
      (verified): SlotState => ({ status: 'verified', credential: verified }),
      (error: unknown) => rejected(error as TokenError),
    )
    // `reject` may have been faster, and a rejection is final.
    if (this.#state.status === 'unverified' || this.#state.status === 'sealed') this.#state = outcome
    return this.#state
  }
}

/** Responses, sockets and streams of Node say so; the response of the HTTP/2 compatibility layer has a stream for it. */
function isOver(lifetime: EventEmitter): boolean {
  const { closed, destroyed, stream } = lifetime as Partial<Record<'closed' | 'destroyed' | 'stream', unknown>>
  const isClosed = closed === true || destroyed === true
  return isClosed || (stream instanceof EventEmitter && stream !== lifetime && isOver(stream))
}

function rejected(error: TokenError): SlotState {
  return { status: 'rejected', error }
}
