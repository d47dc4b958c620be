/** Removes tokens from text: fragments of tokens in use, and what is shaped like a token, in the usual encodings. */

import type { TokenMemory } from '../../token/verified-credential.ts'
import { acceptedTokenHook } from './accepted-token-hook.ts'
import { MIN_FRAGMENT } from './characters.ts'
import type { TokenFragments } from './token-fragments.ts'
import { createTokenFragments } from './token-fragments.ts'
import type { Search } from './token-search.ts'
import { searchText } from './token-search.ts'

export const REDACTED = '[REDACTED]'

/** Returns a text without tokens, or the same string if it has none. Takes linear time. Never throws. */
export interface Redact {
  text(text: string): string
  /** Does the same for the name of a member. Names repeat: those without tokens are remembered. */
  name(name: string): string
}

export interface Redaction {
  /** Learns the tokens that this relay verifies or obtains. */
  readonly memory: TokenMemory
  readonly redact: () => Redact
}

/** Remembers at least the last `maxTokens` tokens that were used. Costs nothing before the first call of `redact`. */
export function createRedaction(maxTokens: number): Redaction {
  let fragments: TokenFragments | undefined
  return {
    memory: {
      get generation() {
        return fragments?.generation ?? 0
      },
      created: (token) => acceptedTokenHook?.(token),
      used: (token) => fragments?.add(token),
    },
    redact() {
      fragments ??= createTokenFragments(Math.max(maxTokens, MIN_TOKENS))
      return new TextRedaction(fragments)
    },
  }
}

/** Remembered even if the verification cache is off. */
const MIN_TOKENS = 1_024

/** More names than a program has; longer ones are rare. */
const [MAX_NAMES, MAX_NAME] = [1_000, 100] as const
/** Characters of the id of a trace, which the spans of a trace repeat. */
const TRACE_ID = 32

class TextRedaction implements Redact {
  readonly #fragments: TokenFragments
  readonly #search: Search
  readonly #cleanNames = new Set<string>()
  #cleanId = ''
  /** The tokens that the clean texts were compared with. */
  #additions = 0

  constructor(fragments: TokenFragments) {
    this.#fragments = fragments
    this.#search = { holdsFragment: (text, from, to) => fragments.holdsFragment(text, from, to) }
  }

  text(text: string): string {
    if (text.length < MIN_FRAGMENT) return text
    if (text.length !== TRACE_ID) return this.#redact(text)
    this.#forgetIfOld()
    if (text === this.#cleanId) return text
    const clean = this.#redact(text)
    if (clean === text) this.#cleanId = text
    return clean
  }

  name(name: string): string {
    if (name.length < MIN_FRAGMENT) return name
    this.#forgetIfOld()
    if (this.#cleanNames.has(name)) return name
    const clean = this.#redact(name)
    if (clean === name && name.length <= MAX_NAME && this.#cleanNames.size < MAX_NAMES) this.#cleanNames.add(name)
    return clean
  }

  /** Each text that was clean may be a part of a new token. */
  #forgetIfOld(): void {
    const { additions } = this.#fragments
    if (this.#additions === additions) return
    this.#additions = additions
    this.#cleanNames.clear()
    this.#cleanId = ''
  }

  #redact(text: string): string {
    if (!searchText(text, this.#search)) return text
    const parts: Part[] = []
    searchText(text, { ...this.#search, onFound: (from, to) => addWord(parts, text, { from, to }) })
    return replaceParts(text, parts)
  }
}

interface Part {
  readonly from: number
  readonly to: number
}

/** Characters that people and programs put around tokens. */
const BOUNDARY = /[\s"'`<>(){}[\],;:|&?]/

/** Adds the whole word: its rest may be a part of the same token. */
function addWord(parts: Part[], text: string, { from, to }: Part): void {
  const last = parts.at(-1)
  if (last !== undefined && last.from <= from && to <= last.to) return
  let start = from
  let end = to
  while (start > 0 && !BOUNDARY.test(text.charAt(start - 1))) start -= 1
  while (end < text.length && !BOUNDARY.test(text.charAt(end))) end += 1
  parts.push({ from: start, to: end })
}

function replaceParts(text: string, parts: readonly Part[]): string {
  let clean = ''
  let end = 0
  for (const part of parts.toSorted((a, b) => a.from - b.from)) {
    if (part.from >= end) clean += `${text.slice(end, part.from)}${REDACTED}`
    end = Math.max(end, part.to)
  }
  return clean + text.slice(end)
}
