/** Looks for tokens where they must not be. */

/** Whether `text` holds a part of one of `tokens` that only their bearers know: its claims, or its signature. */
export function holdsToken(text: string | Buffer, tokens: readonly string[]): boolean {
  return tokens.some((token) =>
    token
      .split('.')
      .slice(1)
      .some((part) => text.includes(part)),
  )
}
