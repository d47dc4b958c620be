/** The store that processes of a fleet share, so that they exchange a token once. */

/**
 * Keeps exchanged tokens for a whole fleet. They are sealed: the store sees neither a token nor its subject. A store
 * may lose, mix up and change values; such values are not used. If a method rejects, which must not take long, the
 * issuer is asked as if there were no cache.
 */
export interface SharedTokenCache {
  /**
   * Resolves with the value under `key`, unless it is `refused`. Resolves with `undefined` if there is no other value
   * and this process should ask the issuer: no other process is asking, or one has been asking for too long. From then
   * on others wait, until `keep` or `release`, for `askingMillis` at most.
   */
  find(key: string, refused: string | undefined, askingMillis: number): Promise<string | undefined>
  /** Keeps `value` until `expiresAtMillis`, in place of any other, and ends the waiting of others. */
  keep(key: string, value: string, expiresAtMillis: number): Promise<void>
  /** Ends the waiting of others: the issuer gave no token that could be kept. */
  release(key: string): Promise<void>
}
