/** Tables of single characters, for code that looks at every character of long texts. */

/**
 * Shortest part of a token that is redacted: an attacker could guess the rest; shorter parts occur in innocent text.
 */
export const MIN_FRAGMENT = 12

/** 1 for each character that a token may have (RFC 6750 §2.1), except the padding at its end. */
export const TOKEN_CHARACTERS = new Uint8Array(256)
for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/') {
  TOKEN_CHARACTERS[char.charCodeAt(0)] = 1
}

/** A bit for each character of a run, which may be a part of a token with its padding; 0 for each other character. */
export const KINDS = TOKEN_CHARACTERS.slice()
export const [HAS_DOT, HAS_DASH] = [2, 4] as const
for (const [char, kind] of Object.entries({ '=': 1, '.': HAS_DOT, '-': HAS_DASH })) KINDS[char.charCodeAt(0)] = kind

/** 1 for each character of a run, and of an escape. */
export const MAY_ENCODE = KINDS.map((kind) => Math.min(kind, 1))
for (const char of '\0\r\n#%&;\\{}') MAY_ENCODE[char.charCodeAt(0)] = 1

/** The value of a digit, up to 15; {@link NO_DIGIT} for every other character. */
export const DIGITS = new Uint8Array(256)
export const NO_DIGIT = 0xff
DIGITS.fill(NO_DIGIT)
for (const [value, digit] of [...'0123456789abcdef'].entries()) {
  DIGITS[digit.charCodeAt(0)] = value
  DIGITS[digit.toUpperCase().charCodeAt(0)] = value
}

/** The value of the digit at `at` in `text`, or {@link NO_DIGIT}. */
export function digitAt(text: Buffer, at: number): number {
  return DIGITS[text[at] ?? 0] ?? NO_DIGIT
}
