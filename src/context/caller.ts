/** The caller of a request: its token, and what was decided about it. */

import type { EventEmitter } from 'node:events'
import type { Presented } from '../token/bearer.ts'
import type { UnverifiedCredential } from '../token/credential.ts'
import type { TokenError } from '../token/errors.ts'
import { SealError, TokenRejectedError } from '../token/errors.ts'
import type { RefusalDetail } from '../token/refusal-detail.ts'
import { withDetail } from '../token/refusal-detail.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { CredentialSource, RenewalOptions } from './renewal.ts'
import { Renewal } from './renewal.ts'
import { RequestLifetime } from './request-lifetime.ts'

/** A sealed token that was opened. */
export interface Opening {
  readonly credential: UnverifiedCredential
  /** Records that it was opened, once. */
  record(): void
  /** Counts the opening, once; `undefined` once it is counted. Rejects with a `TokenError`. */
  count(): Promise<void> | undefined
  /** What was counted is used up from now on. */
  use(): void
  /**
   * Nothing was decided: the next delivery of the same text to this process is not counted again, unless it was used.
   */
  release(): void
}

/**
 * `sealed` and `unverified` become `verified` or `rejected`, once. `absent` means that there was no token to verify,
 * and `ambiguous` that there are several, of which none may be used.
 */
export type CallerState =
  | { readonly status: 'absent' }
  | { readonly status: 'ambiguous' }
  | { readonly status: 'sealed'; readonly open: () => Opening }
  | { readonly status: 'unverified'; readonly credential: UnverifiedCredential }
  | { readonly status: 'verified'; readonly credential: VerifiedCredential }
  | { readonly status: 'rejected'; readonly error: TokenError }

const NOT_ONE_TOKEN: RefusalDetail = { found: 'Authorization is not the word Bearer and one token' }
const TOO_LARGE: RefusalDetail = { found: 'it is too large', expected: 'every issuers[].maxTokenBytes is less' }

/**
 * Why an object that changes, and not a value: OpenTelemetry binds request and response to the context of the
 * extraction, so a value that were set after the verification would be missing in every listener of the body.
 */
export class Caller {
  #state: CallerState
  #renewal: Renewal | undefined
  #opening: Opening | undefined
  #recorded: boolean | Promise<boolean>
  /** `undefined` while it is not tracked. */
  #lifetime: RequestLifetime | undefined
  /** The token as it came, also after its verification. */
  readonly #presented: UnverifiedCredential | undefined

  private constructor(state: CallerState) {
    this.#state = state
    // The token was verified, and recorded, elsewhere.
    this.#recorded = state.status === 'verified'
    this.#presented = state.status === 'unverified' ? state.credential : undefined
  }

  static fromHeader(presented: Presented): Caller {
    switch (presented.kind) {
      case 'none':
        return new Caller({ status: 'absent' })
      case 'malformed':
        return Caller.rejected(
          withDetail(
            new TokenRejectedError('ERR_TOKEN_REQUEST'),
            presented.found === undefined ? NOT_ONE_TOKEN : { found: presented.found },
          ),
        )
      case 'too_large':
        return Caller.rejected(withDetail(new TokenRejectedError('ERR_TOKEN_TOO_LARGE'), TOO_LARGE))
      case 'token':
        return Caller.unverified(presented.credential)
    }
  }

  /** A token that has to be opened before it can be verified. `open` is called once; it throws a `TokenError`. */
  static sealed(open: () => Opening): Caller {
    return new Caller({ status: 'sealed', open })
  }

  static unverified(credential: UnverifiedCredential): Caller {
    return new Caller({ status: 'unverified', credential })
  }

  static rejected(error: TokenError): Caller {
    return new Caller({ status: 'rejected', error })
  }

  static verified(credential: VerifiedCredential): Caller {
    return new Caller({ status: 'verified', credential })
  }

  /** For work of several callers. */
  static ambiguous(): Caller {
    return new Caller({ status: 'ambiguous' })
  }

  /**
   * For work that outlives a token: always the token that `source` has now. `first` is what it had at the beginning.
   */
  static renewed(source: CredentialSource, first: VerifiedCredential): Caller {
    const caller = Caller.verified(first)
    caller.#renewal = new Renewal(source, first)
    return caller
  }

