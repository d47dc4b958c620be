/** The issuers that are recognized by their URL, and what is special about their access tokens. */

export interface Provider {
  readonly name: string
  /** Whether its access tokens have an `aud`. */
  readonly hasAudience: boolean
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
    hint: 'add an audience mapper with the name of this service to a client scope: without it, aud is "account"',
  },
  {
    name: 'Auth0',
    pattern: /^https:\/\/[^/]+\.auth0\.com\/?$/,
    hasAudience: true,
    hint: 'the audience is the identifier of the API; a client that asks for none gets an opaque token',
  },
  {
    name: 'Microsoft Entra ID',
    pattern: /^https:\/\/(login\.microsoftonline\.com\/[^/]+\/v2\.0|sts\.windows\.net\/[^/]+\/)$/,
    hasAudience: true,
    hint:
      'requestedAccessTokenVersion of the app registration decides: 2 gives tokens of login.microsoftonline.com with ' +
      'the client ID as aud; without it they are of sts.windows.net with the application ID URI as aud',
  },
  {
    name: 'Okta',
    pattern: /^https:\/\/[^/]+\.(okta|oktapreview|okta-emea)\.com(\/oauth2\/[^/]+)?$/,
    hasAudience: true,
    hint: 'use a custom authorization server (/oauth2/…): tokens of the org server are for Okta itself',
  },
  {
    name: 'Amazon Cognito',
    pattern: /^https:\/\/cognito-idp\.[\w-]+\.amazonaws\.com\/[\w-]+$/,
    hasAudience: false,
    hint: 'access tokens have no aud, so the rule on client_id has to name the clients of this service',
  },
]

export function providerOf(issuer: string): Provider | undefined {
  return PROVIDERS.find(({ pattern }) => pattern.test(issuer))
}
