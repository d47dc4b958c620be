/** The token that a destination gets instead of the caller's own. */

/** The parameters of a token request (RFC 8693 §2.1, RFC 8707 §2). */
export interface TokenRequest {
  /** Logical names of the services that the token is for. */
  readonly audience: readonly string[]
  /** URIs of the services that the token is for. */
  readonly resource: readonly string[]
  /** What the token allows at most. If empty: what the caller's own token allows. */
  readonly scope: readonly string[]
  readonly tokenType: 'access_token' | 'jwt'
}

const keys = new WeakMap<TokenRequest, string>()

/** A text that only equal requests have: nothing in it can be mistaken for a separator. */
export function keyOfRequest(request: TokenRequest): string {
  const known = keys.get(request)
  if (known !== undefined) return known
  const { audience, resource, scope, tokenType } = request
  const key = JSON.stringify([audience.toSorted(), resource.toSorted(), scope.toSorted(), tokenType])
  keys.set(request, key)
  return key
}