  static isCaller(value: unknown): value is Caller {
    return typeof value === 'object' && value !== null && #state in value
  }

  /** `caller` handles the message that this one came with, in its place: the opening of that message counts for it. */
  replaceBy(caller: Caller): Caller {
    caller.#opening = this.#opening
    return caller
  }

  /** This caller for one delivery of a message, which ends when `lifetime` says so: the next delivery goes on then. */
  copyForDelivery(lifetime: EventEmitter): Caller {
    const copy = new Caller(this.state)
    copy.#renewal = this.#renewal
    copy.trackRequest(lifetime)
    return copy
  }

  get state(): CallerState {
    return this.#renewal === undefined ? this.#state : { status: 'verified', credential: this.#renewal.latest() }
  }

  /** Whether the token is renewed while it is in use. */
  get isRenewed(): boolean {
    return this.#renewal !== undefined
  }

  /** Waits for a token that is renewed; `undefined` if there is nothing to wait for. Never rejects. */
  renewal(options: RenewalOptions = {}): Promise<void> | undefined {
    return this.#renewal?.prepare(options)
  }

  /** Asks for another token in place of `refused`, if the token is renewed. Never rejects. */
  async replace(refused: VerifiedCredential): Promise<void> {
    await this.#renewal?.replace(refused)
  }

  /** Whether this caller was made for the very token of `presented`, by a request that is not over. */
  wasMadeFor(presented: Presented): boolean {
    return presented.kind === 'token' && !this.requestIsOver && this.#presented?.equals(presented.credential) === true
  }

  /** The token as it came, also after it was refused. */
  get presented(): UnverifiedCredential | undefined {
    return this.#presented ?? this.#opening?.credential
  }

  /** Whether the request that the token came with is over. Work that goes on after it is detached. */
  get requestIsOver(): boolean {
    return this.#lifetime?.isOpen === false
  }

  /** Whether the request that the token came with is being handled. */
  get requestIsOpen(): boolean {
    return this.#lifetime?.isOpen === true
  }

  /** The request lasts until `lifetime` is answered or closed. The first one counts; later ones are ignored. */
  trackRequest(lifetime: EventEmitter): void {
    this.#lifetime ??= new RequestLifetime(lifetime)
  }

  /** Whether the audit trail has the caller; a promise while that is not known. */
  get recorded(): boolean | Promise<boolean> {
    return this.#recorded
  }

  /** The record counts once it is acknowledged. If it is not, nothing was recorded. */
  recordedBy(acknowledged: Promise<boolean> | undefined): boolean | Promise<boolean> {
    this.#recorded =
      acknowledged?.then((isKept) => {
        this.#recorded = isKept
        return isKept
      }) ?? true
    return this.#recorded
  }

  /**
   * Opens a sealed token, at most once.
   *
   * @throws TokenError if it cannot be opened, or is not sealed.
   */
  open(): Opening {
    if (this.#state.status !== 'sealed') throw new SealError()
    this.#opening ??= this.#state.open()
    return this.#opening
  }

  /** The opening of the message that the token came in, if it was sealed and {@link open} was called. */
  get opening(): Opening | undefined {
    return this.#opening
  }

  /** Why the token was refused for good. */
  get rejection(): TokenError | undefined {
    return this.#state.status === 'rejected' ? this.#state.error : undefined
  }

  /** Refuses the token for good, unless it was decided already. */
  reject(error: TokenError): void {
    if (isUndecided(this.#state)) this.#state = { status: 'rejected', error }
  }

  /** From now on there is no token, unless it was decided already. */
  forgetToken(): void {
    if (isUndecided(this.#state)) this.#state = { status: 'absent' }
  }

  /** From now on the token may be used, unless it was decided already. Returns whether that is new. */
  confirm(credential: VerifiedCredential): boolean {
    if (!isUndecided(this.#state)) return false
    this.#state = { status: 'verified', credential }
    return true
  }
}

function isUndecided({ status }: CallerState): boolean {
  switch (status) {
    case 'absent':
    case 'sealed':
    case 'unverified':
      return true
    case 'ambiguous':
    case 'verified':
    case 'rejected':
      return false
  }
}
