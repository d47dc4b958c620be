/** What the processes of a fleet must share so that they exchange a token once. */

/**
 * Keeps exchanged tokens for a whole fleet, sealed: it sees neither a token nor whose it is. A store may lose, mix up and
 * change what it is given; nothing of that is used. Where a method rejects, which it must not take
 * long for, the issuer is asked as if there were no cache.
 */
export interface SharedTokenCache {
  /**
   * Resolves with what is kept under `key`, unless that is `refused`. Resolves with `undefined` where nothing else is kept
   * and the caller should ask the issuer: nobody else does so at the moment, or has done so for too long to wait for it.
   * From then on others wait, until `keep` or `release`, for `askingMillis` at most.
   */
  find(key: string, refused: string | undefined, askingMillis: number): Promise<string | undefined>
  /** Keeps `value` until `expiresAtMillis`, in place of whatever is there. Nobody waits for it any more. */
  keep(key: string, value: string, expiresAtMillis: number): Promise<void>
  /** The issuer gave nothing that could be kept: nobody waits for it any more. */
  release(key: string): Promise<void>
}
