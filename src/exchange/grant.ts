/** The parameters that a grant sends to the token endpoint. */

import type { TokenRequest } from '../destination/token-request.ts'

export type GrantType = 'token_exchange' | 'jwt_bearer' | 'client_credentials' | 'refresh_token'

const GRANT_TYPES: Readonly<Record<GrantType, string>> = {
  token_exchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
  jwt_bearer: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
  client_credentials: 'client_credentials',
  refresh_token: 'refresh_token',
}

const TOKEN_TYPES = {
  access_token: 'urn:ietf:params:oauth:token-type:access_token',
  jwt: 'urn:ietf:params:oauth:token-type:jwt',
} as const

/** The raw tokens that a grant is about. */
export interface GrantTokens {
  /** Its rights are asked for. */
  readonly subject?: string
  /** Will act with those rights. */
  readonly actor?: string | undefined
  readonly refresh?: string
}

export interface Grant {
  readonly type: string
  readonly parameters: URLSearchParams
}

export function grantOf(type: GrantType, request: TokenRequest, tokens: GrantTokens): Grant {
  const parameters = new URLSearchParams([...ownParameters(type, request, tokens), ...commonParameters(request)])
  return { type: GRANT_TYPES[type], parameters }
}

/** Whether `issued`, from the response, is the requested token type (RFC 8693 §3). */
export function isTokenType(issued: string, { tokenType }: TokenRequest): boolean {
  // A JWT is an access token of a known form, and some servers call every access token a JWT.
  return issued === TOKEN_TYPES[tokenType] || (tokenType === 'access_token' && issued === TOKEN_TYPES.jwt)
}

function ownParameters(type: GrantType, { tokenType }: TokenRequest, tokens: GrantTokens): [string, string][] {
  switch (type) {
    case 'client_credentials':
      return []
    case 'refresh_token':
      return [['refresh_token', tokens.refresh ?? '']]
    case 'jwt_bearer':
      // Microsoft calls this on-behalf-of and needs the second one; other servers ignore unknown parameters (RFC 6749
      // §3.2).
      return [
        ['assertion', tokens.subject ?? ''],
        ['requested_token_use', 'on_behalf_of'],
      ]
    case 'token_exchange':
      return [
        ['subject_token', tokens.subject ?? ''],
        ['subject_token_type', TOKEN_TYPES.access_token],
        ['requested_token_type', TOKEN_TYPES[tokenType]],
        ...actorParameters(tokens.actor),
      ]
  }
}

function actorParameters(actor: string | undefined): [string, string][] {
  if (actor === undefined) return []
  return [
    ['actor_token', actor],
    ['actor_token_type', TOKEN_TYPES.access_token],
  ]
}

function commonParameters({ audience, resource, scope }: TokenRequest): [string, string][] {
  return [
    ...audience.map((name): [string, string] => ['audience', name]),
    ...resource.map((uri): [string, string] => ['resource', uri]),
    ...(scope.length === 0 ? [] : [['scope', scope.join(' ')] as [string, string]]),
  ]
}
