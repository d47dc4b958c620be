/** Takes tokens out of text: those that are live by value, and whatever is shaped like a JWT or a JWE, in the usual encodings. */

import { holdsToken } from '../token/token-shape.ts'
import type { LiveTokens } from './live-tokens.ts'
import { createLiveTokens, PIECE } from './live-tokens.ts'
import { witness } from './witness.ts'

export const REDACTED = '[REDACTED]'

/** Returns `text` without tokens, and the very same text where there is none. Never throws; in linear time. */
export type Redact = (text: string) => string

export interface Redaction {
  /** Has the token recognized, once somebody redacts. */
  readonly remember: (token: string) => void
  readonly redact: () => Redact
}

/** Costs nothing before somebody asks for `redact`. */
export function createRedaction(): Redaction {
  let live: LiveTokens | undefined
  return {
    remember(token) {
      live?.add(token)
      witness?.(token)
    },
    redact() {
      live ??= createLiveTokens()
      return createRedact(live)
    },
  }
}

function createRedact(live: LiveTokens): Redact {
  const isSecret = (text: string): boolean => live.indexIn(text) !== -1 || holdsToken(text)
  /** Whether a token is in what `text` means to somebody. */
  const hidesToken = (text: string): boolean => isSecret(text) || readingsOf(text).some(isSecret)

  return (text) => {
    if (text.length < PIECE || !hidesToken(text)) return text
    const redacted = text.replace(WORD, (word) => (hidesToken(word) ? REDACTED : word))
    // A token that is in no word of its own, but in the text as a whole: between escapes, or zeros.
    return hidesToken(redacted.replaceAll(REDACTED, '')) ? REDACTED : redacted
  }
}

/** What people and programs put around tokens ends them. */
const WORD = /[^\s"'`<>(){}[\],;:|&?]+/g

/** What `text` may mean to whoever decodes it, once or, where that makes text again, twice. */
function readingsOf(text: string): string[] {
  const once = DECODERS.flatMap((decode) => decode(text))
  const twice = once
    .filter((reading) => IS_TEXT.test(reading))
    .flatMap((reading) => DECODERS.flatMap((decode) => decode(reading)))
  return [...once, ...twice]
}

/** Bytes that were no base64 or hexadecimal digits make something else. */
const IS_TEXT = /^[\0\t\r\n -~]{12,}$/

type Decode = (text: string) => string[]

const DECODERS: readonly Decode[] = [
  (text) => replaced(text, '%', /%([\da-f]{2})/gi, 16),
  (text) => replaced(text, '\\', /\\(?:u00|x)([\da-f]{2})/gi, 16),
  (text) => replaced(text, '&#x', /&#x([\da-f]{2});/gi, 16),
  (text) => replaced(text, '&#', /&#(\d{2,3});/g, 10),
  (text) => runsOf(text, /[A-Za-z\d+/_-]{16,}/g, 4, 'base64'),
  (text) => runsOf(text, /[\da-fA-F]{24,}/g, 2, 'hex'),
  (text) => (text.includes('\0') ? [text.replaceAll('\0', '')] : []),
]

function replaced(text: string, sign: string, pattern: RegExp, radix: number): string[] {
  if (!text.includes(sign)) return []
  const decoded = text.replace(pattern, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, radix)))
  return decoded === text ? [] : [decoded]
}

/** A piece of base64 may begin anywhere: four characters are three bytes. */
function runsOf(text: string, pattern: RegExp, phases: number, encoding: 'base64' | 'hex'): string[] {
  return [...text.matchAll(pattern)].flatMap(([run]) =>
    Array.from({ length: phases }, (_, phase) => Buffer.from(run.slice(phase), encoding).toString('latin1')),
  )
}
