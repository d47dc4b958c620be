/** The URLs of a test issuer, and the documents that name them (OpenID Connect Discovery 1.0 §3, RFC 8414 §2). */

import type { FlavourPaths } from './flavours/flavour.ts'
import type { TestIssuerEndpoints } from './options.ts'

export function endpointsOf(origin: string, paths: FlavourPaths): TestIssuerEndpoints {
  const base = paths.issuer.replace(/\/$/, '')
  return {
    openidConfiguration: `${origin}${base}/.well-known/openid-configuration`,
    metadata: `${origin}/.well-known/oauth-authorization-server${base}`,
    jwks: `${origin}${paths.jwks}`,
    token: `${origin}${paths.token}`,
    introspection: `${origin}${paths.introspection}`,
    revocation: `${origin}${paths.revocation}`,
  }
}

const AUTHENTICATION = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']

export function metadataOf(issuer: string, endpoints: TestIssuerEndpoints, algorithms: readonly string[]): object {
  return {
    issuer,
    jwks_uri: endpoints.jwks,
    token_endpoint: endpoints.token,
    introspection_endpoint: endpoints.introspection,
    revocation_endpoint: endpoints.revocation,
    response_types_supported: [],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: algorithms,
    grant_types_supported: [
      'client_credentials',
      'refresh_token',
      'urn:ietf:params:oauth:grant-type:token-exchange',
      'urn:ietf:params:oauth:grant-type:jwt-bearer',
    ],
    token_endpoint_auth_methods_supported: AUTHENTICATION,
    token_endpoint_auth_signing_alg_values_supported: ['ES256', 'RS256', 'PS256', 'EdDSA'],
    introspection_endpoint_auth_methods_supported: AUTHENTICATION,
    revocation_endpoint_auth_methods_supported: AUTHENTICATION,
  }
}
