/** The issuers that are recognized by their URL, and what is special about their access tokens. */

export interface Provider {
  readonly name: string
  /** Whether its access tokens have an `aud`. */
  readonly hasAudience: boolean
  /** Options of the issuer that its tokens need, as docs/guides/issuers.md has them. */
  readonly options: Readonly<Record<string, readonly string[]>>
  /** What to do at the issuer. */
  readonly hint: string
}

interface KnownProvider extends Provider {
  readonly pattern: RegExp
}

const PROVIDERS: readonly KnownProvider[] = [
  {
    name: 'Keycloak',
    pattern: /\/realms\/[^/]+$/,
    hasAudience: true,
    options: { roleClaims: ['realm_access.roles'] },
    hint: 'add an audience mapper with the name of this service to a client scope: without it, aud is "account"',
  },
  {
    name: 'Auth0',
    pattern: /^https:\/\/[^/]+\.auth0\.com\/?$/,
    hasAudience: true,
    options: { scopeClaims: ['scope', 'permissions'] },
    hint: 'the audience is the identifier of the API; a client that asks for none gets an opaque token',
  },
  {
    name: 'Microsoft Entra ID, v2',
    pattern: /^https:\/\/login\.microsoftonline\.com\/[^/]+\/v2\.0$/,
    hasAudience: true,
    options: { requiredClaims: ['exp', 'iat', 'sub', 'azp'] },
    hint: 'the audience is the client ID of the API, whose requestedAccessTokenVersion must be 2',
  },
  {
    name: 'Microsoft Entra ID, v1',
    pattern: /^https:\/\/sts\.windows\.net\/[^/]+\/$/,
    hasAudience: true,
    options: { requiredClaims: ['exp', 'iat', 'sub', 'appid'] },
    hint: 'the audience is the application ID URI of the API, whose requestedAccessTokenVersion is not 2',
  },
  {
    name: 'Okta',
    pattern: /^https:\/\/[^/]+\.(okta|oktapreview|okta-emea)\.com(\/oauth2\/[^/]+)?$/,
    hasAudience: true,
    options: { roleClaims: ['groups'] },
    hint: 'use a custom authorization server (/oauth2/…): tokens of the org server are for Okta itself',
  },
  {
    name: 'Amazon Cognito',
    pattern: /^https:\/\/cognito-idp\.[\w-]+\.amazonaws\.com\/[\w-]+$/,
    hasAudience: false,
    options: { requiredClaims: ['exp', 'iat', 'sub', 'client_id', 'token_use'], roleClaims: ['cognito:groups'] },
    hint: 'access tokens have no aud: require a scope of your resource server, or name the clients in a rule',
  },
]

export function providerOf(issuer: string): Provider | undefined {
  return PROVIDERS.find(({ pattern }) => pattern.test(issuer))
}
