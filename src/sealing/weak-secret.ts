/** Secrets that somebody has typed. */

/** Of 32 random bytes about 30 are different, and fewer than 16 never. */
const MIN_DIFFERENT = 16

/** Whether `bytes`, 32 of them, are a text, a pattern, or too much alike: none of it happens to random ones. */
export function isWeakSecret(bytes: Uint8Array): boolean {
  const isText = bytes.every((byte) => byte >= 0x20 && byte < 0x7f)
  const steps = new Set(bytes.subarray(1).map((byte, i) => byte - (bytes[i] ?? 0)))
  return isText || steps.size === 1 || new Set(bytes).size < MIN_DIFFERENT
}
