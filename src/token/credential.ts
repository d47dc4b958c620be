/** A token that is not verified yet. Printing it does not show its text. */

import { inspect } from 'node:util'
import { signingInputOf } from './compact-jws.ts'
import { fingerprint } from './fingerprint.ts'

/** Holds the text of a token so that printers, serializers and clones cannot read it. */
export class UnverifiedCredential {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** Length of the raw token in bytes; a token is ASCII. */
  get byteLength(): number {
    return this.#text.length
  }

  /** Returns the raw token. A token can leave the process at every call of this method, so a test counts the calls. */
  reveal(): string {
    return this.#text
  }

  /** Returns whether `other` holds exactly the same text. */
  equals(other: UnverifiedCredential): boolean {
    return this === other || this.#text === other.#text
  }

  /** The fingerprint of the token by `key`, also of one that is not verified. */
  fingerprintBy(key: string): string {
    return fingerprint(signingInputOf(this.#text), key)
  }

  toJSON(): string {
    return '[Credential]'
  }

  toString(): string {
    return '[Credential]'
  }

  [inspect.custom](): string {
    return '[Credential]'
  }
}
