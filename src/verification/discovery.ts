/** Where an issuer publishes its keys (OpenID Connect Discovery 1.0 §4, RFC 8414 §3). */

import type { FetchLimits } from './bounded-json.ts'
import { DocumentError, fetchJson } from './bounded-json.ts'
import { parseSecureUrl } from './secure-url.ts'

/** Finds the `jwks_uri` of `issuer`. Throws a {@link DocumentError} where the metadata is missing or not acceptable. */
export async function discoverJwksUri(issuer: string, limits: FetchLimits): Promise<string> {
  for (const url of metadataUrls(issuer)) {
    const metadata = await fetchUnlessMissing(url, limits)
    if (metadata !== undefined) return jwksUriOf(metadata, issuer)
  }
  throw new DocumentError(404)
}

/** OpenID Connect appends to the issuer, RFC 8414 §3.1 inserts between host and path. */
export function metadataUrls(issuer: string): readonly string[] {
  const url = new URL(issuer)
  const path = url.pathname.replace(/\/$/, '')
  return [
    `${url.origin}${path}/.well-known/openid-configuration`,
    `${url.origin}/.well-known/oauth-authorization-server${path}`,
  ]
}

async function fetchUnlessMissing(url: string, limits: FetchLimits): Promise<unknown> {
  try {
    return await fetchJson(url, limits)
  } catch (error) {
    // An issuer that offers only one of the two documents may refuse the other one in its own way.
    const refused = error instanceof DocumentError && error.status !== undefined && error.status >= 400
    if (refused && Number(error.status) < 500) return undefined
    throw error
  }
}

/**
 * The issuer in the document must be the configured one, to the letter (RFC 8414 §3.3). Keys on another host than the
 * issuer's take an explicit `jwksUri`, so that a tampered document cannot move them.
 */
function jwksUriOf(metadata: unknown, issuer: string): string {
  if (typeof metadata !== 'object' || metadata === null) throw new DocumentError()
  const { issuer: named, jwks_uri: uri } = metadata as { issuer?: unknown; jwks_uri?: unknown }
  if (named !== issuer || typeof uri !== 'string') throw new DocumentError()
  const url = parseSecureUrl(uri)
  if (url === undefined || url.host !== new URL(issuer).host) throw new DocumentError()
  return url.href
}
