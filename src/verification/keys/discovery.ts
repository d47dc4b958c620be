/** Finds the endpoints of an issuer in its metadata (OpenID Connect Discovery 1.0 §4, RFC 8414 §3). */

import { isObject, ownProperty } from '../../base/own-property.ts'
import { parseSecureUrl } from '../../base/urls.ts'
import type { FetchLimits } from '../bounded-json.ts'
import { fetchJson } from '../bounded-json.ts'
import { DocumentError } from '../document-error.ts'

/** Finds the `jwks_uri` of `issuer`. Throws a {@link DocumentError} if the metadata is missing or not acceptable. */
export async function discoverJwksUri(issuer: string, limits: FetchLimits): Promise<string> {
  return endpointIn(await discoverMetadata(issuer, limits), 'jwks_uri', issuer)
}

/**
 * Finds the `token_endpoint` of `issuer`: with `mutualTls`, the one for clients that authenticate with a certificate
 * (RFC 8705 §5), if there is one. Throws a {@link DocumentError} like {@link discoverJwksUri}.
 */
export async function discoverTokenEndpoint(issuer: string, mutualTls: boolean, limits: FetchLimits): Promise<string> {
  const metadata = await discoverMetadata(issuer, limits)
  const aliases = ownProperty(metadata, 'mtls_endpoint_aliases')
  const alias = mutualTls && isObject(aliases) ? ownProperty(aliases, 'token_endpoint') : undefined
  // Such an alias is on another host by design; its certificate is checked like any other.
  if (alias !== undefined) return secureUrlOf(alias).href
  return endpointIn(metadata, 'token_endpoint', issuer)
}

/** The issuer in the document must be the configured one, to the letter (RFC 8414 §3.3). */
export async function discoverMetadata(
  issuer: string,
  limits: FetchLimits,
): Promise<Readonly<Record<string, unknown>>> {
  for (const url of metadataUrls(issuer)) {
    const metadata = await fetchUnlessMissing(url, limits)
    if (metadata === undefined) continue
    if (!isObject(metadata)) throw new DocumentError('not_json')
    const named = metadata['issuer']
    if (named === issuer) return metadata
    throw new DocumentError(
      named === `${issuer}/` || issuer === `${String(named)}/` ? 'issuer_slash' : 'issuer_differs',
    )
  }
  throw new DocumentError('not_found', 404)
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

/** An endpoint on another host must be given as an option, so that a tampered document cannot move it. */
function endpointIn(metadata: Readonly<Record<string, unknown>>, name: string, issuer: string): string {
  const url = secureUrlOf(ownProperty(metadata, name), new URL(issuer).protocol === 'http:')
  if (url.host !== new URL(issuer).host) throw new DocumentError('endpoint_elsewhere')
  return url.href
}

/** In clear text only what was read in clear text: the options allow that (`allowCleartext`), or it is this machine. */
function secureUrlOf(value: unknown, allowCleartext = false): URL {
  if (typeof value !== 'string' || !URL.canParse(value)) throw new DocumentError('endpoint_missing')
  const url = parseSecureUrl(value, allowCleartext)
  if (url === undefined) throw new DocumentError('endpoint_cleartext')
  return url
}
