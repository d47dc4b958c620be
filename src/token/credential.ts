/** A token as it was presented: not verified, and not printable. */

import { inspect } from 'node:util'

/** Holds the text of a token where no printer, serializer or clone finds it. */
export class Credential {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** How long the raw token is, in bytes: it is ASCII. */
  get byteLength(): number {
    return this.#text.length
  }

  /** The raw token. Every call of this method is a place where a token may leave: a test counts them. */
  reveal(): string {
    return this.#text
  }

  /** Whether `text` is this very token, to the letter. */
  is(text: string): boolean {
    return this.#text === text
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
