/** Groups of four characters of base64 that may encode ASCII, which tokens are. */

/** The places that a character may have in a group: the first one is one of the first 32, and so on. */
const [FIRST, SECOND, THIRD, ANY] = [1, 2, 4, 8] as const
const EVERY = FIRST | SECOND | THIRD | ANY
const PLACES = Uint8Array.from({ length: 256 }, (_, code) => {
  const char = String.fromCharCode(code)
  const isFirst = /[A-Za-f]/.test(char)
  const isSecond = /[A-HQ-Xg-nw-z0-3]/.test(char)
  const isThird = /[A-BE-FI-JM-NQ-RU-VY-Zc-dg-hk-ls-to-pw-x0-14-58-9]/.test(char)
  const isAny = /[\w+/-]/.test(char)
  return Number(isFirst) * FIRST + Number(isSecond) * SECOND + Number(isThird) * THIRD + Number(isAny) * ANY
})

/** Characters of a group, and of two. */
export const [GROUP, PAIR] = [4, 8] as const

/** Whether four characters at `at` may encode ASCII. Without a branch, as {@link pairsAt}. */
export function isGroup(text: Buffer, at: number): boolean {
  const first = (placesOf(text, at) & FIRST) | (placesOf(text, at + 1) & SECOND)
  return (first | (placesOf(text, at + 2) & THIRD) | (placesOf(text, at + 3) & ANY)) === EVERY
}

export function isBase64(text: Buffer, at: number): boolean {
  return (placesOf(text, at) & ANY) !== 0
}

function placesOf(text: Buffer, at: number): number {
  return PLACES[text[at] as number] as number
}

/** {@link PLACES} so far apart that those of ten characters fit in one number. */
const SPREAD = Int32Array.from(PLACES, (places) => {
  return (places & FIRST) | ((places & SECOND) << 9) | ((places & THIRD) << 18)
})

/**
 * Returns a bit for each of the next four places at which two groups may begin: in random base64, one of them in
 * sixteen steps. Reads ten characters without a branch, since a wrong guess of the processor costs more.
 */
export function pairsAt(text: Buffer, at: number): number {
  const places =
    (SPREAD[text[at] as number] as number) |
    ((SPREAD[text[at + 1] as number] as number) << 1) |
    ((SPREAD[text[at + 2] as number] as number) << 2) |
    ((SPREAD[text[at + 3] as number] as number) << 3) |
    ((SPREAD[text[at + 4] as number] as number) << 4) |
    ((SPREAD[text[at + 5] as number] as number) << 5) |
    ((SPREAD[text[at + 6] as number] as number) << 6) |
    ((SPREAD[text[at + 7] as number] as number) << 7) |
    ((SPREAD[text[at + 8] as number] as number) << 8) |
    ((SPREAD[text[at + 9] as number] as number) << 9)
  const groups = places & (places >>> 11) & (places >>> 22)
  return groups & (groups >>> GROUP) & 0b1111
}

/** Returns the next step from `from` on for which {@link pairsAt} is not 0, or else the last place before `to`. */
export function nextPairs(text: Buffer, from: number, to: number): number {
  let at = from
  while (at + PAIR <= to && pairsAt(text, at) === 0) at += PAIR
  return at
}

/** Up to this length, a loop is faster than calls out of JavaScript. */
const SHORT = 64

const VALUES = new Uint8Array(256)
for (const [value, char] of [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'].entries()) {
  VALUES[char.charCodeAt(0)] = value
}
for (const [char, value] of [...'+-'].map((sign) => [sign, 62] as const)) VALUES[char.charCodeAt(0)] = value
for (const [char, value] of [...'/_'].map((sign) => [sign, 63] as const)) VALUES[char.charCodeAt(0)] = value

/** Decodes to `target`; returns the number of bytes. */
export function decodeBase64(text: Buffer, from: number, to: number, target: Buffer): number {
  if (to - from > SHORT) return target.write(text.toString('latin1', from, to), 'base64')
  let length = 0
  for (let at = from; at < to; at += GROUP) {
    const bits =
      (valueAt(text, at) << 18) | (valueAt(text, at + 1) << 12) | (valueAt(text, at + 2) << 6) | valueAt(text, at + 3)
    target[length] = bits >>> 16
    target[length + 1] = bits >>> 8
    target[length + 2] = bits
    length += 3
  }
  return Math.floor(((to - from) * 3) / 4)
}

function valueAt(text: Buffer, at: number): number {
  return VALUES[text[at] as number] as number
}
