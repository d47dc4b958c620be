/** The token of work that outlives any one token: always the one that its source has now. */

import type { VerifiedCredential } from '../token/verified-credential.ts'
import { isVerifiedCredential } from '../token/verified-credential.ts'

/** Gets and renews tokens. Applications may pass their own implementation, so nothing that it returns is trusted. */
export interface CredentialSource {
  /** The token that it has now, if that has not expired. */
  readonly current: unknown
  get(options: RenewalOptions): Promise<unknown>
  renew?(refused: VerifiedCredential): Promise<unknown>
}

export interface RenewalOptions {
  readonly validForMillis?: number
  readonly signal?: AbortSignal
}

export class Renewal {
  readonly #source: CredentialSource
  #latest: VerifiedCredential

  /** `first` is the token that `source` had at the beginning. */
  constructor(source: CredentialSource, first: VerifiedCredential) {
    this.#source = source
    this.#latest = first
  }

  /** The token of now, or the last one if the source has none at the moment. That one may have expired. */
  latest(): VerifiedCredential {
    this.#latest = this.#current() ?? this.#latest
    return this.#latest
  }

  /**
   * Waits until the source has a token that is valid for `validForMillis`; `undefined` if it has one already. Never
   * rejects: if the source fails, the latest token stays, and expires.
   */
  prepare(options: RenewalOptions): Promise<void> | undefined {
    const { validForMillis = 0 } = options
    const current = this.#current()
    const isValid = current !== undefined && current.expiresAtMillis > Date.now() + validForMillis
    return isValid ? undefined : this.#get(options)
  }

  /**
   * Asks the source for another token in place of `refused`. Never rejects: if the source fails, the latest token
   * stays.
   */
  async replace(refused: VerifiedCredential): Promise<void> {
    try {
      await this.#source.renew?.(refused)
    } catch {
      // The latest token stays.
    }
  }

  async #get(options: RenewalOptions): Promise<void> {
    try {
      await this.#source.get(options)
    } catch {
      // The latest token stays.
    }
  }

  #current(): VerifiedCredential | undefined {
    try {
      const { current } = this.#source
      return isVerifiedCredential(current) ? current : undefined
    } catch {
      return undefined
    }
  }
}
