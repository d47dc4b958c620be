/** Under what a token is looked for in maps: the end of its signature, in place of the whole. */

/** Of a signature: that two tokens have the same end is a coincidence, which costs one of them its place. */
const END_LENGTH = 24

/**
 * A text that has just come in has no hash yet, and making one takes longer than all the rest; that of its end is made soon.
 * Whoever finds something under this name has to compare the whole. Only signatures end in something of their own, and
 * they stand after a header, which is `{` and something in base64url.
 */
export function nameOf(text: string): string {
  return text.startsWith('ey') ? text.slice(-END_LENGTH) : text
}
